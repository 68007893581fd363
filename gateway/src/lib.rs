//! The gateway: finds the role that answers a request, and makes many roles look like one service.
//!
//! A request passes these layers, outermost first. Each is one module; a new layer takes its place here.
//!
//! 1. `client_address` — whose request it is, and away with headers that end at this hop.
//! 2. `http_api::Edge` — request id, trace context, access log, HTTP metrics, problems, security headers.
//! 3. `guard` — `limits`: how often whom may ask for what, as `policy` says. Inside it, `cors` answers browsers that
//!    ask what a page may do; what it says about answers is said around all of this.
//! 4. `routes` — the public paths. Unknown ones end here with `404`, wrong methods with `405`. `reference` answers for
//!    the contract itself.
//! 5. `consistency` — a caller's own writes are visible to their next read; `cache` — a read that was answered a moment
//!    ago is answered again, if it still shows all that.
//! 6. `forward`, `upstreams` — the role itself: in this process, or one of its replicas over HTTP.
//!
//! Bodies are streamed in both directions. Only that of a request with an `Idempotency-Key` is kept, up to a bound,
//! so that it can be sent again.

mod cache;
mod caller;
mod client_address;
mod config;
mod consistency;
mod cors;
mod error;
mod forward;
mod front_door;
mod guard;
mod headers;
mod limits;
mod merged_metrics;
mod metrics_page;
mod policy;
mod reference;
mod routes;
mod start;
mod target;
mod upstreams;

pub use config::{Config, Upstream};
pub use start::{check, start};
