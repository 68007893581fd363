//! Writes the results of a batch of events to the tables.

use std::collections::HashMap;

use database::{DatabaseError, Transaction};
use events::{StreamName, TaskId, UserId};

use crate::{
    models::{
        AUDIT_LOG, ListedModel, ModelRows, PARKED_EVENTS, TASK_HISTORY, TaskVersion, audit_values,
        for_each_model, storable,
        table::{Conflict, Rows},
        table_of,
    },
    projecting::{
        decode::{Decoded, Reading},
        deletion::{Erasure, RowBudget, purge},
        fold::{Fold, Parked},
    },
};

pub(crate) async fn write(tx: &mut Transaction, fold: Fold) -> Result<(), DatabaseError> {
    let Fold { mut rows, erased, purged, newly_erased, newly_dropped, newly_parked, .. } = fold;
    let is_erased = |subject: UserId| erased.contains_key(&subject);
    let mut budget = RowBudget::new();
    let history = rows.history.take().unwrap_or_default();
    write_history(tx, history, is_erased, &purged, &mut budget).await?;
    delete(tx, newly_dropped.iter()).await?;
    for_each_model!(M => write_rows::<M>(tx, &mut rows, is_erased).await?);
    park(tx, &newly_parked).await?;
    for subject in newly_erased {
        let position = erased.get(&subject).copied().unwrap_or_default();
        remember_erased(tx, subject, position).await?;
        if !Erasure::of(subject).delete_some(tx, &mut budget).await? {
            let sql =
                "INSERT INTO unfinished_erasures (subject) VALUES ($1) ON CONFLICT (subject) DO NOTHING";
            tx.execute(sql, &[subject.0.into()]).await?;
        }
    }
    Ok(())
}

/// Writes the audit trail of `events`, without the request ids of people who are `erased` or whose key is unusable.
pub(crate) async fn audit(
    tx: &mut Transaction,
    events: &[Decoded],
    erased: &HashMap<UserId, u64>,
) -> Result<(), DatabaseError> {
    let mut rows = Rows::of(AUDIT_LOG);
    for event in events.iter().filter(|event| event.reading != Reading::Place) {
        let is_erased = erased.contains_key(&event.record.metadata.subject);
        audit_values(&event.record, is_erased, rows.push());
    }
    rows.insert(tx, Conflict::Keep).await
}

/// Deletes the rows of `streams`.
pub(crate) async fn delete(
    tx: &mut Transaction,
    streams: impl Iterator<Item = &StreamName>,
) -> Result<(), DatabaseError> {
    for (table, id) in streams.filter_map(table_of) {
        let sql = format!("DELETE FROM {} WHERE id = $1", table.name);
        tx.execute(&sql, &[id.into()]).await?;
    }
    Ok(())
}

/// Remembers that nothing about the person `subject`, who was erased at `position` in the log, is projected any more.
pub(crate) async fn remember_erased(
    tx: &mut Transaction,
    subject: UserId,
    position: u64,
) -> Result<(), DatabaseError> {
    tx.execute(
        "INSERT INTO erased_subjects (subject, position) VALUES ($1, $2) ON CONFLICT (subject) DO NOTHING",
        &[subject.0.into(), position.into()],
    )
    .await
    .map(drop)
}

async fn write_rows<M: ListedModel>(
    tx: &mut Transaction,
    rows: &mut ModelRows,
    is_erased: impl Fn(UserId) -> bool,
) -> Result<(), DatabaseError> {
    let mut changed: Vec<_> = std::mem::take(&mut M::slots(rows).0)
        .into_values()
        .filter(|slot| slot.changed && !is_erased(slot.state.subject()))
        .collect();
    // Ids that are close in the index are close in time, and two projectors lock rows in the same order.
    changed.sort_unstable_by_key(|slot| slot.state.id());
    let mut rows = Rows::of(M::TABLE);
    for slot in changed {
        slot.state.values(slot.position, rows.push());
    }
    rows.insert(tx, Conflict::Replace).await
}

/// Writes the `history` and deletes what came before the purges in it. Nothing comes back of the tasks that were
/// `purged_earlier`, by a projection that has been as far before.
async fn write_history(
    tx: &mut Transaction,
    history: Vec<TaskVersion>,
    is_erased: impl Fn(UserId) -> bool,
    purged_earlier: &HashMap<TaskId, u64>,
    budget: &mut RowBudget,
) -> Result<(), DatabaseError> {
    let purged = history.iter().filter(|version| version.is_purge());
    let purged: HashMap<TaskId, u64> =
        purged.map(|version| (version.task, version.record.position)).collect();
    for (task, position) in &purged {
        if !purge(tx, *task, *position, budget).await? {
            let sql = "INSERT INTO unfinished_purges (task, position) VALUES ($1, $2) ON CONFLICT (task) DO NOTHING";
            tx.execute(sql, &[task.0.into(), (*position).into()]).await?;
        }
    }
    let mut rows = Rows::of(TASK_HISTORY);
    for version in history {
        let is_kept = |purged_at: &u64| version.record.position >= *purged_at;
        let purged_at = purged.get(&version.task).or_else(|| purged_earlier.get(&version.task));
        if !is_erased(version.record.metadata.subject) && purged_at.is_none_or(is_kept) {
            version.values(rows.push());
        }
    }
    rows.insert(tx, Conflict::Keep).await
}

async fn park(tx: &mut Transaction, parked: &[Parked]) -> Result<(), DatabaseError> {
    let mut rows = Rows::of(PARKED_EVENTS);
    for Parked { record, reason, .. } in parked {
        rows.push().extend([
            record.position.into(),
            storable(record.stream.as_str()).into(),
            record.version.into(),
            storable(&record.kind).into(),
            record.metadata.subject.0.into(),
            storable(reason).into(),
            1_i64.into(),
        ]);
    }
    rows.insert(tx, Conflict::Keep).await
}
