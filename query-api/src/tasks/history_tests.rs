//! The cost of histories, changes and counts: the plans of both databases, and the rows that PostgreSQL reads.

use database::{Database, Dialect, StatementTimeout, Value};
use events::{TaskId, Timestamp, UserId};
use uuid::Uuid;

use super::{changes, follow, history, summary, tests::explain_sql};
use crate::testing::{on_postgres, on_sqlite};

const ME: UserId = UserId(Uuid::from_u128(7));
const LONG: TaskId = TaskId(Uuid::from_u128(8));
const VERSIONS: i64 = 100_000;

/// Each statement, its values, the index that it uses, and the rows that it needs.
fn statements(versions: i64) -> Vec<(String, Vec<Value>, &'static str, u64)> {
    let task = || Value::from(LONG.0);
    let sizes = |after: i64| {
        let values = vec![task(), after.into()];
        (history::sizes_statement(50), values, "task_history_by_version", 51)
    };
    let page = |after: i64| {
        let values = vec![task(), after.into(), (after + 50).into()];
        (history::statement(), values, "task_history_by_version", 50)
    };
    let late = versions - 1_000;
    let now = Timestamp::from_micros(500_000);
    vec![
        sizes(0),
        sizes(late),
        page(0),
        page(late),
        (history::LEADING_TO.to_owned(), vec![task(), late.into()], "task_history_by_version", 64),
        (history::VERSION_AT.to_owned(), vec![task(), late.into()], "task_history_by_time", 1),
        (changes::statement(100), vec![ME.0.into(), 400_i64.into()], "tasks_by_position", 101),
        (follow::sizes_statement(), vec![ME.0.into(), 400_i64.into()], "task_history_by_owner", 16),
        {
            let values = vec![ME.0.into(), 400_i64.into(), 8_000_i64.into()];
            (follow::STATEMENT.to_owned(), values, "task_history_by_owner", 16)
        },
        {
            let (sql, values) = summary::statement(Dialect::Postgres, ME, now);
            (sql, values, "tasks_by_position", 1)
        },
    ]
}

#[tokio::test]
async fn a_page_of_a_long_history_costs_what_the_page_costs_on_postgres() {
    on_postgres(async |database| {
        let patient = database.with_statement_timeout(StatementTimeout::Maintenance);
        let history = "
            INSERT INTO task_history (position, task, owner, version, event_id, type, actor, correlation_id, recorded_at,
                                      changes, state)
            SELECT n, $1, CASE WHEN n % 500 = 0 THEN $2 ELSE gen_random_uuid() END, n, $1, 'task.renamed', 'system', 'r', n, '[]', CASE WHEN n % 64 = 0 THEN '{}' END
            FROM generate_series(1::bigint, $3) AS n";
        patient
            .execute(history, &[LONG.0.into(), ME.0.into(), VERSIONS.into()])
            .await
            .unwrap();
        let tasks = "
            INSERT INTO tasks (id, owner, title, title_sort, status, priority, tags, tag_list, search_text, created_at,
                               updated_at, version, position)
            SELECT gen_random_uuid(), CASE WHEN n % 20 = 0 THEN $1 ELSE gen_random_uuid() END, repeat('Title', 40),
                   'title', 'open', 1, '[]', '', 'title', n, n, 1, n
            FROM generate_series(1::bigint, 20000) AS n";
        patient.execute(tasks, &[ME.0.into()]).await.unwrap();
        for table in ["tasks", "task_history"] {
            patient
                .execute(&format!("VACUUM ANALYZE {table}"), &[])
                .await
                .unwrap();
        }
        for (sql, values, index, rows) in statements(VERSIONS) {
            let done = explain_sql(&database, &sql, &values).await;
            assert!(done.plan.contains(index), "{sql}: {}", done.plan);
            assert!(!done.plan.contains("Seq Scan"), "{sql}: {}", done.plan);
            assert_eq!(done.removed, 0, "{sql}: rows were read in vain");
            assert!(done.rows <= rows, "{sql}: {} rows", done.rows);
            assert!(done.pages <= rows + 40, "{sql}: {} pages", done.pages);
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_of_a_long_history_is_one_index_range_on_sqlite() {
    on_sqlite(async |database| {
        for analyzed in [false, true] {
            if analyzed {
                database.execute("ANALYZE", &[]).await.unwrap();
            }
            for (sql, values, index, _) in statements(VERSIONS) {
                let sql = sql.replace(" FROM tasks WHERE owner = $1 AND deleted", {
                    " FROM tasks INDEXED BY tasks_by_position WHERE owner = $1 AND deleted"
                });
                let plan = plan(&database, &sql, &values).await;
                assert!(plan[0].contains(index), "{sql}: {plan:?}");
                assert!(plan.iter().all(|step| !step.contains("SCAN task")), "{sql}: {plan:?}");
                let sorts = plan.iter().any(|step| step.contains("FOR ORDER BY"));
                assert!(!sorts, "{sql}: {plan:?}");
            }
        }
        let (sql, values) = summary::statement(Dialect::Sqlite, ME, Timestamp::from_micros(1));
        let plan = plan(&database, &sql, &values).await;
        assert!(plan[0].contains("USING COVERING INDEX tasks_by_position (owner=?"), "{plan:?}");
    })
    .await;
}

async fn plan(database: &Database, sql: &str, values: &[Value]) -> Vec<String> {
    let sql = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = database.fetch_all(&sql, values).await.unwrap();
    rows.iter().map(|row| row.text("detail").unwrap()).collect()
}
