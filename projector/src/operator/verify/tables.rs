//! Compares two sets of read models row by row, some rows at a time as they are at one moment. Both may change
//! meanwhile.

use std::{cmp::Ordering, collections::VecDeque};

use database::{Database, DatabaseError, Row, Transaction, Value};
use events::{PartitionCount, TaskPurged, UserId};
use read_models::{CHECKPOINTS, checkpoints_of};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    differences::{Differences, unreadable},
    reading::PAGE,
    rows::{ERASED_AFTER, different_columns, row_values},
};
use crate::models::{
    AUDIT_LOG, Model as _, PARKED_EVENTS_WITHOUT_REASON, TASK_HISTORY, for_each_model,
    table::{Column, Table},
};

/// The most rows that are compared as they are at one moment.
const ROWS_OF_A_MOMENT: u64 = 10 * PAGE as u64;

/// The tables to compare, each with the column of the person whom a row is about.
fn compared_tables() -> Vec<(Table, &'static str)> {
    let mut tables = Vec::new();
    for_each_model!(M => tables.push((M::TABLE, M::SUBJECT)));
    tables.extend([
        (TASK_HISTORY, "owner"),
        (AUDIT_LOG, "subject"),
        (PARKED_EVENTS_WITHOUT_REASON, "subject"),
    ]);
    tables
}

/// The result of comparing two sets of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    pub tables: Vec<ComparedTable>,
    /// The differences in sentences; the last one counts those beyond the first hundred.
    pub differences: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComparedTable {
    pub name: &'static str,
    pub rows: u64,
    /// The number of rows that cannot be compared, because only one side has their newest event.
    pub moved: u64,
    /// SHA-256 of the compared rows, of the first and of the second set.
    pub digests: [String; 2],
}

/// One set of tables at one moment.
struct Side {
    name: &'static str,
    tx: Transaction,
    checkpoints: Vec<u64>,
}

/// Both sets of tables at one moment. It ends after some rows, since while it lasts SQLite cannot empty its -wal, and
/// PostgreSQL cannot remove rows that were replaced.
struct Moment {
    sides: [Side; 2],
    partitions: PartitionCount,
    /// The position up to which both sides are projected, by partition.
    known: Vec<u64>,
}

impl Moment {
    async fn now([live, rebuilt]: [&Database; 2], partitions: PartitionCount) -> Result<Self, DatabaseError> {
        let sides = [
            Side::open("the live tables", live, partitions).await?,
            Side::open("the rebuilt tables", rebuilt, partitions).await?,
        ];
        let checkpoints = sides[0].checkpoints.iter().zip(&sides[1].checkpoints);
        Ok(Self { known: checkpoints.map(|(left, right)| *left.min(right)).collect(), partitions, sides })
    }

    fn known(&self, subject: UserId) -> u64 {
        match subject {
            // The row of a purged task does not name its owner.
            UserId::NOBODY => self.known.iter().min().copied().unwrap_or_default(),
            subject => self.known[usize::from(self.partitions.of(subject))],
        }
    }
}

/// Compares `live` with `rebuilt`, both projected with this number of partitions. Events that only one of them has
/// projected so far are left out. `progress` gets the number of rows that were read.
pub(crate) async fn compare_tables(
    live: &Database,
    rebuilt: &Database,
    partitions: PartitionCount,
    mut progress: impl FnMut(u64),
) -> Result<Comparison, DatabaseError> {
    let mut differences = Differences::default();
    let (mut tables, mut read) = (Vec::new(), 0);
    for (table, subject) in compared_tables() {
        let mut compared = ComparedTable { name: table.name, rows: 0, moved: 0, digests: Default::default() };
        let mut digests = [Sha256::new(), Sha256::new()];
        let mut cursors = [Cursor::new(table), Cursor::new(table)];
        loop {
            let moment = Moment::now([live, rebuilt], partitions).await?;
            let some =
                compare_some(moment, &mut cursors, subject, &mut compared, &mut digests, &mut differences);
            let rows = some.await?;
            read += rows;
            progress(read);
            // At this moment there were no more. Those of later moments, which may never end, were not asked for.
            if rows < ROWS_OF_A_MOMENT {
                break;
            }
            // What was read ahead belongs to this moment. A row that one side has lacked may be there at the next one.
            let after = cursors[0].after.max(cursors[1].after);
            cursors.iter_mut().for_each(|cursor| cursor.go_on_after(after));
        }
        compared.digests = digests.map(|digest| hex::encode(digest.finalize()));
        tables.push(compared);
    }
    Ok(Comparison { tables, differences: differences.list() })
}

/// Compares the next rows of a table, up to [`ROWS_OF_A_MOMENT`]. Returns how many there were.
async fn compare_some(
    mut moment: Moment,
    cursors: &mut [Cursor; 2],
    subject: &str,
    compared: &mut ComparedTable,
    digests: &mut [Sha256; 2],
    differences: &mut Differences,
) -> Result<u64, DatabaseError> {
    let table = cursors[0].table;
    let mut read = 0;
    while read < ROWS_OF_A_MOMENT
        && let Some(rows) = next_rows(cursors, &mut moment.sides).await?
    {
        read += 1;
        if has_moved(&rows, &mut moment, table, subject).await? {
            compared.moved += 1;
            continue;
        }
        compared.rows += 1;
        let mut values = [None, None];
        for side in [0, 1] {
            if let Some(row) = &rows[side] {
                let row = match row_values(table, row) {
                    Ok(row) => row,
                    Err(error) => {
                        let key = row.shown(table.columns[0].0);
                        differences.add(unreadable(table.name, &key, &error));
                        continue;
                    }
                };
                digests[side].update(format!("{row:?}"));
                values[side] = Some(row);
            }
        }
        match values {
            [Some(left), Some(right)] if left == right => {}
            [Some(left), Some(right)] => differences.add(difference(table, &left, &right)),
            [Some(row), None] => differences.add(only_there(table, &moment.sides[0], &row)),
            [None, Some(row)] => differences.add(only_there(table, &moment.sides[1], &row)),
            [None, None] => {}
        }
    }
    Ok(read)
}

/// The rows with the next key, from both sides or from the one that has it.
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
        if order.is_le() { cursors[0].pop()? } else { None },
        if order.is_ge() { cursors[1].pop()? } else { None },
    ]))
}

/// Whether rows cannot be compared, because only one side has their newest event.
async fn has_moved(
    rows: &[Option<Row>; 2],
    moment: &mut Moment,
    table: Table,
    subject: &str,
) -> Result<bool, DatabaseError> {
    for row in rows.iter().flatten() {
        // A row that cannot be read is compared.
        let (Ok(position), Ok(subject)) = (row.unsigned("position"), row.uuid(subject)) else {
            return Ok(false);
        };
        if position > moment.known(UserId(subject)) {
            return Ok(true);
        }
    }
    let Some((row, missing)) = only_one(rows) else {
        return Ok(false);
    };
    let subject = UserId(row.uuid(subject)?);
    let known = moment.known(subject);
    let missing = &mut moment.sides[missing];
    if missing.has_erased(subject, known).await? {
        return Ok(true);
    }
    Ok(table.name == TASK_HISTORY.name && missing.has_purged(row.uuid("task")?, known).await?)
}

/// Reports the columns in which two rows with the same key differ.
fn difference(table: Table, left: &[Value], right: &[Value]) -> String {
    let columns = different_columns(table, left, right);
    format!("{} differs in row {}: {}", table.name, key_text(left), columns.join(", "))
}

/// Reports a row that only one side has.
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
        let rows = tx.fetch_all(CHECKPOINTS, &[partitions.get().into()]).await?;
        for (partition, point) in checkpoints_of(&rows, partitions) {
            checkpoints[usize::from(partition)] = point.position;
        }
        Ok(Self { name, tx, checkpoints })
    }

    /// Whether this side has erased the person after the position `known`.
    async fn has_erased(&mut self, subject: UserId, known: u64) -> Result<bool, DatabaseError> {
        let row = self.tx.fetch_optional(ERASED_AFTER, &[subject.0.into(), known.into()]).await?;
        Ok(row.is_some())
    }

    /// Whether this side has purged the task after the position `known`.
    async fn has_purged(&mut self, task: Uuid, known: u64) -> Result<bool, DatabaseError> {
        let sql = "SELECT position FROM task_history WHERE task = $1 AND position > $2 AND type = $3";
        let values = [task.into(), known.into(), TaskPurged::KIND.into()];
        let row = self.tx.fetch_optional(sql, &values).await?;
        Ok(row.is_some())
    }
}

/// A key of a row. All keys of one table are of the same kind.
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
    /// The key of the last row that was taken.
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
            self.rows = tx.fetch_all(&self.sql, &[after, (PAGE as u64).into()]).await?.into();
            self.ended = self.rows.len() < PAGE;
        }
        self.rows.front().map(|row| self.key(row)).transpose()
    }

    fn pop(&mut self) -> Result<Option<Row>, DatabaseError> {
        let row = self.rows.pop_front();
        if let Some(row) = &row {
            self.after = self.key(row)?;
        }
        Ok(row)
    }

    /// Reads again what was not taken, after the row with the key `after`.
    fn go_on_after(&mut self, after: Key) {
        self.after = after;
        self.rows.clear();
        self.ended = false;
    }

    fn key(&self, row: &Row) -> Result<Key, DatabaseError> {
        let (name, _) = self.table.columns[0];
        Ok(match self.after {
            Key::Id(_) => Key::Id(row.uuid(name)?),
            Key::Position(_) => Key::Position(row.unsigned(name)?),
        })
    }
}
