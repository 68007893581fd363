//! Purges tasks that have been in the trash for too long. Several replicas may do this at the same time.

use std::{sync::Arc, time::Duration};

use database::{Database, DatabaseError, readable_page};
use events::{TaskId, Timestamp};
use runtime::{Clock, Rounds};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::handling::CommandHandler;

/// The pause between two passes through the whole trash.
const INTERVAL: Duration = Duration::from_secs(60);
/// The number of tasks that are purged before a pause, so that the commands of people are not delayed.
const PAGE: usize = 100;
const PAUSE: Duration = Duration::from_secs(1);
/// A larger difference between two clocks is logged.
const MAX_CLOCK_DIFFERENCE: Duration = Duration::from_secs(60);

pub(crate) struct Trash {
    pub(crate) handler: Arc<CommandHandler>,
    /// The read models, in which candidates are found. The stream of the task decides.
    pub(crate) read_models: Database,
    pub(crate) clock: Arc<dyn Clock>,
    /// How long a task stays in the trash.
    pub(crate) kept_for: Duration,
}

impl Trash {
    /// Passes through the trash repeatedly, until `stop` is cancelled. This may be interrupted at any time.
    pub(crate) async fn empty(self, stop: CancellationToken) {
        let mut rounds = Rounds::every(INTERVAL, stop);
        while rounds.next().await {
            match self.round().await {
                Ok(0) => {}
                Ok(purged) => tracing::info!(purged, "tasks were taken out of the trash for good"),
                Err(error) => {
                    tracing::warn!(%error, "the trash cannot be looked through, trying again in a minute")
                }
            }
        }
    }

    /// Passes through all candidates, the oldest first. A task that cannot be purged is skipped until the next pass.
    async fn round(&self) -> Result<u64, DatabaseError> {
        let kept_for = i64::try_from(self.kept_for.as_secs()).unwrap_or(i64::MAX);
        let deleted_before = self.now().await?.plus_seconds(-kept_for);
        let mut purged = 0;
        let mut after = (i64::MIN, Uuid::nil());
        loop {
            let page = self.page(after, deleted_before).await?;
            let Some(last) = page.last() else {
                return Ok(purged);
            };
            after = *last;
            for (_, id) in &page {
                match self.handler.purge(TaskId(*id), deleted_before).await {
                    Ok(happened) => purged += u64::from(happened),
                    Err(error) => {
                        tracing::warn!(%error, task.id = %id, "a task cannot be taken out of the trash, trying again in a minute");
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The earlier of the times of this process and of the database. A clock that is ahead would purge tasks too early;
    /// a clock that is behind only keeps them longer.
    async fn now(&self) -> Result<Timestamp, DatabaseError> {
        let theirs = self.read_models.now().await?;
        let ours = self.clock.now();
        let difference = Duration::from_micros(ours.as_micros().abs_diff(theirs));
        if difference > MAX_CLOCK_DIFFERENCE {
            tracing::warn!(
                seconds = difference.as_secs(),
                "this clock and the database's differ: the trash is emptied by the one that is behind"
            );
        }
        Ok(ours.min(Timestamp::from_micros(theirs)))
    }

    async fn page(
        &self,
        after: (i64, Uuid),
        deleted_before: Timestamp,
    ) -> Result<Vec<(i64, Uuid)>, DatabaseError> {
        let sql = format!(
            "SELECT deleted_at, id FROM tasks WHERE deleted_at IS NOT NULL AND deleted_at <= $3
                 AND (deleted_at, id) > ($1, $2) ORDER BY deleted_at, id LIMIT {PAGE}"
        );
        let values = vec![after.0.into(), after.1.into(), deleted_before.as_micros().into()];
        let key = ["deleted_at", "id"];
        readable_page(&self.read_models, "tasks", &key, &sql, values, |row| {
            Ok((row.integer("deleted_at")?, row.uuid("id")?))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use database::Schema;
    use event_store::{EventStore, LogWatch};
    use events::{
        Actor, EventId, Metadata, NewEvent, StreamName, TaskCreated, TaskDeleted, TaskEvent, UserId,
    };
    use runtime::{Metrics, new_id};
    use tempfile::TempDir;
    use test_support::TestClock;

    use super::*;
    use crate::handling::CommandMetrics;

    const DAY: i64 = 24 * 60 * 60;

    fn record(event: impl Into<TaskEvent>, owner: UserId, at: Timestamp) -> NewEvent {
        let metadata = Metadata::new(owner, Actor::User(owner), "request", new_id());
        event.into().encode().into_event(EventId(new_id()), metadata, at)
    }

    /// Creates a task that was deleted this number of days ago.
    async fn deleted(store: &dyn EventStore, read_models: &Database, clock: &dyn Clock, days: i64) {
        let (id, owner) = (TaskId(new_id()), UserId(new_id()));
        let at = clock.now().plus_seconds(-days * DAY);
        let created = TaskCreated {
            owner,
            title: "a".to_owned(),
            description: None,
            priority: events::Priority::Normal,
            due: None,
            tags: Vec::new(),
        };
        let events = vec![record(created, owner, at), record(TaskDeleted {}, owner, at)];
        store.append(&StreamName::task(id), 0, events).await.unwrap();
        let sql = "INSERT INTO tasks (id, owner, title, title_sort, status, priority, tags, tag_list, search_text, created_at, \
                   updated_at, deleted_at, version, position) \
                   VALUES ($1, $2, 'a', 'a', 'open', 1, '[]', '', 'a', $3, $3, $3, 2, 2)";
        let values = [id.0.into(), owner.0.into(), at.as_micros().into()];
        read_models.execute(sql, &values).await.unwrap();
    }

    /// A trash that keeps tasks for 30 days, and the log of its tasks.
    async fn trash(directory: &TempDir, clock: &Arc<TestClock>) -> (Arc<dyn EventStore>, Trash) {
        let url = |name: &str| Database::file_url(&directory.path().join(name));
        let store = event_store::open(&url("events.db"), 1).await.unwrap();
        let open = async |name, schema| Database::open(&url(name), schema, 1).await.unwrap();
        let handler = CommandHandler::new(
            Arc::clone(&store),
            Arc::new(LogWatch::new(Arc::clone(&store))),
            open("operations.db", Schema::Operations).await,
            Arc::clone(clock) as _,
            CommandMetrics::new(&Metrics::new("command-api")),
        );
        let trash = Trash {
            handler: Arc::new(handler),
            read_models: open("read-models.db", Schema::ReadModels).await,
            clock: Arc::clone(clock) as _,
            kept_for: Duration::from_secs(30 * 24 * 60 * 60),
        };
        (store, trash)
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_takes_nothing_away_and_one_that_is_behind_keeps() {
        for (ahead_days, purged) in [(0, 1), (40, 1), (-40, 0)] {
            let directory = tempfile::tempdir().unwrap();
            let clock = Arc::new(TestClock::running());
            let (store, trash) = trash(&directory, &clock).await;
            for days in [31, 29] {
                deleted(&*store, &trash.read_models, &*clock, days).await;
            }
            clock.advance(ahead_days * DAY);
            assert_eq!(trash.round().await.unwrap(), purged, "{ahead_days} days ahead");
        }
    }

    #[tokio::test]
    async fn a_whole_page_of_no_known_form_hides_no_task_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock::running());
        let (store, trash) = trash(&directory, &clock).await;
        deleted(&*store, &trash.read_models, &*clock, 31).await;
        let sql = format!(
            "INSERT INTO tasks (id, owner, title, title_sort, status, priority, tags, tag_list, search_text, created_at, \
                 updated_at, deleted_at, version, position)
             WITH RECURSIVE numbers (number) AS (
                 SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < {PAGE}
             )
             SELECT 'none' || number, 'nobody', 'a', 'a', 'open', 1, '[]', '', 'a', 1, 1, 1, 2, 2 FROM numbers"
        );
        trash.read_models.execute(&sql, &[]).await.unwrap();
        assert_eq!(trash.round().await.unwrap(), 1);
    }
}
