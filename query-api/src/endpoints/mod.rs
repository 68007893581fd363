//! The endpoints of the query API: one file for each query, with its request, its handler and its tests.

mod consistency;
pub(crate) mod get_task;
pub(crate) mod list_tasks;

use http::HeaderValue;

/// How task responses may be kept: by the caller's own client, asking again each time.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

#[cfg(test)]
mod tests;
