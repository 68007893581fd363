//! How many people have a key, for metrics.

use std::time::Duration;

use crate::auth::Auth;

/// Between two counts, each of which looks at the whole table.
const EVERY: Duration = Duration::from_secs(60);

/// Counts again and again.
pub(crate) async fn count_keys(auth: &Auth) {
    loop {
        match auth.subject_keys.count().await {
            Ok(count) => {
                for (state, number) in [("held", count.held), ("destroyed", count.destroyed)] {
                    let number = i64::try_from(number).unwrap_or(i64::MAX);
                    auth.counters.subject_keys.with_label_values(&[state]).set(number);
                }
            }
            Err(error) => tracing::warn!(%error, "the keys of people cannot be counted"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
