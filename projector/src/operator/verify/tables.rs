//! Compares two sets of read models row by row, as they are at one moment each, while both may move on.

use std::{cmp::Ordering, collections::VecDeque};

use database::{Database, DatabaseError, Row, Transaction, Value};
use events::{PartitionCount, TaskPurged, UserId};
use read_models::{CHECKPOINTS, checkpoint_of};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    differences::Differences,
    reading::PAGE,
    rows::{different_columns, row_values},
};
use crate::models::{
    AUDIT_LOG, Model as _, PARKED_EVENTS_ALONE, TASK_HISTORY, for_each_model,
    table::{Column, Table},
};

/// The tables compared, each with the column that says whom a row is about.
fn compared_tables() -> Vec<(Table, &'static str)> {
    let mut tables = Vec::new();
    for_each_model!(M => tables.push((M::TABLE, M::SUBJECT)));
    tables.extend([
        (TASK_HISTORY, "owner"),
        (AUDIT_LOG, "subject"),
        (PARKED_EVENTS_ALONE, "subject"),
    ]);
    tables
}

/// What a comparison of two sets of tables found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// Table by table.
    pub tables: Vec<ComparedTable>,
    /// What is not the same, in sentences; the last says how many there are beyond the first hundred.
    pub differences: Vec<String>,
}

/// One table in both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedTable {
    pub name: &'static str,
    pub rows: u64,
    /// Rows that cannot be compared, since one side has seen a newer event of theirs than the other.
    pub moved: u64,
    /// SHA-256 of the rows compared, of the first and of the second set.
    pub digests: [String; 2],
}

/// One set of tables at one moment.
struct Side {
    name: &'static str,
    tx: Transaction,
    checkpoints: Vec<u64>,
}

/// Compares `live` with `rebuilt`, both projected into so many partitions. What only one of them has seen yet is
/// left out.
///
/// # Errors
/// When one of them cannot be read.
pub(crate) async fn compare_tables(
    live: &Database,
    rebuilt: &Database,
    partitions: PartitionCount,
) -> Result<Comparison, DatabaseError> {
    let mut sides = [
        Side::open("the live tables", live, partitions).await?,
        Side::open("the rebuilt tables", rebuilt, partitions).await?,
    ];
    let known: Vec<u64> = sides[0]
        .checkpoints
        .iter()
        .zip(&sides[1].checkpoints)
        .map(|(left, right)| *left.min(right))
        .collect();
    let known = |subject: UserId| match subject {
        // A task that was purged does not say whose it was.
        UserId::NOBODY => known.iter().min().copied().unwrap_or_default(),
        subject => known[usize::from(partitions.of(subject))],
    };
    let mut differences = Differences::default();
    let mut tables = Vec::new();
    for (table, subject) in compared_tables() {
        tables.push(compare_table(&mut sides, table, subject, &known, &mut differences).await?);
    }
    Ok(Comparison {
        tables,
        differences: differences.list(),
    })
}

async fn compare_table(
    sides: &mut [Side; 2],
    table: Table,
    subject: &str,
    known: &impl Fn(UserId) -> u64,
    differences: &mut Differences,
) -> Result<ComparedTable, DatabaseError> {
    let mut compared = ComparedTable {
        name: table.name,
        rows: 0,
        moved: 0,
        digests: Default::default(),
    };
    let mut digests = [Sha256::new(), Sha256::new()];
    let mut cursors = [Cursor::new(table), Cursor::new(table)];
    while let Some(rows) = next_rows(&mut cursors, sides).await? {
        if has_moved(&rows, sides, table, subject, known).await? {
            compared.moved += 1;
            continue;
        }
        compared.rows += 1;
        let mut values = [None, None];
        for side in [0, 1] {
            if let Some(row) = &rows[side] {
                let row = row_values(table, row)?;
                digests[side].update(format!("{row:?}"));
                values[side] = Some(row);
            }
        }
        match values {
            [Some(left), Some(right)] if left == right => {}
            [Some(left), Some(right)] => differences.add(difference(table, &left, &right)),
            [Some(row), None] => differences.add(only_there(table, &sides[0], &row)),
            [None, Some(row)] => differences.add(only_there(table, &sides[1], &row)),
            [None, None] => {}
        }
    }
    compared.digests = digests.map(|digest| hex::encode(digest.finalize()));
    Ok(compared)
}

/// The rows with the next key, of both sides or of the one that has it.
async fn next_rows(
    cursors: &mut [Cursor; 2],
    sides: &mut [Side; 2],
) -> Result<Option<[Option<Row>; 2]>, DatabaseError> {
    let left = cursors[0].peek(&mut sides[0].tx).await?;
    let right = cursors[1].peek(&mut sides[1].tx).await?;
    let order = match (left, right) {
        (None, None) => return Ok(None),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (Some(left), Some(right)) => left.cmp(&right),
    };
    Ok(Some([
        if order.is_le() { cursors[0].pop() } else { None },
        if order.is_ge() { cursors[1].pop() } else { None },
    ]))
}

/// Whether rows cannot be compared, since one side has seen a newer event of theirs than the other.
async fn has_moved(
    rows: &[Option<Row>; 2],
    sides: &mut [Side; 2],
    table: Table,
    subject: &str,
    known: &impl Fn(UserId) -> u64,
) -> Result<bool, DatabaseError> {
    for row in rows.iter().flatten() {
        if row.unsigned("position")? > known(UserId(row.uuid(subject)?)) {
            return Ok(true);
        }
    }
    let Some((row, missing)) = only_one(rows) else {
        return Ok(false);
    };
    let missing = &mut sides[missing];
    let subject = UserId(row.uuid(subject)?);
    if missing.has_erased(subject, known(subject)).await? {
        return Ok(true);
    }
    Ok(table.name == TASK_HISTORY.name && missing.has_purged(row.uuid("task")?, known(subject)).await?)
}

/// Says in which columns two rows of one key differ.
fn difference(table: Table, left: &[Value], right: &[Value]) -> String {
    let columns = different_columns(table, left, right);
    format!(
        "{} differs in row {}: {}",
        table.name,
        key_text(left),
        columns.join(", ")
    )
}

/// Says that only one side has a row.
fn only_there(table: Table, side: &Side, row: &[Value]) -> String {
    format!("only {} have row {} of {}", side.name, key_text(row), table.name)
}

fn key_text(row: &[Value]) -> String {
    match row.first() {
        Some(Value::Uuid(Some(id))) => id.to_string(),
        Some(Value::Integer(Some(number))) => number.to_string(),
        _ => "?".to_owned(),
    }
}

/// The row that only one side has, and the side that lacks it.
fn only_one(rows: &[Option<Row>; 2]) -> Option<(&Row, usize)> {
    match rows {
        [Some(row), None] => Some((row, 1)),
        [None, Some(row)] => Some((row, 0)),
        _ => None,
    }
}

impl Side {
    async fn open(
        name: &'static str,
        database: &Database,
        partitions: PartitionCount,
    ) -> Result<Self, DatabaseError> {
        let mut tx = database.snapshot().await?;
        let mut checkpoints = vec![0; usize::from(partitions.get())];
        for row in tx.fetch_all(CHECKPOINTS, &[partitions.get().into()]).await? {
            let (partition, point) = checkpoint_of(&row, partitions)?;
            checkpoints[usize::from(partition)] = point.position;
        }
        Ok(Self {
            name,
            tx,
            checkpoints,
        })
    }

    /// Whether it has erased this person later than `known`.
    async fn has_erased(&mut self, subject: UserId, known: u64) -> Result<bool, DatabaseError> {
        let sql = "SELECT position FROM erased_subjects WHERE subject = $1 AND position > $2";
        let row = self
            .tx
            .fetch_optional(sql, &[subject.0.into(), known.into()])
            .await?;
        Ok(row.is_some())
    }

    /// Whether it has purged this task later than `known`.
    async fn has_purged(&mut self, task: Uuid, known: u64) -> Result<bool, DatabaseError> {
        let sql = "SELECT position FROM task_history WHERE task = $1 AND position > $2 AND type = $3";
        let values = [task.into(), known.into(), TaskPurged::KIND.into()];
        let row = self.tx.fetch_optional(sql, &values).await?;
        Ok(row.is_some())
    }
}

/// A key of a table; those of one table are of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Id(Uuid),
    Position(u64),
}

/// The rows of a table in the order of their keys, read page by page.
struct Cursor {
    table: Table,
    sql: String,
    rows: VecDeque<Row>,
    after: Key,
    ended: bool,
}

impl Cursor {
    fn new(table: Table) -> Self {
        let (key, column) = table.columns[0];
        Self {
            table,
            sql: format!(
                "SELECT {} FROM {} WHERE {key} > $1 ORDER BY {key} LIMIT $2",
                table.column_list(),
                table.name
            ),
            rows: VecDeque::new(),
            after: match column {
                Column::Uuid => Key::Id(Uuid::nil()),
                _ => Key::Position(0),
            },
            ended: false,
        }
    }

    /// The key of the next row.
    async fn peek(&mut self, tx: &mut Transaction) -> Result<Option<Key>, DatabaseError> {
        if self.rows.is_empty() && !self.ended {
            let after = match self.after {
                Key::Id(id) => id.into(),
                Key::Position(position) => position.into(),
            };
            self.rows = tx
                .fetch_all(&self.sql, &[after, (PAGE as u64).into()])
                .await?
                .into();
            self.ended = self.rows.len() < PAGE;
            if let Some(last) = self.rows.back() {
                self.after = self.key(last)?;
            }
        }
        self.rows.front().map(|row| self.key(row)).transpose()
    }

    fn pop(&mut self) -> Option<Row> {
        self.rows.pop_front()
    }

    fn key(&self, row: &Row) -> Result<Key, DatabaseError> {
        let (name, _) = self.table.columns[0];
        Ok(match self.after {
            Key::Id(_) => Key::Id(row.uuid(name)?),
            Key::Position(_) => Key::Position(row.unsigned(name)?),
        })
    }
}
