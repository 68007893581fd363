//! The roles behind the gateway: which replica a request goes to, when it is sent again, and when a replica is
//! skipped.
//!
//! A request about whose caller something is remembered ([`affinity`]) goes to that caller's replica; any other to the
//! one of two that has less to do. A replica that is not ready, or whose circuit ([`breaker`]) is open, is skipped.

mod address;
mod affinity;
mod answer_body;
mod backend;
mod breaker;
mod client;
mod metrics;
mod repeatable;
mod replayable_body;
mod replica;
mod replicas;
mod retry_budget;
mod whole_answer;

pub(crate) use address::check_addresses;
pub(crate) use backend::Backend;
pub(crate) use client::Client;
pub(crate) use metrics::UpstreamMetrics;
pub(crate) use repeatable::COMMAND_API;
pub(crate) use whole_answer::ReadWhole;
