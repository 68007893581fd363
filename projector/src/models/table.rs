//! Bulk writes of rows. Only this file knows how each database takes many rows at once.
//!
//! PostgreSQL takes one array for each column, so every batch is the same prepared statement; SQLite takes
//! `VALUES` lists, cut to powers of two so that prepared statements stay few.

use std::fmt::Write as _;

use database::{DatabaseError, Transaction, Value};
use uuid::Uuid;

/// A table, its columns in order, the key first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [(&'static str, Column)],
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Integer,
    Text,
    Bytes,
    Uuid,
    Boolean,
}

/// What to do with an existing row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conflict {
    Keep,
    /// Replace it by a row with a higher version.
    Replace,
}

/// Rows that are collected for a table.
#[derive(Debug)]
pub(crate) struct Rows {
    table: Table,
    values: Vec<Value>,
}

/// SQLite's limit is 32,766 parameters a statement, and longer statements gain nothing.
const MAX_ROWS: usize = 256;

impl Table {
    /// Its columns for a `SELECT`. PostgreSQL refuses a prepared `SELECT *` once a migration has added a column.
    pub(crate) fn column_list(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn insert(&self, source: &str, conflict: Conflict) -> String {
        let Self { name, columns } = self;
        let (key, _) = columns[0];
        let list = self.column_list();
        let action = match conflict {
            Conflict::Keep => "NOTHING".to_owned(),
            Conflict::Replace => {
                let set: Vec<String> =
                    columns[1..].iter().map(|(column, _)| format!("{column} = excluded.{column}")).collect();
                format!("UPDATE SET {} WHERE excluded.version > {name}.version", set.join(", "))
            }
        };
        format!("INSERT INTO {name} ({list}) {source} ON CONFLICT ({key}) DO {action}")
    }

    /// `VALUES ($1, $2), ($3, $4)`
    fn values_list(&self, rows: usize) -> String {
        let mut list = String::from("VALUES ");
        let mut parameter = 0;
        for row in 0..rows {
            list.push_str(if row == 0 { "(" } else { ", (" });
            for column in 0..self.columns.len() {
                parameter += 1;
                // Writing to a string cannot fail.
                let _ = write!(list, "{}${parameter}", if column == 0 { "" } else { ", " });
            }
            list.push(')');
        }
        list
    }

    /// `SELECT * FROM UNNEST($1::bigint[], $2::text[])`
    fn unnest(&self) -> String {
        let arrays: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (_, column))| {
                let kind = match column {
                    Column::Integer => "bigint",
                    Column::Text => "text",
                    Column::Bytes => "bytea",
                    Column::Uuid => "uuid",
                    Column::Boolean => "boolean",
                };
                format!("${}::{kind}[]", index + 1)
            })
            .collect();
        format!("SELECT * FROM UNNEST({})", arrays.join(", "))
    }
}

impl Rows {
    pub(crate) const fn of(table: Table) -> Self {
        Self { table, values: Vec::new() }
    }

    /// The place for the columns of the next row, in the order of the table.
    pub(crate) const fn push(&mut self) -> &mut Vec<Value> {
        &mut self.values
    }

    pub(crate) async fn insert(self, tx: &mut Transaction, conflict: Conflict) -> Result<(), DatabaseError> {
        if self.values.is_empty() {
            return Ok(());
        }
        if tx.is_postgres() {
            self.insert_arrays(tx, conflict).await
        } else {
            self.insert_values(tx, conflict).await
        }
    }

    async fn insert_values(self, tx: &mut Transaction, conflict: Conflict) -> Result<(), DatabaseError> {
        let width = self.table.columns.len();
        let mut rest = self.values.as_slice();
        while !rest.is_empty() {
            let rows = power_of_two(rest.len() / width);
            let (chunk, tail) = rest.split_at(rows * width);
            let sql = self.table.insert(&self.table.values_list(rows), conflict);
            tx.execute(&sql, chunk).await?;
            rest = tail;
        }
        Ok(())
    }

    async fn insert_arrays(self, tx: &mut Transaction, conflict: Conflict) -> Result<(), DatabaseError> {
        let width = self.table.columns.len();
        let sql = self.table.insert(&self.table.unnest(), conflict);
        let mut columns: Vec<Array> = self
            .table
            .columns
            .iter()
            .map(|(_, column)| Array::new(*column, self.values.len() / width))
            .collect();
        for (index, value) in self.values.into_iter().enumerate() {
            columns[index % width].push(value)?;
        }
        let query = columns.into_iter().fold(sqlx::query(&sql), |query, column| match column {
            Array::Integer(values) => query.bind(values),
            Array::Text(values) => query.bind(values),
            Array::Bytes(values) => query.bind(values),
            Array::Uuid(values) => query.bind(values),
            Array::Boolean(values) => query.bind(values),
        });
        tx.execute_postgres(query).await?;
        Ok(())
    }
}

/// One column of many rows, as an array.
enum Array {
    Integer(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Uuid(Vec<Option<Uuid>>),
    Boolean(Vec<bool>),
}

impl Array {
    fn new(column: Column, rows: usize) -> Self {
        match column {
            Column::Integer => Self::Integer(Vec::with_capacity(rows)),
            Column::Text => Self::Text(Vec::with_capacity(rows)),
            Column::Bytes => Self::Bytes(Vec::with_capacity(rows)),
            Column::Uuid => Self::Uuid(Vec::with_capacity(rows)),
            Column::Boolean => Self::Boolean(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Value) -> Result<(), DatabaseError> {
        match (self, value) {
            (Self::Integer(values), Value::Integer(value)) => values.push(value),
            (Self::Text(values), Value::Text(value)) => values.push(value),
            (Self::Bytes(values), Value::Bytes(value)) => values.push(value),
            (Self::Uuid(values), Value::Uuid(value)) => values.push(value),
            (Self::Boolean(values), Value::Boolean(value)) => values.push(value),
            (_, value) => {
                return Err(DatabaseError::Unexpected(format!("{value:?} in a column of another type")));
            }
        }
        Ok(())
    }
}

/// The largest power of two up to `rows`, at least 1 and at most [`MAX_ROWS`].
fn power_of_two(rows: usize) -> usize {
    match rows {
        0 => 1,
        rows => (1 << rows.ilog2()).min(MAX_ROWS),
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Conflict, Table, power_of_two};

    const PAIRS: Table =
        Table { name: "pairs", columns: &[("id", Column::Uuid), ("version", Column::Integer)] };

    #[test]
    fn statements_differ_only_in_where_the_rows_come_from() {
        assert_eq!(
            PAIRS.insert(&PAIRS.values_list(2), Conflict::Replace),
            "INSERT INTO pairs (id, version) VALUES ($1, $2), ($3, $4) ON CONFLICT (id) \
             DO UPDATE SET version = excluded.version WHERE excluded.version > pairs.version"
        );
        assert_eq!(
            PAIRS.insert(&PAIRS.unnest(), Conflict::Keep),
            "INSERT INTO pairs (id, version) SELECT * FROM UNNEST($1::uuid[], $2::bigint[]) ON CONFLICT (id) DO NOTHING"
        );
    }

    #[test]
    fn chunks_are_powers_of_two() {
        for (rows, chunk) in [(1, 1), (2, 2), (3, 2), (255, 128), (256, 256), (100_000, 256)] {
            assert_eq!(power_of_two(rows), chunk, "{rows}");
        }
    }
}
