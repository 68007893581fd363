//! Reads the rows and exceptions that a batch of events needs.

use std::collections::{HashMap, HashSet};

use database::{Database, DatabaseError, Dialect, Transaction, left_out, list_parameter};
use events::{StreamKind, StreamName, Task, TaskId, UserId};
use runtime::with_causes;

use crate::{
    models::{ListedModel, Slot, for_each_model, storable},
    projecting::{
        decode::Decoded,
        fold::{Fold, UnreadableRow},
    },
};

/// Selects the parked, discarded and erased entries of the streams and people of a batch, and which of the tasks that
/// begin in it are purged by now, in one round trip. The cost does not depend on other entries.
fn exceptions(database: &Database) -> String {
    let dialect = Dialect::of(database);
    let streams = match dialect {
        Dialect::Postgres => "jsonb_array_elements_text($2::text::jsonb)",
        Dialect::Sqlite => "json_each($2)",
    };
    let among_them = dialect.one_of("stream", "text", 2);
    let erased = dialect.one_of("subject", "uuid", 1);
    let begun = dialect.one_of("id", "uuid", 3);
    let nobody = UserId::NOBODY;
    format!(
        "SELECT 'parked' AS kind, stream.value AS name,
             (SELECT MIN(version) FROM parked_events WHERE parked_events.stream = stream.value) AS number
         FROM {streams} AS stream
         UNION ALL SELECT 'discarded', stream, version FROM discarded_events WHERE {among_them}
         UNION ALL SELECT 'erased', CAST(subject AS TEXT), position FROM erased_subjects WHERE {erased}
         UNION ALL SELECT 'purged', CAST(id AS TEXT), CASE WHEN owner = '{nobody}' THEN position END
             FROM tasks WHERE {begun}"
    )
}

/// A fold with the rows that `events` change, as `tx` sees them.
pub(crate) async fn load(
    database: &Database,
    tx: &mut Transaction,
    events: &[Decoded],
) -> Result<Fold, DatabaseError> {
    let mut fold = Fold::default();
    fold.rows.history = Some(Vec::new());
    // A stream that begins here has no row yet. If it has one from an earlier projection, that is newer, and the
    // write leaves it unchanged. Its history is written again, but not if the row says that the task is purged.
    let (begun, others): (Vec<_>, Vec<_>) =
        first_versions(events).into_iter().partition(|(_, version)| *version == 1);
    let kinds = |streams: Vec<(&StreamName, u64)>| -> Vec<StreamKind> {
        streams.into_iter().filter_map(|(stream, _)| stream.kind().ok()).collect()
    };
    load_exceptions(database, tx, events, &kinds(begun), &mut fold).await?;
    let streams = kinds(others);
    for_each_model!(M => load_rows::<M>(database, tx, &streams, &mut fold).await?);
    Ok(fold)
}

async fn load_exceptions(
    database: &Database,
    tx: &mut Transaction,
    events: &[Decoded],
    begun: &[StreamKind],
    fold: &mut Fold,
) -> Result<(), DatabaseError> {
    let subjects: HashSet<String> =
        events.iter().map(|event| event.record.metadata.subject.to_string()).collect();
    // The names as they are stored: see `storable`.
    let streams: HashMap<String, &StreamName> =
        events.iter().map(|event| (storable(event.record.stream.as_str()), &event.record.stream)).collect();
    let begun = begun.iter().filter_map(Task::row_of).map(|id| id.to_string());
    let values =
        [list_parameter(subjects), list_parameter(streams.keys().map(String::as_str)), list_parameter(begun)];
    for row in tx.fetch_all(&exceptions(database), &values).await? {
        let kind = row.text("kind")?;
        if row.optional_integer("number").is_ok_and(|number| number.is_none()) {
            continue;
        }
        let Some(name) = left_out(&kind, "name", &row, row.text("name")) else {
            continue;
        };
        // Whose number cannot be read is parked, or erased, from the beginning, and is neither discarded nor purged.
        let number = left_out(&kind, "name", &row, row.unsigned("number"));
        let stream = || {
            let known = streams.get(&name).copied().cloned();
            known.unwrap_or_else(|| StreamName::raw(name.as_str()))
        };
        match kind.as_str() {
            "parked" => drop(fold.parked.insert(stream(), number.unwrap_or_default())),
            "discarded" => fold.discarded.entry(stream()).or_default().extend(number),
            "purged" => fold.purged.extend(name.parse::<TaskId>().ok().zip(number)),
            _ => {
                let subject = name
                    .parse::<UserId>()
                    .map_err(|_| DatabaseError::Unexpected(format!("erased_subjects holds `{name}`")))?;
                fold.erased.insert(subject, number.unwrap_or_default());
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

/// Adds the rows of those `streams` that belong to this model to the fold.
async fn load_rows<M: ListedModel>(
    database: &Database,
    tx: &mut Transaction,
    streams: &[StreamKind],
    fold: &mut Fold,
) -> Result<(), DatabaseError> {
    let ids: Vec<String> = streams.iter().filter_map(M::row_of).map(|id| id.to_string()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "SELECT {} FROM {} WHERE {}",
        M::TABLE.column_list(),
        M::TABLE.name,
        Dialect::of(database).one_of("id", "uuid", 1)
    );
    let rows = tx.fetch_all(&sql, &[list_parameter(ids)]).await?;
    for row in rows {
        let read = M::from_row(&row).and_then(|state| Ok((state, row.unsigned("position")?)));
        match read {
            Ok((state, position)) => {
                let slot = Slot { state, position, changed: false };
                M::slots(&mut fold.rows).0.insert(slot.state.id(), slot);
            }
            // The error is about the row itself, not about the database.
            Err(error) => {
                let unreadable = UnreadableRow {
                    version: row.unsigned("version").ok(),
                    reason: format!("its row cannot be read: {}", with_causes(&error)),
                };
                fold.unreadable_rows.insert(M::stream(&row.uuid("id")?.into()), unreadable);
            }
        }
    }
    Ok(())
}
