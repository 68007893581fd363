//! What every process needs: the time, ids, random numbers, background work, pauses, metrics, logs, masked URLs, and
//! the reasons why it cannot start. Knows nothing of HTTP, databases or roles.

mod access_sampling;
mod background;
mod backoff;
mod begin;
mod blocking;
mod causes;
mod clock;
pub mod descriptors;
mod keyed_semaphore;
mod line_writer;
mod log_limit;
mod masked;
pub mod memory;
#[doc(hidden)]
pub mod metric_types;
mod metrics;
pub mod private_files;
mod process_metrics;
mod random;
mod rounds;
mod signed;
mod start_error;
mod system_user;
pub mod telemetry;

pub use background::{Background, spawn};
pub use backoff::{Backoff, jittered};
pub use begin::begin;
pub use blocking::{BlockingCalls, NoAnswer, is_pipe, read_at_start};
pub use causes::{followed_by_causes, with_causes};
pub use clock::{Clock, SystemClock, new_id};
pub use keyed_semaphore::{KeyedPermit, KeyedSemaphore, NoKeyedPermit};
pub use log_limit::LogLimit;
pub use masked::masked;
pub use metrics::{Counted, Metrics};
pub use process_metrics::{encode_process_metrics, process_metrics};
pub use random::{fill_random, random_between, random_bytes};
pub use rounds::Rounds;
pub use signed::signed;
pub use start_error::StartError;
pub use system_user::system_user;
pub use telemetry::LogFormat;
