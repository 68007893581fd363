//! Random commands of a worker.

use events::{Status, TaskId};
use rand::{
    RngExt as _,
    seq::{IndexedRandom as _, IteratorRandom as _},
};
use serde_json::{Map, Value, json};

use super::{MAX_TASKS, Worker};
use crate::command::{Command, Operation};

impl Worker {
    /// A command on a task of its own, or for a new one.
    pub(super) fn own_command(&mut self) -> Command {
        let room = self.own.len() < MAX_TASKS;
        match self.own.keys().choose(&mut self.dice) {
            Some(task) if !(room && self.dice.random_bool(0.2)) => {
                let task = *task;
                self.operation_on(task, self.own[&task].version)
            }
            _ => {
                let mut fields = self.fields();
                fields.remove("status");
                let title = self.title();
                fields.insert("title".to_owned(), json!(title));
                Command::create(fields)
            }
        }
    }

    pub(super) fn operation_on(&mut self, task: TaskId, version: u64) -> Command {
        let operation = match self.dice.random_range(0..20) {
            0..8 => Operation::Change(self.fields()),
            8..16 => Operation::Move(self.status()),
            16..18 => Operation::Delete,
            _ => Operation::Restore,
        };
        let if_match = self
            .dice
            .random_bool(0.3)
            .then(|| version - u64::from(version > 1 && self.dice.random_bool(0.2)));
        Command { task, operation, if_match }
    }

    /// Random fields of a task, which often have their old values.
    fn fields(&mut self) -> Map<String, Value> {
        if self.dice.random_bool(0.02) {
            return self.longest_fields();
        }
        let values = [
            ("title", json!(self.title())),
            ("description", self.one_of(&[json!(null), json!("more"), json!("Ünï ✓")])),
            ("priority", self.one_of(&["low", "normal", "high", "urgent"].map(|name| json!(name)))),
            ("due", self.one_of(&[json!(null), json!("2026-12-01"), json!("2031-01-01T09:00:00Z")])),
            ("tags", self.one_of(&[json!(null), json!(["a"]), json!(["b", "a"])])),
            ("status", json!(self.status())),
        ];
        let count = self.dice.random_range(1..=3);
        values
            .into_iter()
            .sample(&mut self.dice, count)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            // If one part is refused, nothing happens, which should not be frequent.
            .filter(|(name, _)| name != "status" || self.dice.random_bool(0.3))
            .collect()
    }

    /// The longest values that the contract accepts.
    fn longest_fields(&mut self) -> Map<String, Value> {
        let title = self.title();
        let tags: Vec<String> = (0..20).map(|number| format!("{number:𝄞>50}")).collect();
        [
            ("title", json!(format!("{title:𝄞<200}"))),
            ("description", json!("𝄞".repeat(10_000))),
            ("tags", json!(tags)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into_iter()
        .collect()
    }

    pub(super) fn title(&mut self) -> String {
        format!("{} {}", self.tag, self.dice.random_range(0..1_000))
    }

    pub(super) fn status(&mut self) -> Status {
        let all = [Status::Open, Status::InProgress, Status::Done, Status::Cancelled];
        *all.choose(&mut self.dice).unwrap()
    }

    fn one_of(&mut self, values: &[Value]) -> Value {
        values.choose(&mut self.dice).unwrap().clone()
    }
}
