//! Projects what is parked because the key of its person could not be used, once it can be: the master key that wraps
//! it is there again, or it was restored from a backup.

use std::sync::Arc;

use database::readable;
use event_store::EventStore;
use events::StreamName;
use runtime::{Rounds, with_causes};
use tokio_util::sync::CancellationToken;

use crate::{
    error::ProjectError,
    operator::parked_events::retry_with_key,
    projecting::{apply::Applier, checkpoint, decode::WITHOUT_KEY, log_comparison::LogComparison},
    tuning::Tuning,
};

/// The most streams that are tried in one round.
const PAGE: usize = 100;

/// Tries regularly, until `stop` is cancelled. Each round goes on after the last stream of the one before, so that many
/// streams whose keys are still away do not delay the others. While the read models are of another log, nothing is
/// tried.
pub(crate) async fn retry_with_keys(
    applier: Applier,
    store: Arc<dyn EventStore>,
    identity: LogComparison,
    tuning: Tuning,
    stop: CancellationToken,
) {
    let mut rounds = Rounds::every(tuning.sample, stop);
    let mut after = StreamName::raw("");
    while rounds.next().await {
        match retry_page(&*store, &applier, &identity, &after).await {
            Ok((last, projected)) => {
                after = last.unwrap_or_else(|| StreamName::raw(""));
                if projected > 0 {
                    rounds.set_next_pause(tuning.shortest_pause);
                }
            }
            // This was logged already.
            Err(ProjectError::OtherLog) => {}
            Err(error) => {
                tracing::warn!(error = with_causes(&error), "cannot look for keys that are there again");
            }
        }
    }
}

/// Tries the next streams after one. Returns the last of them, if there may be more, and how many events were
/// projected.
async fn retry_page(
    store: &dyn EventStore,
    applier: &Applier,
    identity: &LogComparison,
    after: &StreamName,
) -> Result<(Option<StreamName>, u64), ProjectError> {
    let read_models = &applier.read_models;
    // The first round may begin before anybody else has compared them.
    let checkpoints = checkpoint::load_all(read_models, applier.partitions).await?;
    identity.compare(&checkpoints).await?;
    let rows = read_models.fetch_all(&statement(), &[after.as_str().into()]).await?;
    let streams = readable("parked_events", "stream", &rows, |row| Ok(StreamName::raw(row.text("stream")?)));
    let mut projected = 0;
    for stream in &streams {
        match retry_with_key(store, read_models, stream).await {
            Ok(events) => projected += events,
            Err(error) => tracing::warn!(
                error = with_causes(&error),
                stream = stream.as_str(),
                "cannot project what was parked without a key, trying again"
            ),
        }
    }
    if projected > 0 {
        tracing::info!(events = projected, "projected what was parked while keys could not be used");
    }
    let last = streams.into_iter().next_back().filter(|_| rows.len() == PAGE);
    Ok((last, projected))
}

/// The next streams after `$1`. The condition is that of the index, word for word, so that nothing else is read. It has
/// no LIKE, which SQLite does not take in an index of connections that set how LIKE compares.
fn statement() -> String {
    let length = WITHOUT_KEY.len();
    format!(
        "SELECT DISTINCT stream FROM parked_events WHERE substr(reason, 1, {length}) = '{WITHOUT_KEY}' \
         AND stream > $1 ORDER BY stream LIMIT {PAGE}"
    )
}

#[cfg(test)]
mod tests {
    use database::{Database, Schema};
    use events::{
        Actor, EventId, LogPoint, Metadata, NewEvent, PartitionCount, Priority, TaskCreated, TaskEvent,
        TaskId, Timestamp, UserId,
    };
    use runtime::Metrics;
    use test_support::TestDatabase;

    use super::*;
    use crate::{metrics::ProjectorMetrics, testing::read_models};

    fn created(owner: UserId) -> NewEvent {
        let created = TaskCreated {
            owner,
            title: "Task".to_owned(),
            description: None,
            priority: Priority::Normal,
            due: None,
            tags: Vec::new(),
        };
        let metadata = Metadata::new(owner, Actor::System, "", runtime::new_id());
        let event = TaskEvent::from(created).encode();
        event.into_event(EventId(runtime::new_id()), metadata, Timestamp::from_micros(0))
    }

    /// Another event of the same version of the same stream is at the position of the parked one.
    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_retried_while_the_read_models_are_of_another_log() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("events.db"));
        let store = event_store::open(&url, 2).await.unwrap();
        let read_models = read_models(directory.path()).await;
        let metrics = ProjectorMetrics::new(&Metrics::new("projector"));
        let partitions = PartitionCount::new(1).unwrap();
        let applier = Applier::new(read_models.clone(), partitions, metrics.clone());
        let identity = LogComparison::new(Arc::clone(&store), metrics);
        let (owner, stream) = (UserId(runtime::new_id()), StreamName::task(TaskId(runtime::new_id())));
        let event = created(owner);
        let id = event.id;
        store.append(&stream, 0, vec![event]).await.unwrap();
        let park = "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
                    VALUES (1, $1, 1, 'task.created', $2, $3, 1)";
        let values = [stream.as_str().into(), owner.0.into(), WITHOUT_KEY.into()];
        read_models.execute(park, &values).await.unwrap();
        let mut tx = read_models.begin().await.unwrap();
        let lost = LogPoint { position: 1, id: Some(EventId(runtime::new_id())) };
        checkpoint::raise(&mut tx, 1_i64, 0_i64, lost).await.unwrap();
        tx.commit().await.unwrap();

        let first = StreamName::raw("");
        let refused = retry_page(&*store, &applier, &identity, &first).await;
        assert!(matches!(refused, Err(ProjectError::OtherLog)), "{refused:?}");
        let parked = async || {
            let sql = "SELECT COUNT(*) AS parked FROM parked_events";
            read_models.number(sql, &[]).await.unwrap()
        };
        assert_eq!(parked().await, 1);
        let correct = "UPDATE checkpoints SET event_id = $1";
        read_models.execute(correct, &[id.0.into()]).await.unwrap();
        let retried = retry_page(&*store, &applier, &identity, &first).await;
        assert_eq!(retried.unwrap().1, 1);
        assert_eq!(parked().await, 0);
    }

    #[tokio::test]
    async fn what_is_parked_for_other_reasons_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let database = read_models(directory.path()).await;
        let explain = format!("EXPLAIN QUERY PLAN {}", statement());
        let rows = database.fetch_all(&explain, &["".into()]).await.unwrap();
        let plan: Vec<_> = rows.iter().map(|row| row.text("detail").unwrap()).collect();
        assert!(
            plan.len() == 1 && plan[0].contains("INDEX parked_events_without_key (stream>?)"),
            "{plan:?}"
        );
    }

    #[tokio::test]
    async fn what_is_parked_for_other_reasons_is_not_read_in_postgres() {
        let server = TestDatabase::create().await;
        let database = Database::open(server.url().as_str(), Schema::ReadModels, 1).await.unwrap();
        database
            .execute(
                "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
                 SELECT number, 'task-' || number, 1, 'task.created', $1, 'test', 1
                 FROM generate_series(1, 10000) AS number",
                &[uuid::Uuid::nil().into()],
            )
            .await
            .unwrap();
        database.execute("ANALYZE parked_events", &[]).await.unwrap();
        let explain = format!("EXPLAIN {}", statement());
        let rows = database.fetch_all(&explain, &["".into()]).await.unwrap();
        let plan: Vec<_> = rows.iter().map(|row| row.text("QUERY PLAN").unwrap()).collect();
        let plan = plan.join("\n");
        assert!(plan.contains("parked_events_without_key"), "{plan}");
    }
}
