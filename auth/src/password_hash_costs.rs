//! Stores what comparing a password with each kind of hash costs, for all processes: so failed logins take as long as
//! the most expensive kind from the start, and from the import of expensive hashes on.

use std::{sync::Arc, time::Duration};

use database::{DatabaseError, readable};
use runtime::Rounds;
use tokio_util::sync::CancellationToken;

use crate::{
    app_state::App,
    error::Failure,
    password::{Password, Requester, kind_of},
};

/// How often the table is read, because another process may have met or imported other kinds of hashes.
const RECALL_INTERVAL: Duration = Duration::from_secs(5);
const RECALL: &str = "SELECT kind, micros FROM password_hash_costs ORDER BY micros DESC LIMIT 64";
const REMEMBER: &str =
    "INSERT INTO password_hash_costs (kind, micros) VALUES ($1, $2) ON CONFLICT (kind) DO NOTHING";

impl App {
    /// Makes failures take as long as the measurements of all processes require.
    pub(crate) async fn recall_hash_costs(&self) {
        if let Err(error) = self.try_to_recall().await {
            tracing::warn!(%error, "what hashes cost cannot be recalled: the first failed logins may tell of dear ones");
        }
    }

    async fn try_to_recall(&self) -> Result<(), DatabaseError> {
        let rows = self.operations.fetch_all(RECALL, &[]).await?;
        let costs = readable("password_hash_costs", "kind", &rows, |row| {
            Ok((row.text("kind")?, Duration::from_micros(row.unsigned("micros")?)))
        });
        for (kind, took) in costs {
            self.hasher.failure_time.expect(&kind, took);
        }
        Ok(())
    }

    /// Does this repeatedly, until `stop` is cancelled.
    pub(crate) async fn keep_recalling_hash_costs(self: Arc<Self>, stop: CancellationToken) {
        let mut rounds = Rounds::every(RECALL_INTERVAL, stop).after_a_pause();
        while rounds.next().await {
            self.recall_hash_costs().await;
        }
    }

    /// Stores what a comparison with hashes like `hash` costs.
    pub(crate) async fn remember_hash_cost(&self, hash: &str, took: Duration) -> Result<(), DatabaseError> {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let values = [kind_of(hash).into(), micros.into()];
        self.operations.execute(REMEMBER, &values).await.map(drop)
    }

    /// Measures and stores what a comparison with `hash` costs, before an account has it.
    pub(crate) async fn prepare_for_hash(&self, hash: &str) -> Result<(), Failure> {
        if self.hasher.failure_time.knows(hash) {
            return Ok(());
        }
        let slot = self.hasher.admit(Requester::stranger("")).await?;
        let nobodys = Arc::new(Password::new("of nobody"));
        let verified = self.hasher.verify(&slot, &nobodys, Some(hash)).await?;
        if let Some(took) = verified.first_of_its_kind {
            self.remember_hash_cost(hash, took).await?;
        }
        Ok(())
    }
}
