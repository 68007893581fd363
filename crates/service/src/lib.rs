//! What every HTTP role shares: problems, JSON bodies, probes, metrics, logs, and the server itself.
//!
//! A role builds a bare `Router`, hands it to [`shell`] and serves it with [`serve`]. Everything that the
//! HTTP contract promises for every answer (request ids, security headers, `application/problem+json` also for
//! unknown paths, wrong methods and bugs) is done in `shell.rs`; everything about one body in `json.rs` and
//! `form.rs`; everything about connections in `server.rs`,
//! `socket.rs` and `head.rs`. Nothing here knows tasks,
//! accounts or events.

mod access_log;
mod activity;
mod body;
mod clock;
mod context;
mod error_list;
mod etag;
mod form;
mod head;
mod head_gate;
mod health;
mod json;
mod json_value;
mod metrics;
mod parameters;
mod path;
mod problem;
mod request_id;
mod server;
mod shell;
mod socket;
mod start_error;
pub mod telemetry;
mod trace_context;
mod vital;

pub use access_log::Forwarded;
pub use body::BodyStalled;
pub use clock::{Clock, SystemClock, new_id};
pub use context::{RequestContext, UserAgent};
pub use error_list::ErrorRoom;
pub use etag::{Named, Preconditions, ReadOutcome, etag, if_match};
pub use form::{FieldError, Form, Invalid, Presence, text};
pub use health::{Health, Readiness};
pub use json::{BodyLimit, JsonObject};
pub use metrics::Metrics;
pub use parameters::{BadParameter, Parameters};
pub use problem::Problem;
pub use request_id::{
    CONSISTENCY_TOKEN, IDEMPOTENCY_KEY, TRACEPARENT, TRACESTATE, X_FORWARDED_FOR, X_REQUEST_ID,
    answering_request,
};
pub use server::{ServerOptions, bind, serve};
pub use shell::{admin, admin_of, public_of, shell, shell_with_metrics};
pub use start_error::StartError;
pub use telemetry::LogFormat;
pub use vital::vital;
