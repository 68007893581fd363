//! Limits each client address over all accounts: the generic cell rate algorithm (ITU-T I.371), with one instant for
//! each address. Unlike the budgets of `crates/rate-limit`, these are kept after a restart and are the same for all replicas, so
//! the arithmetic is in the one SQL statement that checks and spends.

use database::{Database, DatabaseError};

use super::whole_seconds::whole_seconds;

/// Failed attempts: a hundred at once, then ten a minute. Many people can share an address.
pub(super) const FAILURES: Allowance = Allowance {
    // It is read together with the counters of the account.
    prefix: "",
    micros_for_one: 6_000_000,
    burst: 100,
};
/// Registrations: some thousand at once, then one a second.
pub(super) const REGISTRATIONS: Allowance = Allowance {
    prefix: "registrations-",
    micros_for_one: 1_000_000,
    burst: 5_000,
};

const USE_UP: &str = "INSERT INTO address_allowances (key, full_at) VALUES ($1, $2) \
     ON CONFLICT (key) DO UPDATE SET full_at = \
         CASE WHEN address_allowances.full_at > $3 THEN address_allowances.full_at + $4 ELSE $2 END \
     WHERE address_allowances.full_at <= $5";

/// A burst and a rate.
#[derive(Debug)]
pub(super) struct Allowance {
    pub(super) prefix: &'static str,
    pub(super) micros_for_one: i64,
    pub(super) burst: i64,
}

impl Allowance {
    /// How long to wait when the allowance will be whole at `full_at`; at most 0 when something is left.
    pub(super) fn wait(&self, full_at: i64, now: i64) -> i64 {
        full_at - now - self.burst * self.micros_for_one
    }

    pub(super) fn seconds_for_one(&self) -> u64 {
        whole_seconds(self.micros_for_one)
    }

    /// Uses one, even if nothing is left.
    pub(super) async fn use_up(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<(), DatabaseError> {
        self.run(operations, address, now, i64::MAX).await.map(drop)
    }

    /// Uses one if there is one, and returns whether there was.
    pub(super) async fn use_if_left(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
    ) -> Result<bool, DatabaseError> {
        let latest = now + (self.burst - 1) * self.micros_for_one;
        self.run(operations, address, now, latest).await
    }

    async fn run(
        &self,
        operations: &Database,
        address: &str,
        now: i64,
        latest: i64,
    ) -> Result<bool, DatabaseError> {
        let values = [
            format!("{}{address}", self.prefix).into(),
            (now + self.micros_for_one).into(),
            now.into(),
            self.micros_for_one.into(),
            latest.into(),
        ];
        Ok(operations.execute(USE_UP, &values).await? == 1)
    }
}
