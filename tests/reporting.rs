//! The views for reporting, with the queries of docs/audit.md.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{
    Column as _, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection, TypeInfo as _,
    ValueRef as _, sqlite::SqliteRow,
};

use crate::support::{Deployment, Person, System};

const PAGE: &str = include_str!("../docs/audit.md");
const VIEWS: [&str; 7] = ["account", "audit_event", "event", "operation", "session", "task", "task_change"];

/// The questions of the page with their SQL.
fn questions() -> BTreeMap<&'static str, &'static str> {
    let mut questions = BTreeMap::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("\n\n```sql\n") {
        let (sql, after) = after.split_once("```").unwrap();
        questions.insert(before.lines().next_back().unwrap(), sql);
        rest = after;
    }
    questions
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_questions_in_sql() {
    ask(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn questions_in_sql_on_postgres_and_rabbitmq() {
    ask(Deployment::Servers).await;
}

async fn ask(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "waldemar").await;
    let mut bob = Person::join(&system.base, "bob").await;
    let mut made = Vec::new();
    for title in ["Water the roses", "Mow the lawn", "Sow radishes"] {
        let body =
            json!({"title": title, "description": "In the yard", "priority": "urgent", "tags": ["garden"]});
        let task = ada.post("/tasks", body).await.expect(201).body;
        made.push(format!("/tasks/{}", task["id"].as_str().unwrap()));
    }
    let changed = json!({"priority": "low", "title": "Water the tulips"});
    ada.patch(&made[0], changed).await.expect(200);
    ada.post(&format!("{}/complete", made[0]), json!({})).await.expect(200);
    ada.post(&format!("{}/reopen", made[0]), json!({})).await.expect(200);
    ada.delete(&made[1]).await.expect(204);
    bob.post("/auth/logout", json!({})).await.expect(204);
    bob.log_in().await;
    for (code, arguments) in
        [(0, ["users", "grant", &bob.email, "auditor"]), (1, ["keys", "retire", "unknown", "--force"])]
    {
        let mut tool = system.tool(&arguments);
        let output = tool.args(["--by", "grace", "--reason", "Ticket 1"]).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    system.read_models_equal_the_log().await;

    let mut asker = Asker::connect(&system, deployment).await;
    let questions = questions();
    assert!(questions.len() >= 12, "{questions:?}");
    for (question, sql) in &questions {
        let rows = asker.rows(sql).await;
        let expected = match *question {
            "How many events does each day have?"
            | "What happens how often?"
            | "What became of one task, step by step?" => 1..=100,
            "How many tasks stand where?" | "Which operators did what, and why?" => 2..=2,
            "What else did the request do that changed somebody's roles last?" => 3..=3,
            _ => 1..=1,
        };
        assert!(expected.contains(&rows.len()), "{question}: {rows:#?}");
    }
    let missing = questions["Does the audit trail have every event of the log?"];
    assert_eq!(asker.rows(missing).await, [json!({"missing": 0})]);
    let why = "SELECT operator, command, reason, outcome FROM operation ORDER BY position";
    let done = |command: &str, outcome: &str| json!({"operator": "grace", "command": command, "reason": "Ticket 1", "outcome": outcome});
    assert_eq!(
        asker.rows(why).await,
        [done("users grant auditor", "succeeded"), done("keys retire --force", "failed")]
    );
    let reopened =
        "SELECT old_value, new_value FROM task_change WHERE type = 'task.reopened' AND field = 'status'";
    assert_eq!(asker.rows(reopened).await, [json!({"old_value": "done", "new_value": "open"})]);

    // The views contain nothing personal or secret, and events that they do not show exist all the same.
    for view in VIEWS {
        let rows = asker.rows(&format!("SELECT * FROM {view}")).await;
        assert!(!rows.is_empty(), "{view}");
        let all = Value::from(rows).to_string();
        for word in
            ["Water", "yard", "garden", "@example.org", "waldemar", "127.0.0.1", "argon2", "sealed", "_hash"]
        {
            assert!(!all.contains(word), "{view} shows {word}: {all}");
        }
    }
    asker.close().await;
    system.stop().await;
}

/// A user of one of the databases.
enum Asker {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Asker {
    async fn connect(system: &System, deployment: Deployment) -> Self {
        if deployment == Deployment::Embedded {
            let url = system.database_url("read-models.db");
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            let log = system.data_dir().join("events.db");
            let attach = format!("ATTACH '{}' AS log", log.display());
            connection.execute(attach.as_str()).await.unwrap();
            return Self::Sqlite(connection);
        }
        let mut connection = PgConnection::connect(&system.database_url("")).await.unwrap();
        connection.execute("SET search_path = read_models, event_store").await.unwrap();
        Self::Postgres(connection)
    }

    async fn rows(&mut self, sql: &str) -> Vec<Value> {
        let sql = sql.trim().trim_end_matches(';');
        match self {
            Self::Sqlite(connection) => {
                let rows = sqlx::query(sql).fetch_all(connection).await.unwrap();
                rows.iter().map(object).collect()
            }
            Self::Postgres(connection) => {
                let sql = format!("SELECT to_jsonb(asked)::text AS row FROM ({sql}) asked");
                let rows = sqlx::query(&sql).fetch_all(connection).await.unwrap();
                let text = rows.iter().map(|row| row.get::<String, _>("row"));
                text.map(|text| serde_json::from_str(&text).unwrap()).collect()
            }
        }
    }

    async fn close(self) {
        match self {
            Self::Postgres(connection) => connection.close().await.unwrap(),
            Self::Sqlite(connection) => connection.close().await.unwrap(),
        }
    }
}

/// A row as an object.
fn object(row: &SqliteRow) -> Value {
    let cells = row.columns().iter().enumerate().map(|(index, column)| {
        let kind = row.try_get_raw(index).unwrap().type_info().name().to_owned();
        let value = match kind.as_str() {
            "NULL" => Value::Null,
            "INTEGER" => row.get::<i64, _>(index).into(),
            _ => row.get::<String, _>(index).into(),
        };
        (column.name().to_owned(), value)
    });
    Value::Object(cells.collect())
}
