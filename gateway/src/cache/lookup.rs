//! Decides which reads can be answered from the cache, and with which key.

use std::sync::Arc;

use auth_client::{Identity, TokenHash};
use axum::extract::Request;
use events::{ConsistencyToken, TaskId};
use http::{HeaderName, Method, header};
use http_api::{AtLeast, header_members};
use hyper::body::Body as _;

use crate::caller::bearer;

/// The parameters of `GET /tasks` whose results do not depend on the present time. `overdue` is not among them.
const TIMELESS: [&str; 17] = [
    "status",
    "priority",
    "tag",
    "due_before",
    "due_after",
    "created_before",
    "created_after",
    "updated_before",
    "updated_after",
    "completed_before",
    "completed_after",
    "q",
    "deleted",
    "sort",
    "limit",
    "cursor",
    "count",
];
/// Requests with one of these headers need more than a plain answer.
const SPECIAL: [HeaderName; 6] = [
    HeaderName::from_static("prefer"),
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    header::EXPECT,
];
/// The longest target of a cached answer, in bytes.
const MAX_TARGET: usize = 2_048;

/// The key of a cached answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) token: TokenHash,
    /// Path and query, as they were sent.
    pub(super) target: String,
}

/// A read that can be answered from the cache.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(super) key: Key,
    /// The identity of the verified token.
    pub(super) identity: Arc<Identity>,
    /// The position in the caller's partition that the answer must include.
    pub(super) at_least: u64,
    /// `Cache-Control: no-cache`: the client wants an answer from the role.
    pub(super) is_refresh: bool,
}

impl Lookup {
    /// The read of `identity`, whose commands have led to `known`, as far as that is known. `None` if only the role
    /// can answer it.
    pub(crate) fn of(
        request: &Request,
        identity: &Arc<Identity>,
        known: Option<ConsistencyToken>,
    ) -> Option<Self> {
        let headers = request.headers();
        if request.method() != Method::GET
            || request.body().size_hint().exact() != Some(0)
            || SPECIAL.iter().any(|name| headers.contains_key(name))
            || !is_timeless(request.uri().path(), request.uri().query())
        {
            return None;
        }
        let own = ConsistencyToken::new(identity.user_id, 0);
        let mut at_least = 0;
        // The role refuses tokens that are malformed or too many.
        let sent = AtLeast::of(headers).ok()?.tokens;
        for token in sent.into_iter().chain(known) {
            if !token.same_subject(own) {
                return None;
            }
            at_least = token.position.max(at_least);
        }
        let target = request.uri().path_and_query()?.as_str();
        if target.len() > MAX_TARGET {
            return None;
        }
        let cache_control = || header_members(headers, &header::CACHE_CONTROL);
        if cache_control().any(|directive| directive.eq_ignore_ascii_case("no-store")) {
            return None;
        }
        Some(Self {
            key: Key { token: TokenHash::of(bearer(headers)?), target: target.to_owned() },
            identity: Arc::clone(identity),
            at_least,
            is_refresh: cache_control().any(|directive| {
                directive.eq_ignore_ascii_case("no-cache") || directive.eq_ignore_ascii_case("max-age=0")
            }),
        })
    }
}

/// Whether the answer depends only on the state, not on the present time.
fn is_timeless(path: &str, query: Option<&str>) -> bool {
    let query = query.unwrap_or_default();
    match path.strip_prefix("/tasks") {
        Some("") => url::form_urlencoded::parse(query.as_bytes()).all(|(name, _)| TIMELESS.contains(&&*name)),
        // `version` and `as_of` are rare, and a future instant depends on the present time.
        Some(rest) => query.is_empty() && rest.strip_prefix('/').is_some_and(is_task_id),
        None => false,
    }
}

fn is_task_id(text: &str) -> bool {
    text.parse::<TaskId>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_does_not_depend_on_the_time_is_kept() {
        let id = "0190a000-0000-7000-8000-000000000001";
        let one = format!("/tasks/{id}");
        for (path, query, expected) in [
            ("/tasks", None, true),
            ("/tasks", Some(""), true),
            ("/tasks", Some("status=open,done&sort=-due&limit=3&count=true"), true),
            ("/tasks", Some("due_before=2026-12-01&q=a+b&tag=x&tag=y"), true),
            ("/tasks", Some("overdue=true"), false),
            ("/tasks", Some("limit=3&over%64ue=true"), false),
            ("/tasks", Some("something=else"), false),
            (&one, None, true),
            (&one, Some("as_of=2030-01-01"), false),
            (&one, Some("version=3"), false),
            ("/tasks/summary", None, false),
            ("/tasks/changes", None, false),
            ("/tasks/events", None, false),
            (&format!("{one}/history"), None, false),
            ("/audit/events", None, false),
            ("/auth/me", None, false),
            ("/auth/users", None, false),
        ] {
            assert_eq!(is_timeless(path, query), expected, "{path} {query:?}");
        }
    }
}
