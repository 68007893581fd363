//! The conventions of the HTTP API, which every role keeps: problems, JSON bodies, request ids, preconditions, access
//! log, probes.
//!
//! A role builds a bare `Router` and hands it to [`with_middleware`]. Everything that the
//! HTTP contract promises for every answer (request ids, security headers, `application/problem+json` also for
//! unknown paths, wrong methods and bugs) is done in `middleware.rs`; everything about one body in `json.rs` and
//! `form.rs`. Nothing here knows what a task or an account is.

mod access_log;
mod access_notes;
mod allowance;
mod client_address;
mod concurrency_limit;
mod consistency;
mod context;
mod cursor_key;
mod error_list;
mod etag;
mod form;
mod from_variants;
mod guarded_body;
mod headers;
mod health;
mod json;
mod json_value;
mod listener;
mod logged_body;
mod middleware;
mod no_fields;
mod optional_json;
mod parameters;
mod path;
mod path_id;
mod problem;
mod rate_limit_fields;
mod request_id;
mod route;
mod security_log;
mod trace_context;
mod untagged_conditions;
mod whole_number;

pub use access_log::Forwarded;
pub use access_notes::AccessNotes;
pub use allowance::Allowance;
pub use api_types::{FieldError, ProblemCode};
pub use client_address::{ClientAddress, Peers, believing_only};
pub use concurrency_limit::ConcurrencyLimit;
pub use consistency::{AtLeast, consistency_token};
pub use context::RequestContext;
pub use cursor_key::{BadCursor, CursorKey};
pub use error_list::ErrorRoom;
pub use etag::{Named, Preconditions, ReadOutcome, etag, if_match, outcome_of_read};
pub use form::{FieldErrors, Form, Presence, items, text};
pub use guarded_body::GuardedBody;
pub use headers::{
    CONSISTENCY_TOKEN, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED, PRIVATE, TRACEPARENT, X_FORWARDED_FOR,
    X_REQUEST_ID, list as header_list, members as header_members,
};
pub use health::{Health, LOG, Leaving, READ_MODELS, Readiness, Server};
pub use http_server::HttpService;
pub use json::{BodyLimit, JsonObject, ReceivedJson, read_body};
pub use listener::{admin_of, is_elsewhere, is_public_probe, public_of};
pub use middleware::{Asker, Edge, with_middleware, with_probes};
pub use no_fields::NoFields;
pub use optional_json::OptionalJsonObject;
pub use parameters::{BadParameter, Parameters, refuse_parameters, single_header};
pub use path_id::PathId;
pub use problem::Problem;
pub use rate_limit_fields::{RATE_LIMIT, RATE_LIMIT_POLICY, RateLimitPolicy, RateLimitStanding};
pub use request_id::{answering_request, request_id_of};
pub use security_log::SecurityEvent;
pub use trace_context::{current_traceparent, parent_id_of, trace_id_of};
pub use untagged_conditions::{TargetConditions, check_untagged_conditions};
pub use whole_number::whole_number;
