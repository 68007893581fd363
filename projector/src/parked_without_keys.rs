//! Projects what is parked because the key of its person could not be used, once it can be: the master key that wraps
//! it is there again, or it was restored from a backup.

use std::sync::Arc;

use database::{Database, readable};
use event_store::EventStore;
use events::StreamName;
use runtime::{Rounds, with_causes};
use tokio_util::sync::CancellationToken;

use crate::{
    operator::parked_events::{ParkingError, retry_with_key},
    projecting::decode::WITHOUT_KEY,
    tuning::Tuning,
};

/// The most streams that are tried in one round.
const PAGE: usize = 100;

/// Tries regularly, until `stop` is cancelled. Each round goes on after the last stream of the one before, so that many
/// streams whose keys are still away do not delay the others.
pub(crate) async fn retry_with_keys(
    read_models: Database,
    store: Arc<dyn EventStore>,
    tuning: Tuning,
    stop: CancellationToken,
) {
    let mut rounds = Rounds::every(tuning.sample, stop);
    let mut after = StreamName::raw("");
    while rounds.next().await {
        match retry_page(&*store, &read_models, &after).await {
            Ok((last, projected)) => {
                after = last.unwrap_or_else(|| StreamName::raw(""));
                if projected > 0 {
                    rounds.set_next_pause(tuning.shortest_pause);
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "cannot look for keys that are there again"
                );
            }
        }
    }
}

/// Tries the next streams after one. Returns the last of them, if there may be more, and how many events were
/// projected.
async fn retry_page(
    store: &dyn EventStore,
    read_models: &Database,
    after: &StreamName,
) -> Result<(Option<StreamName>, u64), ParkingError> {
    let rows = read_models
        .fetch_all(&statement(), &[after.as_str().into()])
        .await?;
    let streams = readable("parked_events", "stream", &rows, |row| {
        Ok(StreamName::raw(row.text("stream")?))
    });
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
        tracing::info!(
            events = projected,
            "projected what was parked while keys could not be used"
        );
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
    use database::Schema;
    use test_support::TestDatabase;

    use super::*;

    #[tokio::test]
    async fn what_is_parked_for_other_reasons_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let url = Database::file_url(&directory.path().join("read-models.db"));
        let database = Database::open(&url, Schema::ReadModels, 1).await.unwrap();
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
        let database = Database::open(server.url().as_str(), Schema::ReadModels, 1)
            .await
            .unwrap();
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
