//! Compares the rows of one read model with those that a fold expects.

use std::collections::HashMap;

use database::{Database, DatabaseError, Row, Value};
use event_store::EventStore;
use events::{StreamName, UserId};
use uuid::Uuid;

use super::{
    VerifyError,
    differences::{Differences, unreadable},
    exceptions::Exceptions,
    reading::{PAGE, each_of_stream, fold_in},
};
use crate::models::{
    ListedModel, Model, ModelRows, Slot,
    table::{Column, Table},
};

/// Has a row if the person $1 was erased after the position $2.
pub(super) const ERASED_AFTER: &str =
    "SELECT position FROM erased_subjects WHERE subject = $1 AND position > $2";

pub(super) struct RowVerifier<'a> {
    pub(super) store: &'a dyn EventStore,
    pub(super) read_models: &'a Database,
    pub(super) exceptions: Exceptions,
    /// The people erased up to the head.
    pub(super) erased: HashMap<UserId, u64>,
    /// The position up to which the log was folded.
    pub(super) head: u64,
    pub(super) differences: Differences,
    /// Rows of streams whose payloads were dropped from the log, and whose rows were to be deleted next.
    pub(super) left_by_drop: u64,
}

impl RowVerifier<'_> {
    /// Compares every row of a model with those in `rows`, which a fold expects. Returns how many rows there are.
    pub(super) async fn compare<M: ListedModel>(&mut self, rows: &mut ModelRows) -> Result<u64, VerifyError> {
        let table = M::TABLE.name;
        let mut expected = std::mem::take(&mut M::slots(rows).0);
        expected.retain(|_, slot| !self.erased.contains_key(&slot.state.subject()));
        let columns = M::TABLE.column_list();
        let sql = format!("SELECT {columns} FROM {table} WHERE id > $1 ORDER BY id LIMIT $2");
        let (mut after, mut count) = (Uuid::nil(), 0);
        loop {
            let page = self.read_models.fetch_all(&sql, &[after.into(), (PAGE as u64).into()]).await?;
            for row in &page {
                after = row.uuid("id")?;
                let slot = expected.remove(&after);
                self.compare_row::<M>(after, row, slot).await?;
            }
            count += page.len() as u64;
            if page.len() < PAGE {
                break;
            }
        }
        for (id, slot) in expected {
            if !self.is_erased_meanwhile(slot.state.subject()).await? {
                self.differences.add(format!("{table} lacks row {id}"));
            }
        }
        Ok(count)
    }

    async fn compare_row<M: ListedModel>(
        &mut self,
        id: Uuid,
        row: &Row,
        slot: Option<Slot<M>>,
    ) -> Result<(), VerifyError> {
        let table = M::TABLE;
        let found = match row_values(table, row) {
            Ok(found) => found,
            Err(error) => {
                self.differences.add(unreadable(table.name, &id.to_string(), &error));
                return Ok(());
            }
        };
        if slot.as_ref().is_some_and(|slot| slot_values(slot) == found) {
            return Ok(());
        }
        // The row has changed since the head was read: its stream shows what it should be.
        let slot = match (row.unsigned("position"), row.unsigned("version")) {
            (Ok(position), Ok(version)) if position > self.head => self.fold_stream::<M>(id, version).await?,
            _ => slot,
        };
        match slot {
            None if self.exceptions.is_leaving(UserId(row.uuid(M::SUBJECT)?)) => {}
            None if was_dropped(self.store, &M::stream(&id.into()), &self.erased).await? => {
                self.left_by_drop += 1
            }
            None => self.differences.add(format!("{} has row {id}, which should not be there", table.name)),
            Some(slot) => {
                let columns = different_columns(table, &slot_values(&slot), &found);
                if !columns.is_empty() {
                    self.differences.add(format!(
                        "{} differs in row {id}: {}",
                        table.name,
                        columns.join(", ")
                    ));
                }
            }
        }
        Ok(())
    }

    async fn fold_stream<M: ListedModel>(
        &self,
        id: Uuid,
        version: u64,
    ) -> Result<Option<Slot<M>>, VerifyError> {
        let mut fold = self.exceptions.fold();
        each_of_stream(self.store, &M::stream(&id.into()), |event| {
            if event.record.version <= version {
                fold_in(&mut fold, event);
            }
        })
        .await?;
        Ok(M::slots(&mut fold.rows).0.remove(&id))
    }

    /// Whether `subject` was erased, before the head or later.
    pub(super) async fn was_erased(&self, subject: UserId) -> Result<bool, VerifyError> {
        Ok(self.erased.contains_key(&subject) || self.is_erased_meanwhile(subject).await?)
    }

    /// Whether `subject` was erased after the log was folded.
    async fn is_erased_meanwhile(&self, subject: UserId) -> Result<bool, VerifyError> {
        Ok(match self.exceptions.erased_at(subject) {
            Some(position) => position > self.head,
            None => self
                .read_models
                .fetch_optional(ERASED_AFTER, &[subject.0.into(), self.head.into()])
                .await?
                .is_some(),
        })
    }
}

/// Whether payloads of `stream` were dropped from the log, so that nothing shows what its row should be. Rows of
/// `erased` people were deleted long before.
async fn was_dropped(
    store: &dyn EventStore,
    stream: &StreamName,
    erased: &HashMap<UserId, u64>,
) -> Result<bool, VerifyError> {
    let mut dropped = false;
    each_of_stream(store, stream, |event| {
        dropped |= event.record.is_dropped() && !erased.contains_key(&event.record.metadata.subject);
    })
    .await?;
    Ok(dropped)
}

pub(super) fn slot_values<M: Model>(slot: &Slot<M>) -> Vec<Value> {
    let mut values = Vec::new();
    slot.state.values(slot.position, &mut values);
    values
}

/// A row in the order of the table's columns.
pub(super) fn row_values(table: Table, row: &Row) -> Result<Vec<Value>, DatabaseError> {
    table
        .columns
        .iter()
        .map(|&(name, column)| {
            Ok(match column {
                Column::Integer => Value::Integer(row.optional_integer(name)?),
                Column::Text => Value::Text(row.optional_text(name)?),
                Column::Bytes => Value::Bytes(row.optional_bytes(name)?),
                Column::Uuid => Value::Uuid(Some(row.uuid(name)?)),
                Column::Boolean => Value::Boolean(row.boolean(name)?),
            })
        })
        .collect()
}

/// The columns in which two rows of a table differ.
pub(super) fn different_columns(table: Table, left: &[Value], right: &[Value]) -> Vec<&'static str> {
    table
        .columns
        .iter()
        .zip(left.iter().zip(right))
        .filter(|(_, (left, right))| left != right)
        .map(|((name, _), _)| *name)
        .collect()
}
