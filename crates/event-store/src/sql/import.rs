//! Writes events of another log, byte for byte, at the next positions. Everything happens in one transaction that
//! holds the lock of appends, so appends wait meanwhile.

use database::{Database, DatabaseError, Transaction, Value, placeholders};
use events::{EventId, LogPoint, StoredEvent};
use uuid::Uuid;

use super::{channel::CHANNEL, record::columns};
use crate::{ImportError, StoreError, UnfinishedImport, import};

/// The most rows of a statement.
const ROWS: usize = 100;
/// The number of columns of a row.
const COLUMNS: usize = 11;

/// The lock that `append_events()` takes.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0))";

/// Finds the first imported event whose stream does not have the version before it.
const OUT_OF_ORDER: &str = "SELECT position FROM events AS event
    WHERE position > $1 AND version > 1 AND NOT EXISTS (
        SELECT 1 FROM events AS before WHERE before.stream = event.stream
            AND before.version = event.version - 1 AND before.position < event.position
    ) ORDER BY position LIMIT 1";

pub(super) async fn import(
    database: &Database,
    after: LogPoint,
    events: &[StoredEvent],
) -> Result<LogPoint, ImportError> {
    let unavailable = |error: DatabaseError| ImportError::Store(StoreError::unavailable(error));
    let ids = events.iter().map(import::check).collect::<Result<Vec<_>, _>>()?;
    let Some(last) = ids.last() else {
        return Ok(after);
    };
    let mut transaction = database.begin().await.map_err(unavailable)?;
    let head = lock(&mut transaction).await.map_err(unavailable)?;
    if head.position != after.position || !after.agrees_with(head.id) {
        return Err(ImportError::MovedOn);
    }
    let mut position = after.position;
    for (events, ids) in events.chunks(ROWS).zip(ids.chunks(ROWS)) {
        let mut values: Vec<Value> = Vec::with_capacity(events.len() * COLUMNS);
        for (event, id) in events.iter().zip(ids) {
            position += 1;
            values.extend(row(event, *id, position)?);
        }
        match transaction.execute(&insert(events.len()), &values).await {
            Ok(_) => {}
            Err(error) if error.refuses_data() => {
                let reason = format!("the database refuses it or one of the {ROWS} after it: {error}");
                return Err(ImportError::refused(&events[0], reason));
            }
            Err(error) => return Err(unavailable(error)),
        }
    }
    if let Some(stray) = first_out_of_order(&mut transaction, after).await.map_err(unavailable)? {
        let index = usize::try_from(stray - after.position - 1).unwrap_or_default();
        let stray = events.get(index).unwrap_or(&events[0]);
        return Err(ImportError::refused(stray, "the version before it is not there"));
    }
    if transaction.is_postgres() {
        transaction.signal(CHANNEL, "", position.to_string());
    }
    transaction.commit().await.map_err(unavailable)?;
    Ok(LogPoint { position, id: Some(EventId(*last)) })
}

/// The columns of an event.
fn row(event: &StoredEvent, id: Uuid, position: u64) -> Result<[Value; COLUMNS], ImportError> {
    let data = event.data.whole();
    Ok([
        position.into(),
        event.version.into(),
        event.recorded_at.into(),
        event.schema_version.into(),
        id.into(),
        event.stream.as_str().into(),
        event.kind.as_str().into(),
        event.encoding.as_str().into(),
        import::metadata(event).unwrap_or_default().into(),
        data.map_or_else(Vec::new, |data| data.to_vec()).into(),
        import::kept_hash(event)?.map(Vec::from).into(),
    ])
}

/// The position of the first event after `after` whose stream does not have the version before it.
async fn first_out_of_order(
    transaction: &mut Transaction,
    after: LogPoint,
) -> Result<Option<u64>, DatabaseError> {
    let row = transaction.fetch_optional(OUT_OF_ORDER, &[after.position.into()]).await?;
    row.map(|row| row.unsigned(0)).transpose()
}

/// Records the beginning or the end of an import.
pub(super) async fn note(
    database: &Database,
    unfinished: Option<&UnfinishedImport>,
) -> Result<(), DatabaseError> {
    const SQL: &str = "INSERT INTO imports (number, events, root)
        VALUES ((SELECT coalesce(max(number), 0) + 1 FROM imports), $1, $2)";
    let events = unfinished.map(|import| runtime::signed(import.events));
    let root = unfinished.map(|import| import.root.clone());
    database.execute(SQL, &[events.into(), root.into()]).await?;
    Ok(())
}

/// The import that has begun and not ended.
pub(super) async fn unfinished(database: &Database) -> Result<Option<UnfinishedImport>, DatabaseError> {
    const SQL: &str = "SELECT events, root FROM imports ORDER BY number DESC LIMIT 1";
    let Some(row) = database.fetch_optional(SQL, &[]).await? else {
        return Ok(None);
    };
    Ok(match (row.optional_integer(0)?, row.optional_text(1)?) {
        (Some(events), Some(root)) => {
            Some(UnfinishedImport { events: u64::try_from(events).unwrap_or_default(), root })
        }
        _ => None,
    })
}

/// Blocks all appends, and returns the end of the log.
async fn lock(transaction: &mut Transaction) -> Result<LogPoint, DatabaseError> {
    const SQL: &str = "SELECT position, id FROM events ORDER BY position DESC LIMIT 1";
    if transaction.is_postgres() {
        // Reads after the lock must see everything that was committed before it was granted.
        transaction.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", &[]).await?;
        transaction.execute(LOCK, &[]).await?;
    }
    let row = transaction.fetch_optional(SQL, &[]).await?;
    Ok(match row {
        Some(row) => LogPoint { position: row.unsigned(0)?, id: Some(EventId(row.uuid(1)?)) },
        None => LogPoint::START,
    })
}

fn insert(rows: usize) -> String {
    let places: Vec<String> = (0..rows)
        .map(|row| {
            let first = row * COLUMNS + 1;
            format!("({})", placeholders(first..first + COLUMNS))
        })
        .collect();
    format!(concat!("INSERT INTO events (", columns!(), ") VALUES {}"), places.join(", "))
}
