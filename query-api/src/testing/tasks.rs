//! Tasks as rows, as the projector writes them.

use database::{Database, Value, placeholders};
use events::{Due, Priority, Status, Task, TaskId, Timestamp, UserId, fold_text};
use uuid::Uuid;

const COLUMNS: [&str; 20] = [
    "id",
    "owner",
    "title",
    "title_sort",
    "description",
    "status",
    "priority",
    "due",
    "due_at",
    "overdue_at",
    "tags",
    "tag_list",
    "search_text",
    "grams",
    "created_at",
    "updated_at",
    "completed_at",
    "deleted_at",
    "version",
    "position",
];

/// A new person.
pub(crate) fn user() -> UserId {
    UserId(Uuid::now_v7())
}

/// An open task of `owner` without anything special.
pub(crate) fn task(owner: UserId, title: &str) -> Task {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    Task {
        id: TaskId(Uuid::now_v7()),
        owner,
        title: title.to_owned(),
        description: None,
        status: Status::Open,
        priority: Priority::Normal,
        due: None,
        tags: Vec::new(),
        created_at: now,
        updated_at: now,
        completed_at: None,
        deleted_at: None,
        version: 1,
    }
}

/// Writes the rows of `tasks`, replacing those that are there.
pub(crate) async fn insert(database: &Database, tasks: &[Task]) {
    let at_one: Vec<_> = tasks.iter().map(|task| (task.clone(), 1)).collect();
    insert_at(database, &at_one).await;
}

/// As [`insert`], each with the position of its last event.
pub(crate) async fn insert_at(database: &Database, tasks: &[(Task, u64)]) {
    for tasks in tasks.chunks(100) {
        let mut values = Vec::new();
        let rows: Vec<String> = tasks
            .iter()
            .map(|(task, position)| {
                let first = values.len() + 1;
                values.extend(row(task, *position));
                format!("({})", placeholders(first..values.len() + 1))
            })
            .collect();
        let updates: Vec<_> = COLUMNS.iter().map(|column| format!("{column} = excluded.{column}")).collect();
        let sql = format!(
            "INSERT INTO tasks ({}) VALUES {} ON CONFLICT (id) DO UPDATE SET {}",
            COLUMNS.join(", "),
            rows.join(", "),
            updates.join(", "),
        );
        database.execute(&sql, &values).await.unwrap();
    }
}

fn row(task: &Task, position: u64) -> [Value; 20] {
    let search_text =
        read_models::search_text(&fold_text(&task.title), task.description.as_deref(), &task.tags);
    let grams = read_models::signature(&search_text);
    let micros = |instant: Option<Timestamp>| instant.map(Timestamp::as_micros).into();
    [
        task.id.0.into(),
        task.owner.0.into(),
        task.title.clone().into(),
        fold_text(&task.title).into(),
        task.description.clone().into(),
        task.status.name().into(),
        (task.priority as i64).into(),
        task.due.map(|due| due.to_string()).into(),
        micros(task.due.map(Due::starts_at)),
        micros(task.due.map(Due::overdue_at)),
        serde_json::to_string(&task.tags).unwrap().into(),
        read_models::tag_list(&task.tags).into(),
        search_text.into(),
        grams.into(),
        micros(Some(task.created_at)),
        micros(Some(task.updated_at)),
        micros(task.completed_at),
        micros(task.deleted_at),
        task.version.into(),
        position.into(),
    ]
}
