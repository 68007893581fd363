//! Request ids: taken from the client or created, and available to all code that serves the request.

use events::CorrelationId;
use http::{HeaderMap, HeaderValue};
use runtime::new_id;

use crate::headers::X_REQUEST_ID;

/// The most characters of an id.
const MAX_CHARACTERS: usize = 128;

tokio::task_local! {
    /// The id of the request being served by this task.
    pub(crate) static CURRENT: String;
}

/// The id of the request being served, if any is.
pub(crate) fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs `answer` so that problems in it have `request_id`: for repeating the answer to an earlier request.
pub fn answering_request<T>(request_id: &str, answer: impl FnOnce() -> T) -> T {
    CURRENT.sync_scope(request_id.to_owned(), answer)
}

/// Parses a request id: 1 to 128 visible ASCII characters.
///
/// # Errors
/// A sentence with this rule.
pub fn request_id_of(text: &str) -> Result<CorrelationId, String> {
    match (1..=MAX_CHARACTERS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(text.into()),
        false => Err(format!("must be 1 to {MAX_CHARACTERS} visible ASCII characters, as X-Request-Id is")),
    }
}

/// The client's own id when there is exactly one of 1 to 128 visible ASCII characters, otherwise a new UUIDv7.
/// Always a valid header value.
pub(crate) fn of_request(headers: &HeaderMap) -> (String, HeaderValue) {
    let mut sent = headers.get_all(&X_REQUEST_ID).iter();
    if let (Some(value), None) = (sent.next(), sent.next())
        && let Ok(text) = value.to_str()
        && request_id_of(text).is_ok()
    {
        return (text.to_owned(), value.clone());
    }
    let id = new_id().to_string();
    let value = HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"));
    (id, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(values: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&X_REQUEST_ID, HeaderValue::from_str(value).unwrap());
        }
        of_request(&headers).0
    }

    #[test]
    fn keeps_a_valid_id() {
        assert_eq!(id_for(&["abc-1:2/3~"]), "abc-1:2/3~");
        assert_eq!(id_for(&["x".repeat(128).as_str()]), "x".repeat(128));
    }

    #[test]
    fn replaces_what_is_absent_empty_too_long_spaced_or_doubled() {
        for values in [&[][..], &[""], &["a b"], &["a\tb"], &["x".repeat(129).as_str()], &["a", "b"]] {
            let id = id_for(values);
            assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7, "{values:?}");
        }
    }
}
