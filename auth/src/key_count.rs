//! Counts people's keys, for metrics.

use std::{sync::Arc, time::Duration};

use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use crate::auth::Auth;

/// The pause between two counts, which read the whole table.
const EVERY: Duration = Duration::from_secs(60);

/// Counts repeatedly, until `stop` is cancelled.
pub(crate) async fn count_keys(auth: Arc<Auth>, stop: CancellationToken) {
    let mut rounds = Rounds::every(EVERY, stop);
    while rounds.next().await {
        match auth.subject_keys.count().await {
            Ok(count) => {
                for (state, number) in [("held", count.held), ("destroyed", count.destroyed)] {
                    let number = i64::try_from(number).unwrap_or(i64::MAX);
                    auth.counters.subject_keys.with_label_values(&[state]).set(number);
                }
            }
            Err(error) => tracing::warn!(%error, "the keys of people cannot be counted"),
        }
    }
}
