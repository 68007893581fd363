//! Origins (RFC 6454) as the operator lists them, and as browsers send them.

use std::{fmt, sync::Arc};

use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// Origins whose pages may use the API. Empty unless the operator says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origins(Arc<[HeaderValue]>);

/// The text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotAnOrigin(String);

impl fmt::Display for NotAnOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "`{text}` is not an origin as browsers send it: expected one such as https://app.example.org, in lower case, without \
             the usual port, and without a slash at the end"
        )
    }
}

impl Origins {
    /// Parses exactly these origins.
    pub(crate) fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, NotAnOrigin> {
        texts.into_iter().map(origin).collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The origin of a request with these headers, if its pages may use the API.
    pub(crate) fn of(&self, headers: &HeaderMap) -> Option<&HeaderValue> {
        let mut sent = headers.get_all(header::ORIGIN).iter();
        let (Some(origin), None) = (sent.next(), sent.next()) else {
            return None;
        };
        self.0.iter().find(|allowed| *allowed == origin)
    }
}

/// Parses an origin. It is compared byte by byte with those that browsers send, so it must be written in the same
/// form.
fn origin(text: &str) -> Result<HeaderValue, NotAnOrigin> {
    let not_an_origin = || NotAnOrigin(text.to_owned());
    let url = Url::parse(text).map_err(|_| not_an_origin())?;
    let is_web = matches!(url.scheme(), "http" | "https");
    // A star is a valid letter of a URL, but would look like a pattern.
    if !is_web || text.contains('*') || url.origin().ascii_serialization() != text {
        return Err(not_an_origin());
    }
    HeaderValue::from_str(text).map_err(|_| not_an_origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it_and_never_a_pattern() {
        let good = ["https://app.example.org", "http://localhost:5173", "https://xn--mller-kva.example"];
        assert_eq!(Origins::parse(good).unwrap().0.len(), 3);
        for bad in [
            "*",
            "null",
            "",
            "https://*.example.org",
            "https://App.example.org",
            "https://app.example.org/",
            "https://app.example.org:443",
            "https://app.example.org/page",
            "https://ann@app.example.org",
            "app.example.org",
            "file:///tmp",
            "https://müller.example",
        ] {
            assert!(Origins::parse([bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_has_the_one_origin_that_is_exactly_in_the_list() {
        let origins = Origins::parse(["https://app.example.org"]).unwrap();
        let allowed = |sent: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for origin in sent {
                headers.append(header::ORIGIN, HeaderValue::from_static(origin));
            }
            origins.of(&headers).is_some()
        };
        assert!(allowed(&["https://app.example.org"]));
        for sent in [
            &[][..],
            &["null"],
            &["https://app.example.org.evil.example"],
            &["http://app.example.org"],
            &["https://app.example.org", "https://app.example.org"],
            &["https://app.example.org, https://evil.example"],
        ] {
            assert!(!allowed(sent), "{sent:?}");
        }
    }
}
