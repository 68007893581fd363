//! Reads a query string strictly: every parameter is known, given at most once unless it is a list, and
//! never empty.

use axum::{
    Router,
    extract::{FromRequestParts, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use events::BoundedText;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::{problem::Problem, whole_number::whole_number};

/// Characters that a query string may contain, but a reference in a `Link` header may not.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// The most bytes of an unknown name that the answer repeats.
const MAX_NAME: usize = 100;

/// A parameter that is unknown, repeated, empty, or has a value that it cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}`: {detail}")]
pub struct BadParameter {
    /// The name of the parameter.
    pub name: String,
    /// What is wrong with it, as a sentence for the caller.
    pub detail: String,
}

impl BadParameter {
    /// The error of the parameter `name`. A long name is shortened.
    pub fn new(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { name: BoundedText::<MAX_NAME>::from(name.into()).into(), detail: detail.into() }
    }
}

/// The parameters of a query string that were not taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters(Vec<Parameter>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Parameter {
    name: String,
    /// Decoded, and parted at the commas that were sent as such.
    values: Vec<String>,
    /// Both as sent.
    raw: String,
}

impl Parameters {
    /// Reads `name=value` pairs joined by `&`, percent-encoded, with `+` for a space.
    ///
    /// # Errors
    /// When a name or value is not UTF-8, or contains a NUL, which no database accepts.
    pub fn parse(query: &str) -> Result<Self, BadParameter> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name).map_err(|wrong| BadParameter::new(name, format!("its name {wrong}")))?;
            match value.split(',').map(decoded).collect() {
                Ok(values) => Ok(Parameter { name, values, raw: pair.to_owned() }),
                Err(wrong) => Err(BadParameter::new(name, format!("its value {wrong}"))),
            }
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// Takes a parameter that may be given once.
    ///
    /// # Errors
    /// When it is repeated or empty, or `parse` fails.
    pub fn single<T>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, BadParameter> {
        let mut given = self.take(name);
        let Some(parameter) = given.next() else {
            return Ok(None);
        };
        if given.next().is_some() {
            return Err(BadParameter::new(name, "it may be given only once"));
        }
        let value = parameter.values.join(",");
        if value.is_empty() {
            return Err(BadParameter::new(name, "its value is empty: leave it out instead"));
        }
        parse(&value).map(Some).map_err(|detail| BadParameter::new(name, detail))
    }

    /// Takes `limit`, the number of items on a page: `usual` if it is not given, and at most `most`.
    ///
    /// # Errors
    /// As [`Self::single`].
    pub fn limit(&mut self, usual: u16, most: u16) -> Result<u16, BadParameter> {
        let limit = self.single("limit", whole_number(1..=most))?;
        Ok(limit.unwrap_or(usual))
    }

    /// Takes a parameter that may be given several times, each time with several values between commas. A comma that is
    /// percent-encoded is part of its value (RFC 3986, section 2.2).
    ///
    /// # Errors
    /// When one of the values is empty, or `parse` fails.
    pub fn list<T, C: FromIterator<T>>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<C, BadParameter> {
        let values = self.take(name).flat_map(|parameter| parameter.values);
        let one = |value: String| {
            if value.is_empty() { Err("one of its values is empty".to_owned()) } else { parse(&value) }
                .map_err(|detail| BadParameter::new(name, detail))
        };
        values.map(one).collect()
    }

    /// Checks that all parameters were taken.
    ///
    /// # Errors
    /// When one is left, which is unknown then.
    pub fn finish(self) -> Result<(), BadParameter> {
        match self.0.into_iter().next() {
            Some(Parameter { name, .. }) => Err(BadParameter::new(name, "there is no such parameter here")),
            None => Ok(()),
        }
    }

    /// The parameters as a query string for a reference, as sent, without `name`. Longer than the original only if
    /// that had characters which must be escaped.
    pub fn without(&self, name: &str) -> String {
        let others = self.0.iter().filter(|parameter| parameter.name != name);
        let pairs: Vec<_> =
            others.map(|parameter| utf8_percent_encode(&parameter.raw, ESCAPED).to_string()).collect();
        pairs.join("&")
    }

    fn take(&mut self, name: &str) -> impl Iterator<Item = Parameter> + use<> {
        let (taken, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition::<Vec<_>, _>(|parameter| parameter.name == name);
        self.0 = left;
        taken.into_iter()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default())?)
    }
}

/// Lets the routes that `router` has so far refuse every query parameter, because their endpoints have none. A method
/// that a path does not have is refused before that.
pub fn refuse_parameters<S>(router: Router<S>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    router
        .route_layer(middleware::from_fn(refuse))
        // That layer is also around the answer to other methods, so it is replaced.
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
}

async fn refuse(request: Request, next: Next) -> Response {
    let unknown = Parameters::parse(request.uri().query().unwrap_or_default()).and_then(Parameters::finish);
    match unknown {
        Ok(()) => next.run(request).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let text = text.replace('+', " ");
    match percent_decode_str(&text).decode_utf8() {
        Ok(text) if text.contains('\0') => Err("has the character U+0000"),
        Ok(text) => Ok(text.into()),
        Err(_) => Err("is not UTF-8"),
    }
}

impl From<BadParameter> for Problem {
    fn from(error: BadParameter) -> Self {
        Self::bad_parameter(&error.name, error.detail)
    }
}

/// The value of a header that may be sent once. People read its name as `shown`.
///
/// # Errors
/// When it was sent more than once.
pub fn single_header<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    shown: &str,
) -> Result<Option<&'h HeaderValue>, BadParameter> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(BadParameter::new(shown, "must be sent once")),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::VARY};

    use super::{BadParameter, Parameters, single_header};

    #[test]
    fn a_header_that_may_be_sent_once_is_refused_when_it_is_repeated() {
        let sent = |lines: &[&'static str]| -> Result<Option<HeaderValue>, BadParameter> {
            let line = |line: &&'static str| (VARY, HeaderValue::from_static(line));
            let headers: HeaderMap = lines.iter().map(line).collect();
            Ok(single_header(&headers, &VARY, "Vary")?.cloned())
        };
        assert_eq!(sent(&[]), Ok(None));
        assert_eq!(sent(&["a"]), Ok(Some(HeaderValue::from_static("a"))));
        for repeated in [&["a", "b"][..], &["a", "a"], &["", "a"], &["a", "", "b"]] {
            assert_eq!(sent(repeated).unwrap_err().name, "Vary", "{repeated:?}");
        }
    }

    fn text(value: &str) -> Result<String, String> {
        Ok(value.to_owned())
    }

    #[test]
    fn values_are_decoded() {
        let mut parameters = Parameters::parse("q=a+b%2Bc%20%E2%82%AC&&x=%zz").unwrap();
        assert_eq!(parameters.single("q", text).unwrap().as_deref(), Some("a b+c €"));
        assert_eq!(parameters.single("x", text).unwrap().as_deref(), Some("%zz"));
        assert_eq!(parameters.single("q", text).unwrap(), None);
        assert_eq!(parameters.finish(), Ok(()));
    }

    #[test]
    fn lists_are_repeated_or_between_commas() {
        let mut parameters = Parameters::parse("a=1,2&b=x&a=3%2C+4,%2c&c=%2C5,6").unwrap();
        assert_eq!(parameters.list::<_, Vec<_>>("a", text).unwrap(), ["1", "2", "3, 4", ","]);
        assert_eq!(parameters.single("c", text).unwrap().as_deref(), Some(",5,6"));
        assert_eq!(parameters.list::<_, Vec<_>>("none", text).unwrap(), [""; 0]);
        assert_eq!(parameters.finish().unwrap_err().name, "b");
    }

    #[test]
    fn what_is_repeated_empty_or_not_text_is_refused() {
        let single =
            |query: &str| Parameters::parse(query).and_then(|mut p| p.single("a", text)).unwrap_err();
        for query in ["a=1&a=1", "a=", "a", "a=%FF", "a=1&a=", "a=%00", "a=x%00y"] {
            assert_eq!(single(query).name, "a", "{query}");
        }
        let list = |query: &str| {
            Parameters::parse(query).and_then(|mut p| p.list::<_, Vec<_>>("a", text)).unwrap_err()
        };
        for query in ["a=1,,2", "a=", "a=,", "a=1&a="] {
            assert_eq!(list(query), BadParameter::new("a", "one of its values is empty"), "{query}");
        }
    }

    #[test]
    fn written_back_it_reads_the_same() {
        let parameters =
            Parameters::parse("q=%22%3E%3C+%26%3D%25&cursor=abc&sort=-due&tag=%C3%A9,b").unwrap();
        let written = parameters.without("cursor");
        assert_eq!(written, "q=%22%3E%3C+%26%3D%25&sort=-due&tag=%C3%A9,b");
        assert_eq!(Parameters::parse(&written).unwrap().without(""), written);
        let unsafe_there = Parameters::parse("q=<\"é\">&a=1").unwrap();
        assert_eq!(unsafe_there.without("a"), "q=%3C%22%C3%A9%22%3E");
    }
}
