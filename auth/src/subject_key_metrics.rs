//! Counts people's keys, for metrics.

use std::{sync::Arc, time::Duration};

use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use crate::app_state::App;

/// The pause between two counts, which read a whole index.
const INTERVAL: Duration = Duration::from_secs(60);

/// Counts repeatedly, until `stop` is cancelled.
pub(crate) async fn count_keys(app: Arc<App>, stop: CancellationToken) {
    let mut rounds = Rounds::every(INTERVAL, stop);
    while rounds.next().await {
        match app.subject_keys.count().await {
            Ok(count) => {
                for (state, number) in [("held", count.held), ("destroyed", count.destroyed)] {
                    let number = i64::try_from(number).unwrap_or(i64::MAX);
                    app.counters.subject_keys.with_label_values(&[state]).set(number);
                }
            }
            Err(error) => tracing::warn!(%error, "the keys of people cannot be counted"),
        }
    }
}
