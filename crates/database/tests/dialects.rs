//! The same tables and the same results of statements in PostgreSQL and in SQLite. Needs a server: `DATABASE_URL`, or
//! postgres@127.0.0.1:5432 without a password.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use database::{Database, Dialect, Schema, Value, list_parameter, readable_page};
use test_support::TestDatabase;

/// Tables that only PostgreSQL has, and why.
const ONLY_IN_POSTGRES: [(&str, &str); 2] = [
    ("projector_replicas", "a SQLite file belongs to one process, which shares partitions with nobody"),
    ("partition_leases", "likewise"),
];

const OF_POSTGRES: &str = "
    SELECT class.relname::text AS relation, class.relkind::text AS kind, attribute.attname::text AS column_name,
        attribute.attnotnull::int::bigint AS is_required,
        COALESCE(array_position(key.columns, attribute.attnum), 0)::bigint AS place_in_key
    FROM pg_class AS class
    JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
    JOIN pg_attribute AS attribute
        ON attribute.attrelid = class.oid AND attribute.attnum > 0 AND NOT attribute.attisdropped
    LEFT JOIN (SELECT conrelid, conkey AS columns FROM pg_constraint WHERE contype = 'p') AS key
        ON key.conrelid = class.oid
    WHERE namespace.nspname = $1 AND class.relkind IN ('r', 'v', 'm', 'p')";

const OF_SQLITE: &str = "
    SELECT relation.name AS relation, relation.type AS kind, info.name AS column_name,
        info.\"notnull\" AS is_required, info.pk AS place_in_key
    FROM sqlite_schema AS relation, pragma_table_xinfo(relation.name) AS info
    WHERE relation.type IN ('table', 'view') AND relation.name NOT LIKE 'sqlite%'";

/// A sentence about each column of each table and view.
async fn columns(database: &Database, sql: &str, values: &[Value]) -> BTreeSet<String> {
    let rows = database.fetch_all(sql, values).await.unwrap();
    let sentences = rows.iter().map(|row| {
        let kind = match row.str("kind").unwrap() {
            "r" | "p" | "table" => "table",
            _ => "view",
        };
        let (relation, column) = (row.str("relation").unwrap(), row.str("column_name").unwrap());
        let place_in_key = row.integer("place_in_key").unwrap();
        let is_required = row.integer("is_required").unwrap() != 0;
        match (place_in_key, is_required) {
            (0, true) => format!("{kind} {relation}, column {column} is never null"),
            (0, false) => format!("{kind} {relation}, column {column} may be null"),
            // In SQLite a column of the key may be null unless it says otherwise.
            (place, _) => format!("{kind} {relation}, column {column} is number {place} of the primary key"),
        }
    });
    let of_the_driver = "table _sqlx_migrations,";
    sentences.filter(|sentence| !sentence.starts_with(of_the_driver)).collect()
}

#[tokio::test]
async fn postgres_and_sqlite_have_the_same_tables_with_the_same_columns_and_keys() {
    let server = TestDatabase::create().await;
    let directory = tempfile::tempdir().unwrap();
    let mut exceptions: BTreeSet<String> =
        ONLY_IN_POSTGRES.iter().map(|(table, _)| format!("table {table},")).collect();
    let expected = exceptions.clone();
    for schema in
        [Schema::EventStore, Schema::SubjectKeys, Schema::Operations, Schema::AuditTree, Schema::ReadModels]
    {
        let name = schema.name();
        let postgres = Database::open(server.url().as_str(), schema, 1).await.unwrap();
        let file = Database::file_url(&directory.path().join(name));
        let sqlite = Database::open(&file, schema, 1).await.unwrap();
        let mut in_postgres = columns(&postgres, OF_POSTGRES, &[name.into()]).await;
        let in_sqlite = columns(&sqlite, OF_SQLITE, &[]).await;
        in_postgres.retain(|sentence| {
            let exception = expected.iter().find(|table| sentence.starts_with(*table));
            exception.is_none_or(|table| {
                exceptions.remove(table);
                false
            })
        });
        assert!(!in_postgres.is_empty(), "{name} has tables");
        let only_postgres: Vec<_> = in_postgres.difference(&in_sqlite).collect();
        let only_sqlite: Vec<_> = in_sqlite.difference(&in_postgres).collect();
        assert!(
            only_postgres.is_empty() && only_sqlite.is_empty(),
            "{name}, only in PostgreSQL: {only_postgres:#?}, only in SQLite: {only_sqlite:#?}"
        );
        postgres.close().await;
        sqlite.close().await;
    }
    assert!(exceptions.is_empty(), "PostgreSQL has no {exceptions:?} any more");
}

/// The numbers in `numbers` whose `column` is one of the `listed`.
async fn numbers(database: &Database, column: &str, column_type: &str, listed: Value) -> Vec<i64> {
    let one_of = Dialect::of(database).one_of(column, column_type, 1);
    let sql = format!("SELECT number FROM numbers WHERE {one_of} ORDER BY number");
    let rows = database.fetch_all(&sql, &[listed]).await.unwrap();
    rows.iter().map(|row| row.integer("number").unwrap()).collect()
}

async fn lists_larger_values_and_batches_work(database: &Database) {
    let id = |number: i64| uuid::Uuid::from_u128(number.unsigned_abs().into());
    let type_of_ids = match Dialect::of(database) {
        Dialect::Postgres => "UUID",
        Dialect::Sqlite => "TEXT",
    };
    let create = format!("CREATE TABLE numbers (number BIGINT PRIMARY KEY, id {type_of_ids}, name TEXT)");
    database.execute(&create, &[]).await.unwrap();
    let names = ["a", "b\"]", "c,{d}", "é\\n", ""];
    let [first, second] = [i64::MAX - 5, i64::MAX - 4];
    for (name, number) in names.into_iter().zip(first..) {
        let values = [number.into(), id(number).into(), name.into()];
        let insert = "INSERT INTO numbers VALUES ($1, $2, $3)";
        database.execute(insert, &values).await.unwrap();
    }
    let some = list_parameter([first, second, 7]);
    assert_eq!(numbers(database, "number", "bigint", some).await, [first, second]);
    let some = list_parameter([first, second, 7].map(|number| id(number).to_string()));
    assert_eq!(numbers(database, "id", "uuid", some).await, [first, second]);
    let all = list_parameter(names);
    assert_eq!(numbers(database, "name", "text", all).await.len(), 5);
    let none = list_parameter(Vec::<String>::new());
    assert!(numbers(database, "name", "text", none).await.is_empty());

    let larger = Dialect::of(database).larger("number", "$1");
    let sql = format!("SELECT {larger} AS larger FROM numbers ORDER BY number LIMIT 2");
    let rows = database.fetch_all(&sql, &[second.into()]).await.unwrap();
    let larger: Vec<i64> = rows.iter().map(|row| row.integer("larger").unwrap()).collect();
    assert_eq!(larger, [second, second]);

    let many = "INSERT INTO numbers (number) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
         SELECT i FROM n";
    database.execute(many, &[]).await.unwrap();
    let delete = "DELETE FROM numbers WHERE number IN
         (SELECT number FROM numbers WHERE number <= $2 ORDER BY number LIMIT $1)";
    for (up_to, most, deleted) in [(2_500, 1_200, 1_200), (2_400, u64::MAX, 1_200), (2_400, u64::MAX, 0)] {
        let batches = database.delete_in_batches(delete, &[Value::from(up_to)], most).await;
        assert_eq!(batches.unwrap(), deleted);
    }
}

#[tokio::test]
async fn lists_larger_values_and_batches_work_in_postgres_and_in_sqlite() {
    let server = TestDatabase::create().await;
    let directory = tempfile::tempdir().unwrap();
    let file = Database::file_url(&directory.path().join("numbers.db"));
    for url in [server.url().as_str(), &file] {
        let database = Database::open(url, Schema::Operations, 2).await.unwrap();
        lists_larger_values_and_batches_work(&database).await;
        database.close().await;
    }
}

/// The number and the amount of each row of the next page.
async fn amounts(database: &Database, after: u64) -> Vec<(u64, u64)> {
    let sql = "SELECT number, amount FROM amounts WHERE number > $1 ORDER BY number LIMIT 2";
    let page = readable_page(database, "amounts", &["number"], sql, vec![after.into()], |row| {
        Ok((row.unsigned("number")?, row.unsigned("amount")?))
    });
    page.await.unwrap()
}

#[tokio::test]
async fn whole_pages_of_no_known_form_hide_no_row_behind_them_in_postgres_and_in_sqlite() {
    let server = TestDatabase::create().await;
    let directory = tempfile::tempdir().unwrap();
    let file = Database::file_url(&directory.path().join("amounts.db"));
    for url in [server.url().as_str(), &file] {
        let database = Database::open(url, Schema::Operations, 2).await.unwrap();
        let create = "CREATE TABLE amounts (number BIGINT PRIMARY KEY, amount BIGINT)";
        database.execute(create, &[]).await.unwrap();
        for number in 1..=7_i64 {
            let amount = if number == 6 { 6 } else { -1_i64 };
            let insert = "INSERT INTO amounts VALUES ($1, $2)";
            let values = [number.into(), amount.into()];
            database.execute(insert, &values).await.unwrap();
        }
        assert_eq!(amounts(&database, 0).await, [(6, 6)]);
        assert!(amounts(&database, 6).await.is_empty());
        database.close().await;
    }
}
