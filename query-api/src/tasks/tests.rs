//! The cost of a page: the plans of both databases, and the rows that PostgreSQL reads.

use database::{Database, Dialect, StatementTimeout, Value};
use events::{TaskId, Timestamp, UserId};
use sqlx::Row as _;
use uuid::Uuid;

use super::{
    Filter, Sort, SortBy,
    cursor::{SortKey, TaskCursor},
    statement::{Page, Statement},
};
use crate::testing::{insert, on_postgres, on_sqlite, task};

const ROWS: u16 = 51;
const ME: UserId = UserId(Uuid::from_u128(7));

/// Each order, the index that keeps it, and places at the front, in the middle and among the empty values.
fn orders() -> Vec<(Sort, &'static str, Vec<TaskCursor>)> {
    let number =
        |number: i64| TaskCursor { key: SortKey::Number(number), id: TaskId(Uuid::from_u128(1 << 127)) };
    let text = |text: &str| TaskCursor {
        key: SortKey::Text(text.to_owned()),
        id: TaskId(Uuid::from_u128(1 << 127)),
    };
    let both = |by, index, places: [TaskCursor; 2]| {
        [false, true].map(|descending| (Sort { by, descending }, index, places.to_vec()))
    };
    let due = |descending, index, missing: i64| {
        (Sort { by: SortBy::Due, descending }, index, vec![number(250_000), number(missing)])
    };
    let mut orders = Vec::new();
    orders.extend(both(SortBy::CreatedAt, "tasks_by_created_at", [number(100_000), number(250_000)]));
    orders.extend(both(SortBy::UpdatedAt, "tasks_by_updated_at", [number(100_000), number(250_000)]));
    orders.extend(both(SortBy::Priority, "tasks_by_priority", [number(1), number(2)]));
    orders.extend(both(SortBy::Title, "tasks_by_title", [text("title 3"), text("title 6")]));
    orders.push(due(false, "tasks_by_due_ascending", i64::MAX));
    orders.push(due(true, "tasks_by_due_descending", -i64::MAX));
    orders
}

/// The first page of each order and some later ones, with the index that each reads.
fn pages(dialect: Dialect, filter: &Filter) -> Vec<(Statement, String)> {
    let now = Timestamp::from_micros(1_800_000_000_000_000);
    let page = |sort, after: Option<&TaskCursor>| {
        let page = Page { owner: ME, filter, sort, after, rows: ROWS, now };
        Statement::page(dialect, page)
    };
    let table = if filter.deleted { "trash" } else { "tasks" };
    let pages = |(sort, index, places): (Sort, &'static str, Vec<TaskCursor>)| {
        let index = index.replace("tasks", table);
        let later: Vec<_> = places.iter().map(|place| (page(sort, Some(place)), index.clone())).collect();
        std::iter::once((page(sort, None), index.clone())).chain(later)
    };
    orders().into_iter().flat_map(pages).collect()
}

/// Creates 500 tasks for each of many users, in mixed order.
async fn fill_postgres(database: &Database, users: i64) {
    let database = database.with_statement_timeout(StatementTimeout::Maintenance);
    let sql = "
        INSERT INTO tasks (id, owner, title, title_sort, status, priority, due_at, tags, tag_list, search_text,
                           created_at, updated_at, version, position)
        SELECT gen_random_uuid(),
               CASE WHEN u = 1 THEN $2 ELSE md5('user ' || u)::uuid END,
               'Title', 'title ' || md5(u || ' ' || n), 'open', n % 4,
               CASE WHEN n % 3 <> 0 THEN n * 1000 END, '[]', '', 'title',
               n * 1000, (n * 7919 % 500) * 1000, 1, n * $1 + u
        FROM generate_series(1::bigint, 500) AS n, generate_series(1::bigint, $1) AS u
        ORDER BY md5(n || ' ' || u)";
    database.execute(sql, &[users.into(), ME.0.into()]).await.unwrap();
    // Makes all rows visible and known to the planner, as autovacuum does.
    database.execute("VACUUM ANALYZE tasks", &[]).await.unwrap();
}

/// The work of PostgreSQL: the nodes of the plan, each with its index, and the number of pages.
pub(crate) struct Done {
    pub(crate) nodes: Vec<(String, Option<String>)>,
    pub(crate) rows: u64,
    pub(crate) removed: u64,
    pub(crate) pages: u64,
    /// All of it, as JSON.
    pub(crate) plan: String,
}

async fn explain(database: &Database, statement: &Statement) -> Done {
    explain_sql(database, &statement.text, &statement.values).await
}

pub(crate) async fn explain_sql(database: &Database, text: &str, values: &[Value]) -> Done {
    let sql = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {text}");
    let row = values.iter().fold(sqlx::query(&sql), |query, value| match value.clone() {
        Value::Integer(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
        Value::Bytes(value) => query.bind(value),
        Value::Uuid(value) => query.bind(value),
        Value::Boolean(value) => query.bind(value),
    });
    let mut connection = database.postgres().unwrap().connect().await.unwrap();
    let row = row.fetch_one(&mut connection).await.unwrap();
    let plans: serde_json::Value = serde_json::from_str(&row.get_unchecked::<String, _>(0)).unwrap();
    let mut plan = &plans[0]["Plan"];
    let mut done = Done {
        nodes: Vec::new(),
        rows: plan["Actual Rows"].as_f64().unwrap() as u64,
        removed: 0,
        plan: plans.to_string(),
        pages: plan["Shared Hit Blocks"].as_u64().unwrap() + plan["Shared Read Blocks"].as_u64().unwrap(),
    };
    while plan.is_object() {
        let index = plan["Index Name"].as_str().map(str::to_owned);
        done.nodes.push((plan["Node Type"].as_str().unwrap().to_owned(), index));
        done.removed += plan["Rows Removed by Filter"].as_f64().unwrap_or_default() as u64;
        plan = &plan["Plans"][0];
    }
    done
}

#[tokio::test]
async fn a_page_is_one_index_range_on_postgres_however_many_tasks_there_are() {
    on_postgres(async |database| {
        fill_postgres(&database, 2).await;
        let mut small = Vec::new();
        for (statement, _) in pages(Dialect::Postgres, &Filter::default()) {
            small.push(explain(&database, &statement).await.pages);
        }

        database.execute("TRUNCATE tasks", &[]).await.unwrap();
        fill_postgres(&database, 200).await;
        for ((statement, index), small) in pages(Dialect::Postgres, &Filter::default()).into_iter().zip(small)
        {
            let done = explain(&database, &statement).await;
            let text = &statement.text;
            let expected = [("Limit".to_owned(), None), ("Index Scan".to_owned(), Some(index.clone()))];
            assert_eq!(done.nodes, expected, "{text}");
            assert!(done.rows > 0 && done.rows <= ROWS.into(), "{text}: {} rows", done.rows);
            assert_eq!(done.removed, 0, "{text}: rows were read in vain");
            // At most one page of the table for each row, and a few of the index.
            assert!(done.pages <= done.rows + 12, "{text}: {} pages for {} rows", done.pages, done.rows);
            assert!(done.pages <= small * 2 + 12, "{text}: {} pages, {small} in a small table", done.pages);
        }

        // With a filter it reads on in the same order until the page is full, but never beyond its owner's tasks.
        let filter = Filter {
            statuses: [events::Status::Open].into(),
            words: ["title".to_owned()].into(),
            ..Filter::default()
        };
        for (statement, index) in pages(Dialect::Postgres, &filter) {
            let done = explain(&database, &statement).await;
            assert!(done.nodes.iter().any(|(_, name)| name.as_ref() == Some(&index)), "{}", statement.text);
            assert!(done.nodes.iter().all(|(node, _)| !node.contains("Sort")), "{}", statement.text);
            assert!(done.pages <= done.rows + 12, "{}", statement.text);
        }
    })
    .await;
}

#[tokio::test]
async fn the_trash_of_one_user_is_an_index_range_on_postgres() {
    on_postgres(async |database| {
        fill_postgres(&database, 200).await;
        database.execute("UPDATE tasks SET deleted_at = 1 WHERE position % 5 = 0", &[]).await.unwrap();
        database.execute("VACUUM ANALYZE tasks", &[]).await.unwrap();
        let filter = Filter { deleted: true, ..Filter::default() };
        for (statement, index) in pages(Dialect::Postgres, &filter) {
            let done = explain(&database, &statement).await;
            let text = &statement.text;
            let names: Vec<_> = done.nodes.iter().filter_map(|(_, name)| name.clone()).collect();
            assert_eq!(names, [index], "{text}");
            assert!(done.pages <= done.rows + 12, "{text}: {} pages", done.pages);
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_is_one_index_range_on_sqlite() {
    on_sqlite(async |database| {
        let tasks: Vec<_> = (0..200).map(|n| task(ME, &format!("Title {n}"))).collect();
        insert(&database, &tasks).await;
        for analyzed in [false, true] {
            if analyzed {
                database.execute("ANALYZE", &[]).await.unwrap();
            }
            let trash = Filter { deleted: true, ..Filter::default() };
            let pages = [Filter::default(), trash].map(|filter| pages(Dialect::Sqlite, &filter));
            for (statement, index) in pages.into_iter().flatten() {
                let sql = format!("EXPLAIN QUERY PLAN {}", statement.text);
                let rows = database.fetch_all(&sql, &statement.values).await.unwrap();
                let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
                assert_eq!(plan.len(), 1, "{plan:?}");
                assert!(
                    plan[0].starts_with(&format!("SEARCH tasks USING INDEX {index} (owner=?")),
                    "{plan:?}"
                );
                // With a place to continue from, the range begins there.
                assert_eq!(plan[0].contains(" AND "), statement.values.len() > 1, "{plan:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_a_search_leaves_is_read_by_id_and_sorted_on_postgres() {
    on_postgres(async |database| {
        // Beside many owners with one task, the planner expects few tasks of an owner who has 500.
        fill_postgres(&database, 1).await;
        let sql = "
            INSERT INTO tasks (id, owner, title, title_sort, status, priority, tags, tag_list, search_text, created_at,
                               updated_at, version, position)
            SELECT gen_random_uuid(), gen_random_uuid(), 'Title', 'title', 'open', 1, '[]', '', 'title', n, n, 1, n
            FROM generate_series(1::bigint, 20000) AS n";
        let patient = database.with_statement_timeout(StatementTimeout::Maintenance);
        patient.execute(sql, &[]).await.unwrap();
        patient.execute("VACUUM ANALYZE tasks", &[]).await.unwrap();
        let rows = database
            .fetch_all(
                "SELECT id FROM tasks WHERE owner = $1 ORDER BY id LIMIT 20",
                &[ME.0.into()],
            )
            .await
            .unwrap();
        let ids: Vec<_> = rows.iter().map(|row| row.uuid("id").unwrap()).collect();
        let filter = Filter {
            words: ["title".to_owned()].into(),
            ..Filter::default()
        };
        for (sort, _, places) in orders() {
            for after in std::iter::once(None).chain(places.iter().map(Some)) {
                let page = Page {
                    owner: ME,
                    filter: &filter,
                    sort,
                    after,
                    rows: ROWS,
                    now: Timestamp::from_micros(0),
                };
                let statement = Statement::page_among(Dialect::Postgres, page, &ids);
                let done = explain(&database, &statement).await;
                assert!(!done.plan.contains("tasks_by_"), "{sort:?}: {}", done.plan);
                // Each task is found by its id, at most twice, by a few pages of the index.
                assert!(done.pages <= 20 * 2 * 4 + 24, "{sort:?}: {} pages", done.pages);
            }
        }
        let candidates = Statement::candidates(Dialect::Postgres, ME, &filter);
        let done = explain(&database, &candidates).await;
        assert_eq!(done.rows, 500);
        assert!(done.pages <= 500 + 12, "{} pages for 500 tasks", done.pages);
    })
    .await;
}
