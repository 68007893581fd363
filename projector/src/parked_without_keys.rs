//! Projects what is parked because the key of its person could not be used, once it can be: the master key that wraps
//! it is there again, or it was restored from a backup.

use std::sync::Arc;

use database::{Database, Value, readable};
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
    const SQL: &str = "SELECT DISTINCT stream FROM parked_events WHERE reason LIKE $1 AND stream > $2
        ORDER BY stream LIMIT $3";
    let values: [Value; 3] = [
        format!("{WITHOUT_KEY}%").into(),
        after.as_str().into(),
        (PAGE as u64).into(),
    ];
    let rows = read_models.fetch_all(SQL, &values).await?;
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
