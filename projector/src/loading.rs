//! Reads from the tables what a batch of events builds on.

use std::collections::{HashMap, HashSet};

use database::{Database, DatabaseError, Transaction};
use events::{Account, Session, StreamKind, StreamName, Task, UserId};
use read_models::Dialect;
use uuid::Uuid;

use crate::{
    decode::Decoded,
    fold::{Fold, Slot, Slots},
    models::Model,
};

/// What is parked, discarded and erased, in one round trip. Nearly always that is next to nothing.
const EXCEPTIONS: &str =
    "SELECT 'parked' AS kind, stream AS name, MIN(version) AS number FROM parked_events GROUP BY stream
     UNION ALL SELECT 'discarded', stream, version FROM discarded_events
     UNION ALL SELECT 'erased', CAST(subject AS TEXT), position FROM erased_subjects WHERE ";

/// A fold that knows the rows which `events` change, as `tx` sees them.
pub(crate) async fn load(
    database: &Database,
    tx: &mut Transaction,
    events: &[Decoded],
) -> Result<Fold, DatabaseError> {
    let mut fold = Fold::default();
    load_exceptions(database, tx, events, &mut fold).await?;
    let (mut tasks, mut accounts, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
    for (stream, version) in first_versions(events) {
        // A stream that begins here has no row yet. Should it have one, from an earlier time that these events
        // were projected, then that is newer and the write leaves it alone.
        if version == 1 {
            continue;
        }
        match stream.kind() {
            Ok(StreamKind::Task(id)) => tasks.push(id.0),
            Ok(StreamKind::Account(id)) => accounts.push(id.0),
            Ok(StreamKind::Session(id)) => sessions.push(id.0),
            Ok(StreamKind::Email(_) | StreamKind::Admins) | Err(_) => {}
        }
    }
    fold.tasks = load_rows::<Task>(database, tx, tasks).await?;
    fold.accounts = load_rows::<Account>(database, tx, accounts).await?;
    fold.sessions = load_rows::<Session>(database, tx, sessions).await?;
    Ok(fold)
}

async fn load_exceptions(
    database: &Database,
    tx: &mut Transaction,
    events: &[Decoded],
    fold: &mut Fold,
) -> Result<(), DatabaseError> {
    let subjects: HashSet<Uuid> = events
        .iter()
        .map(|event| event.record.metadata.subject.0)
        .collect();
    let dialect = Dialect::of(database);
    let sql = format!("{EXCEPTIONS}{}", dialect.one_of("subject", 1));
    for row in tx.fetch_all(&sql, &[dialect.id_list(subjects)]).await? {
        let (name, number) = (row.text("name")?, row.unsigned("number")?);
        match row.text("kind")?.as_str() {
            "parked" => drop(fold.parked.insert(StreamName::raw(name), number)),
            "discarded" => drop(
                fold.discarded
                    .entry(StreamName::raw(name))
                    .or_default()
                    .insert(number),
            ),
            _ => {
                let subject = name
                    .parse::<UserId>()
                    .map_err(|_| DatabaseError::Unexpected(format!("erased_subjects holds `{name}`")))?;
                fold.erased.insert(subject, number);
            }
        }
    }
    Ok(())
}

fn first_versions(events: &[Decoded]) -> HashMap<&StreamName, u64> {
    let mut first = HashMap::new();
    for event in events {
        first.entry(&event.record.stream).or_insert(event.record.version);
    }
    first
}

/// The rows with these ids.
pub(crate) async fn load_rows<M: Model>(
    database: &Database,
    tx: &mut Transaction,
    ids: Vec<Uuid>,
) -> Result<Slots<M>, DatabaseError> {
    if ids.is_empty() {
        return Ok(Slots::default());
    }
    let dialect = Dialect::of(database);
    let sql = format!(
        "SELECT * FROM {} WHERE {}",
        M::TABLE.name,
        dialect.one_of("id", 1)
    );
    let rows = tx.fetch_all(&sql, &[dialect.id_list(ids)]).await?;
    let mut slots = HashMap::with_capacity(rows.len());
    for row in rows {
        let state = M::from_row(&row)?;
        slots.insert(
            state.id(),
            Slot {
                state,
                position: row.unsigned("position")?,
                changed: false,
            },
        );
    }
    Ok(Slots(slots))
}
