//! Commands, and a model of what each does to a task, written from the contract and not from the product's code.

use api_types::Task;
use events::{Priority, Status, TaskId, Timestamp};
use reqwest::Method;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// The kinds of commands.
#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Create(Map<String, Value>),
    Change(Map<String, Value>),
    Move(Status),
    Delete,
    Restore,
}

/// An operation on a task. For a creation it is a new one.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub(crate) task: TaskId,
    pub(crate) operation: Operation,
    pub(crate) if_match: Option<u64>,
}

/// The result that the contract demands.
#[derive(Debug)]
pub(crate) enum Expected {
    Refused(u16),
    Accepted { status: u16, task: Task, events: usize },
}

impl Command {
    pub(crate) fn create(fields: Map<String, Value>) -> Self {
        Self { task: TaskId(Uuid::nil()), operation: Operation::Create(fields), if_match: None }
    }

    pub(crate) fn is_create(&self) -> bool {
        matches!(self.operation, Operation::Create(_))
    }

    /// The command as a request of its own.
    pub(crate) fn request(&self) -> (Method, String, Option<Value>) {
        let path = format!("/tasks/{}", self.task);
        match &self.operation {
            Operation::Create(fields) => (Method::POST, "/tasks".to_owned(), Some(json!(fields))),
            Operation::Change(fields) => (Method::PATCH, path, Some(json!(fields))),
            Operation::Move(to) => (Method::POST, format!("{path}/{}", verb(*to)), None),
            Operation::Delete => (Method::DELETE, path, None),
            Operation::Restore => (Method::POST, format!("{path}/restore"), None),
        }
    }

    /// The command as part of a batch.
    pub(crate) fn in_batch(&self) -> Value {
        let (op, fields) = match &self.operation {
            Operation::Create(fields) => ("create", fields.clone()),
            Operation::Change(fields) => ("update", fields.clone()),
            Operation::Move(to) => (verb(*to), Map::new()),
            Operation::Delete => ("delete", Map::new()),
            Operation::Restore => ("restore", Map::new()),
        };
        let mut command = Value::Object(fields);
        command["op"] = json!(op);
        if !self.is_create() {
            command["id"] = json!(self.task);
        }
        if let Some(version) = self.if_match {
            command["if_match"] = json!(version);
        }
        command
    }

    /// The result for `task`, which is `None` for a creation.
    pub(crate) fn expected(&self, task: Option<&Task>) -> Expected {
        let Some(task) = task else {
            let Operation::Create(fields) = &self.operation else {
                return Expected::Refused(404);
            };
            return Expected::Accepted { status: 201, task: changed(&nothing(), fields), events: 1 };
        };
        let status = if matches!(self.operation, Operation::Delete) { 204 } else { 200 };
        if task.deleted_at.is_some() && !matches!(self.operation, Operation::Delete | Operation::Restore) {
            return Expected::Refused(404);
        }
        if self.if_match.is_some_and(|version| version != task.version) {
            return Expected::Refused(412);
        }
        let mut after = match &self.operation {
            Operation::Create(_) => return Expected::Refused(409),
            Operation::Change(fields) => changed(task, fields),
            Operation::Move(to) => Task { status: *to, ..task.clone() },
            Operation::Delete => {
                Task { deleted_at: task.deleted_at.or(Some(task.updated_at)), ..task.clone() }
            }
            Operation::Restore => Task { deleted_at: None, ..task.clone() },
        };
        if !may_follow(task.status, after.status) {
            return Expected::Refused(409);
        }
        let events = differences(task, &after);
        after.version += events as u64;
        Expected::Accepted { status, task: after, events }
    }

    /// Returns whether this status is allowed when others change the task at the same time.
    pub(crate) fn may_answer(&self, status: u16) -> bool {
        let live = !matches!(self.operation, Operation::Delete | Operation::Restore);
        match status {
            204 => matches!(self.operation, Operation::Delete),
            200 => !matches!(self.operation, Operation::Delete),
            404 => live,
            409 => live,
            412 => self.if_match.is_some(),
            _ => false,
        }
    }

    /// Returns whether `task` is as this command wants it.
    pub(crate) fn is_met_by(&self, task: &Task) -> bool {
        match &self.operation {
            Operation::Create(fields) | Operation::Change(fields) => {
                differences(task, &changed(task, fields)) == 0
            }
            Operation::Move(to) => task.status == *to,
            Operation::Delete => task.deleted_at.is_some(),
            Operation::Restore => task.deleted_at.is_none(),
        }
    }
}

/// Returns whether two tasks are equal apart from ids and instants.
pub(crate) fn alike(one: &Task, other: &Task) -> bool {
    one.version == other.version && differences(one, other) == 0
}

const fn verb(to: Status) -> &'static str {
    match to {
        Status::Open => "reopen",
        Status::InProgress => "start",
        Status::Done => "complete",
        Status::Cancelled => "cancel",
    }
}

const fn may_follow(from: Status, to: Status) -> bool {
    match (from, to) {
        (Status::Open, _) | (_, Status::Open) => true,
        (Status::InProgress, _) => true,
        (Status::Done, Status::Done) | (Status::Cancelled, Status::Cancelled) => true,
        (Status::Done | Status::Cancelled, _) => false,
    }
}

/// The number of fields in which two tasks differ, which is the number of events from one to the other.
fn differences(one: &Task, other: &Task) -> usize {
    [
        one.title != other.title,
        one.description != other.description,
        one.priority != other.priority,
        one.due != other.due,
        one.tags != other.tags,
        one.status != other.status,
        one.deleted_at.is_some() != other.deleted_at.is_some(),
    ]
    .into_iter()
    .filter(|differ| *differ)
    .count()
}

/// `task` with the changes of a merge patch.
fn changed(task: &Task, fields: &Map<String, Value>) -> Task {
    fn value<T: serde::de::DeserializeOwned>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }
    let mut task = task.clone();
    for (name, wanted) in fields {
        match name.as_str() {
            "title" => task.title = value(wanted),
            "description" => task.description = value(wanted),
            "priority" => task.priority = value(wanted),
            "due" => task.due = value(wanted),
            "tags" => task.tags = value::<Option<Vec<String>>>(wanted).unwrap_or_default(),
            "status" => task.status = value(wanted),
            other => panic!("a task has no field {other}"),
        }
    }
    task
}

/// A new task with default values.
fn nothing() -> Task {
    Task {
        id: TaskId(Uuid::nil()),
        title: String::new(),
        description: None,
        status: Status::Open,
        priority: Priority::Normal,
        due: None,
        tags: Vec::new(),
        created_at: Timestamp::MIN,
        updated_at: Timestamp::MIN,
        completed_at: None,
        deleted_at: None,
        version: 1,
    }
}
