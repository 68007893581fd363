//! What every process needs: the time, ids, background work, metrics, logs, and the reasons why it cannot start.
//! Knows no HTTP, no database and no role.

mod clock;
mod metrics;
mod start_error;
pub mod telemetry;
mod vital;

pub use clock::{Clock, SystemClock, new_id};
pub use metrics::Metrics;
pub use start_error::StartError;
pub use telemetry::LogFormat;
pub use vital::vital;
