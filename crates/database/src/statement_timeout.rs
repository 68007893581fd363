//! How long a statement may take, said by the caller. There is no way to wait for a database without a deadline.

use std::time::Duration;

/// What a statement is for, and so how long it may take before it is given up and its connection discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatementTimeout {
    /// Somebody waits for the answer, or a lock is held: 15 seconds. What a [`crate::Database`] begins with.
    #[default]
    Request,
    /// A page of the log, or of a whole table: one minute.
    Page,
    /// Migrations, and statements over whole tables, as a rebuild, a comparison or a cleanup runs them: one hour.
    Maintenance,
}

impl StatementTimeout {
    /// The longest that one statement may take.
    #[must_use]
    pub const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Request => 15,
            Self::Page => 60,
            Self::Maintenance => 60 * 60,
        })
    }
}
