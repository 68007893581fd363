//! The time limit of a statement, which the caller chooses. There is no way to wait for a database without a
//! deadline.

use std::time::Duration;

/// The purpose of a statement, which decides its time limit. After it the connection is discarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatementTimeout {
    /// A caller waits for the answer, or a lock is held: 15 seconds. The default of a [`crate::Database`].
    #[default]
    Request,
    /// A page of the log, or of a whole table: one minute.
    Page,
    /// Migrations, and statements over whole tables, as a rebuild, a comparison or a cleanup runs them: one hour.
    Maintenance,
}

impl StatementTimeout {
    /// The longest that one statement may take.
    pub const fn limit(self) -> Duration {
        Duration::from_secs(match self {
            Self::Request => 15,
            Self::Page => 60,
            Self::Maintenance => 60 * 60,
        })
    }
}
