//! Compares events with the present log before they are projected. After a restore, a failover that lost the last
//! events, or a change of the log, nothing is projected until the read models are rebuilt.

use std::sync::Arc;

use bus::EventMessage;
use event_store::EventStore;
use events::LogPoint;
use read_models::LogIdentity;
use tokio_util::sync::CancellationToken;

use crate::{error::ProjectError, metrics::ProjectorMetrics};

/// Compares checkpoints and messages with the log, and keeps the result for the whole process.
#[derive(Clone)]
pub(crate) struct LogComparison {
    identity: LogIdentity,
    metrics: ProjectorMetrics,
}

impl LogComparison {
    pub(crate) fn new(store: Arc<dyn EventStore>, metrics: ProjectorMetrics) -> Self {
        Self { identity: LogIdentity::new(store), metrics }
    }

    /// Compares the checkpoints of all partitions with the log. Called repeatedly, it also notices that the read
    /// models were rebuilt.
    pub(crate) async fn compare(&self, checkpoints: &[LogPoint]) -> Result<(), ProjectError> {
        let agree = self.identity.agrees(checkpoints).await?;
        self.note(checkpoints, &agree)
    }

    /// The same for the checkpoints of a batch, and for its last event `read_to`. A log that has both has all events
    /// in between. Must be called right before the batch is applied, because the log may have lost its end since the
    /// batch was read.
    pub(crate) async fn confirm(
        &self,
        checkpoints: &[LogPoint],
        read_to: LogPoint,
    ) -> Result<(), ProjectError> {
        let points = [checkpoints, &[read_to]].concat();
        let agree = self.identity.agrees(&points).await?;
        let (has_read_to, agree) = agree.split_last().ok_or(ProjectError::LostTail)?;
        self.refuse(checkpoints, agree)?;
        if *has_read_to { Ok(()) } else { Err(ProjectError::LostTail) }
    }

    /// Compares the new messages and their checkpoint with the log, in one read. Drops messages of events that the
    /// log does not have. Returns whether there were any.
    pub(crate) async fn sift(
        &self,
        checkpoint: LogPoint,
        messages: &mut Vec<EventMessage>,
    ) -> Result<bool, ProjectError> {
        messages.retain(|message| message.event.position > checkpoint.position);
        if messages.is_empty() {
            return Ok(false);
        }
        let points: Vec<LogPoint> = std::iter::once(checkpoint)
            .chain(messages.iter().map(|message| LogPoint::from(&message.event)))
            .collect();
        let agree = self.identity.agrees(&points).await?;
        self.refuse(&points[..1], &agree[..1])?;
        let before = messages.len();
        let mut known = agree[1..].iter();
        let mut first_unknown = None;
        messages.retain(|message| {
            let known = known.next().is_some_and(|known| *known);
            if !known {
                first_unknown.get_or_insert(message.event.position);
            }
            known
        });
        let Some(position) = first_unknown else {
            return Ok(false);
        };
        let dropped = before - messages.len();
        self.metrics.unknown_messages.inc_by(dropped as u64);
        tracing::warn!(
            event.position = position,
            messages = dropped,
            "the bus has delivered events that the log does not have: they are dropped and the log is read instead"
        );
        Ok(true)
    }

    /// Why nothing may be projected now; `None` if events may be.
    pub(crate) fn complaint(&self) -> Option<&'static str> {
        self.identity.complaint()
    }

    /// Waits until [`Self::compare`] finds no mismatch. Returns `false` when it is time to stop.
    pub(crate) async fn agreed(&self, stop: &CancellationToken) -> bool {
        stop.run_until_cancelled(self.identity.agreed()).await.is_some()
    }

    /// Fails unless all of some `points` agree, from which it cannot be told that those of all partitions do again.
    fn refuse(&self, points: &[LogPoint], agree: &[bool]) -> Result<(), ProjectError> {
        match agree.contains(&false) {
            true => self.note(points, agree),
            false => Ok(()),
        }
    }

    fn note(&self, points: &[LogPoint], agree: &[bool]) -> Result<(), ProjectError> {
        let mismatches = agree.iter().filter(|agrees| !**agrees).count();
        let before = self.identity.note(mismatches);
        self.metrics.log_mismatch.set(runtime::signed(mismatches));
        if mismatches > 0 && before == 0 {
            let first = points.iter().zip(agree).find(|(_, agrees)| !**agrees);
            tracing::error!(
                event.position = first.map(|(point, _)| point.position),
                event.id = first.and_then(|(point, _)| point.id).map(|id| id.to_string()),
                "the read models were projected from another history of the log, which has not this event: nothing \
                 is projected until `taskledger restore check --repair` has been run"
            );
        } else if mismatches == 0 && before > 0 {
            tracing::info!("the read models agree with the log again: projecting goes on");
        }
        match mismatches {
            0 => Ok(()),
            _ => Err(ProjectError::OtherLog),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::iter::repeat_with;

    use database::{Database, Schema};
    use event_store::SqlStore;
    use events::{NewEvent, StreamName, TaskId};
    use runtime::Metrics;
    use uuid::Uuid;

    use super::*;
    use crate::testing::deleted;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_before_the_log_lost_it_is_not_confirmed() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("events.db").display());
        let database = Database::connect(&url, Schema::EventStore, 2).await.unwrap();
        database.migrate().await.unwrap();
        let store: Arc<dyn EventStore> = Arc::new(SqlStore::new(database.clone()));
        let events = || -> Vec<NewEvent> { repeat_with(deleted).take(10).collect() };
        let (stream, written) = (StreamName::task(TaskId(Uuid::nil())), events());
        let point = |position: u64| LogPoint {
            position,
            id: Some(written[usize::try_from(position - 1).unwrap()].id),
        };
        store.append(&stream, 0, written.clone()).await.unwrap();
        let metrics = ProjectorMetrics::new(&Metrics::new("projector"));
        let identity = LogComparison::new(Arc::clone(&store), metrics);
        identity.confirm(&[point(5)], point(10)).await.unwrap();

        // It loses its tail and grows again, after the events up to the tenth were read.
        let cut = "DELETE FROM events WHERE position > 5";
        assert_eq!(database.execute(cut, &[]).await.unwrap(), 5);
        store.append(&stream, 5, events()).await.unwrap();
        let lost = identity.confirm(&[point(5)], point(10)).await;
        assert!(matches!(lost, Err(ProjectError::LostTail)), "{lost:?}");
        assert_eq!(identity.complaint(), None, "the checkpoint is in the log");
        let other = identity.confirm(&[point(6)], point(10)).await;
        assert!(matches!(other, Err(ProjectError::OtherLog)), "{other:?}");
    }
}
