//! `tasks`: one row for each task, also of those in the trash.

use std::iter;

use database::{DatabaseError, Row, Value};
use events::{Due, RecordedEvent, Task, TaskEvent, TaskId, Timestamp, UserId, fold_text};
use read_models::task_columns;
use uuid::Uuid;

use super::history::TaskVersion;
use super::model::{Model, micros};
use super::table::{Column, Table};

impl Model for Task {
    const TABLE: Table = Table {
        name: "tasks",
        columns: &[
            ("id", Column::Uuid),
            ("owner", Column::Uuid),
            ("title", Column::Text),
            ("title_sort", Column::Text),
            ("description", Column::Text),
            ("status", Column::Text),
            ("priority", Column::Integer),
            ("due", Column::Text),
            ("due_at", Column::Integer),
            ("overdue_at", Column::Integer),
            ("tags", Column::Text),
            ("tag_list", Column::Text),
            ("grams", Column::Bytes),
            ("search_text", Column::Text),
            ("created_at", Column::Integer),
            ("updated_at", Column::Integer),
            ("completed_at", Column::Integer),
            ("deleted_at", Column::Integer),
            ("version", Column::Integer),
            ("position", Column::Integer),
        ],
    };

    const SUBJECT: &'static str = "owner";

    // Each part of the table has an index.
    const ERASURE: &'static [&'static str] =
        &["owner = $1 AND deleted_at IS NULL", "owner = $1 AND deleted_at IS NOT NULL"];

    fn named(_: Uuid, event: &TaskEvent) -> Option<UserId> {
        if let TaskEvent::Created(created) = event { Some(created.owner) } else { None }
    }

    fn starts_over(event: &TaskEvent) -> bool {
        matches!(event, TaskEvent::Purged(_))
    }

    fn history(&self, before: Option<&Self>, record: &RecordedEvent) -> Option<TaskVersion> {
        Some(if self.is_purged() {
            TaskVersion::purged(record, self)
        } else {
            TaskVersion::of(record, before, self)
        })
    }

    fn subject(&self) -> UserId {
        self.owner
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let description = self.description.as_deref().map(|text| ("description", text));
        let tags = self.tags.iter().map(|tag| ("tags", tag.as_str()));
        iter::once(("title", &*self.title)).chain(description).chain(tags)
    }

    fn values(&self, position: u64, row: &mut Vec<Value>) {
        let title_sort = fold_text(&self.title);
        let search_text = read_models::search_text(&title_sort, self.description.as_deref(), &self.tags);
        row.extend([
            self.id.0.into(),
            self.owner.0.into(),
            self.title.clone().into(),
            title_sort.into(),
            self.description.clone().into(),
            self.status.name().into(),
            self.priority.rank().into(),
            self.due.map(|due| due.to_string()).into(),
            micros(self.due.map(Due::starts_at)),
            micros(self.due.map(Due::overdue_at)),
            task_columns::tags_json(&self.tags).into(),
            read_models::tag_list(&self.tags).into(),
            read_models::signature(&search_text).into(),
            search_text.into(),
            self.created_at.as_micros().into(),
            self.updated_at.as_micros().into(),
            micros(self.completed_at),
            micros(self.deleted_at),
            self.version.into(),
            position.into(),
        ]);
    }

    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let due = row.optional_text("due")?;
        Ok(Self {
            id: TaskId(row.uuid("id")?),
            owner: UserId(row.uuid("owner")?),
            title: row.text("title")?,
            description: row.optional_text("description")?,
            status: task_columns::status(&row.text("status")?)?,
            priority: task_columns::priority(row.integer("priority")?)?,
            due: due.as_deref().map(task_columns::due).transpose()?,
            tags: task_columns::tags(&row.text("tags")?)?,
            created_at: Timestamp::from_micros(row.integer("created_at")?),
            updated_at: Timestamp::from_micros(row.integer("updated_at")?),
            completed_at: row.optional_integer("completed_at")?.map(Timestamp::from_micros),
            deleted_at: row.optional_integer("deleted_at")?.map(Timestamp::from_micros),
            version: row.unsigned("version")?,
        })
    }
}
