//! The migrations of PostgreSQL and those of SQLite make the same tables. Needs a server: `DATABASE_URL`, or
//! postgres@127.0.0.1:5432 without a password.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use database::{Database, Schema, Value};
use test_support::TestDatabase;

/// Tables that only PostgreSQL has, and why.
const ONLY_IN_POSTGRES: [(&str, &str); 2] = [
    (
        "projector_replicas",
        "a SQLite file belongs to one process, which shares partitions with nobody",
    ),
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
    sentences
        .filter(|sentence| !sentence.starts_with(of_the_driver))
        .collect()
}

#[tokio::test]
async fn postgres_and_sqlite_have_the_same_tables_with_the_same_columns_and_keys() {
    let server = TestDatabase::create().await;
    let directory = tempfile::tempdir().unwrap();
    let mut exceptions: BTreeSet<String> = ONLY_IN_POSTGRES
        .iter()
        .map(|(table, _)| format!("table {table},"))
        .collect();
    let expected = exceptions.clone();
    for schema in [
        Schema::EventStore,
        Schema::SubjectKeys,
        Schema::Operations,
        Schema::AuditTree,
        Schema::ReadModels,
    ] {
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
