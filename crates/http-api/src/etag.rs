//! Versions as entity tags, and the preconditions that clients build from them (RFC 9110, section 13).

use api_types::ProblemCode;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{headers, problem::Problem};

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// `*`: any version.
    Any,
    /// These versions; empty when no listed tag is a version.
    Versions(Vec<u64>),
}

/// The preconditions of a request on the version of its target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// `If-Match`, compared strongly: weak tags name no version.
    pub if_match: Option<Named>,
    /// `If-None-Match`, compared weakly.
    pub if_none_match: Option<Named>,
}

/// The answer to a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// The representation.
    Show,
    /// `304`: the client has the current one.
    NotModified,
    /// `412`: see [`Problem::version_mismatch`].
    Mismatch,
}

impl Named {
    fn names(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }
}

impl Preconditions {
    /// Reads both headers.
    ///
    /// # Errors
    /// `400 bad-parameter` when one is not a list of entity tags.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self {
            if_match: if_match(headers)?,
            if_none_match: named(headers, &header::IF_NONE_MATCH, "If-None-Match", |_| true)?,
        })
    }

    /// The answer to a read of a target at `version`; `If-Match` comes first (RFC 9110, section 13.2.2).
    #[must_use]
    pub fn of_read(&self, version: u64) -> ReadOutcome {
        let names = |named: &Named| named.names(version);
        if !self.if_match.as_ref().is_none_or(names) {
            ReadOutcome::Mismatch
        } else if self.if_none_match.as_ref().is_some_and(names) {
            ReadOutcome::NotModified
        } else {
            ReadOutcome::Show
        }
    }
}

/// The answer to a GET or HEAD of a target with the strong entity tag `etag`, for targets without versions, such as
/// lists.
///
/// # Errors
/// `400 bad-parameter` when a condition is not a list of entity tags.
pub fn outcome_of_read(headers: &HeaderMap, etag: &HeaderValue) -> Result<ReadOutcome, Problem> {
    let names = |name, spelled, is_strong: bool| {
        let tags = present_tags(headers, name, spelled)?;
        let is_named = |tag: &Tag| !(is_strong && tag.weak) && tag.quoted.as_bytes() == etag.as_bytes();
        Ok::<_, Problem>(tags.map(|tags| match tags {
            Tags::Any => true,
            Tags::List(tags) => tags.iter().any(is_named),
        }))
    };
    let if_match = names(&header::IF_MATCH, "If-Match", true)?;
    let if_none_match = names(&header::IF_NONE_MATCH, "If-None-Match", false)?;
    Ok(match (if_match, if_none_match) {
        (Some(false), _) => ReadOutcome::Mismatch,
        (_, Some(true)) => ReadOutcome::NotModified,
        _ => ReadOutcome::Show,
    })
}

/// The answer to a GET or HEAD of a target without an entity tag: only `*` matches it (RFC 9110, section 13.1).
///
/// # Errors
/// `400 bad-parameter` when a condition is not a list of entity tags.
pub(crate) fn outcome_of_untagged_read(headers: &HeaderMap) -> Result<ReadOutcome, Problem> {
    let conditions = Preconditions::of(headers)?;
    Ok(match (conditions.if_match, conditions.if_none_match) {
        (Some(Named::Versions(_)), _) => ReadOutcome::Mismatch,
        (_, Some(Named::Any)) => ReadOutcome::NotModified,
        _ => ReadOutcome::Show,
    })
}

/// The strong entity tag of a version: `"3"`.
pub fn etag(version: u64) -> HeaderValue {
    // Digits between quotes are always a valid header value.
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// Reads `If-Match`. Comparison is strong: weak tags match nothing.
///
/// # Errors
/// `400 bad-parameter` when it is not a list of entity tags.
pub fn if_match(headers: &HeaderMap) -> Result<Option<Named>, Problem> {
    named(headers, &header::IF_MATCH, "If-Match", |tag| !tag.weak)
}

fn named(
    headers: &HeaderMap,
    name: &HeaderName,
    spelled: &str,
    counts: impl Fn(&Tag) -> bool,
) -> Result<Option<Named>, Problem> {
    Ok(present_tags(headers, name, spelled)?.map(|tags| match tags {
        Tags::Any => Named::Any,
        Tags::List(tags) => {
            let versions = tags.iter().filter(|tag| counts(tag)).filter_map(|tag| tag.version);
            Named::Versions(versions.collect())
        }
    }))
}

/// The tags in the header `name`, if it is there.
fn present_tags(headers: &HeaderMap, name: &HeaderName, spelled: &str) -> Result<Option<Tags>, Problem> {
    let Some(list) = headers::list(headers, name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&list).ok().filter(|text| text.is_ascii());
    let bad = || Problem::bad_parameter(spelled, "expected `*` or entity tags such as \"3\"");
    text.and_then(tags).map(Some).ok_or_else(bad)
}

enum Tags {
    Any,
    List(Vec<Tag>),
}

struct Tag {
    weak: bool,
    /// With its quotes.
    quoted: String,
    /// The version; `None` for a tag that is not a version.
    version: Option<u64>,
}

fn tags(text: &str) -> Option<Tags> {
    let mut list = Vec::new();
    let mut rest = text.trim();
    if rest == "*" {
        return Some(Tags::Any);
    }
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(',') {
            rest = next.trim_start();
            continue;
        }
        let (weak, opaque) = match rest.strip_prefix("W/") {
            Some(opaque) => (true, opaque),
            None => (false, rest),
        };
        let (tag, next) = opaque.strip_prefix('"')?.split_once('"')?;
        rest = next.trim_start();
        if !rest.is_empty() && !rest.starts_with(',') {
            return None;
        }
        // `"03"` is another tag than `"3"`.
        let version = tag.parse::<u64>().ok().filter(|version| version.to_string() == tag);
        let quoted = format!("\"{tag}\"");
        list.push(Tag { weak, quoted, version });
    }
    (!list.is_empty()).then_some(Tags::List(list))
}

impl Preconditions {
    /// Checks the conditions of a write to a target without a version: a list (`is_there`), or a path that cannot be
    /// read.
    ///
    /// # Errors
    /// `412 version-mismatch` when one of them does not hold (RFC 9110, sections 13.1.1 and 13.1.2).
    pub fn check_without_version(&self, is_there: bool) -> Result<(), Problem> {
        let is_match = match &self.if_match {
            None => true,
            Some(Named::Any) => is_there,
            Some(Named::Versions(_)) => false,
        };
        let is_other = !(is_there && self.if_none_match == Some(Named::Any));
        match is_match && is_other {
            true => Ok(()),
            false => Err(Problem::new(ProblemCode::VersionMismatch)
                .detail("This path has no version, so that the condition of the request does not hold.")),
        }
    }
}

impl Problem {
    /// `412 version-mismatch` with the current version.
    pub fn version_mismatch(actual: u64) -> Self {
        Self::new(ProblemCode::VersionMismatch)
            .detail(format!("It is at version {actual}, which the condition of the request rules out."))
            .header(header::ETAG, etag(actual))
    }

    /// `412 version-mismatch` for a read of a target without an entity tag.
    pub(crate) fn untagged_mismatch() -> Self {
        Self::new(ProblemCode::VersionMismatch)
            .detail("What is here has no entity tag, so that If-Match can only be `*`.")
    }

    /// `412 version-mismatch` with the current entity tag, for targets without versions.
    pub fn etag_mismatch(actual: HeaderValue) -> Self {
        Self::new(ProblemCode::VersionMismatch)
            .detail("It is not what the condition of the request names.")
            .header(header::ETAG, actual)
    }
}

#[cfg(test)]
mod tests;
