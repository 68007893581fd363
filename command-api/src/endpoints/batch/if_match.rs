//! The precondition of one command, like `If-Match` of a single request.

use http::{HeaderMap, HeaderValue, header::IF_MATCH};
use http_api::{FieldError, Named};
use serde_json::Value;

use crate::domain::ExpectedVersion;

/// Reads a version, `3` or `"3"`, or a value of the header: `"\"3\""`, a list of such, or `"*"`.
pub(super) fn if_match(value: &Value) -> Result<ExpectedVersion, FieldError> {
    match value {
        Value::Number(number) => number.as_u64().map(|version| ExpectedVersion::OneOf(vec![version])),
        Value::String(text) => version(text).or_else(|| header(text)),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            return Err(FieldError::wrong_type("a version, as a number or an entity tag"));
        }
    }
    .ok_or_else(|| {
        FieldError::new("malformed", "must be a version such as 3, an entity tag such as \"3\", or *")
    })
}

fn version(text: &str) -> Option<ExpectedVersion> {
    let version: u64 = text.parse().ok()?;
    // A version has no leading zeros.
    (version.to_string() == text).then(|| ExpectedVersion::OneOf(vec![version]))
}

fn header(text: &str) -> Option<ExpectedVersion> {
    let value = HeaderValue::from_str(text).ok()?;
    match http_api::if_match(&HeaderMap::from_iter([(IF_MATCH, value)])).ok()? {
        None | Some(Named::Any) => Some(ExpectedVersion::Any),
        Some(Named::Versions(versions)) => Some(ExpectedVersion::OneOf(versions)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn is_a_version_or_entity_tags() {
        let versions = |versions: &[u64]| Ok(ExpectedVersion::OneOf(versions.to_vec()));
        assert_eq!(if_match(&json!(3)), versions(&[3]));
        assert_eq!(if_match(&json!("3")), versions(&[3]));
        assert_eq!(if_match(&json!("\"3\"")), versions(&[3]));
        assert_eq!(if_match(&json!("\"3\", \"4\"")), versions(&[3, 4]));
        assert_eq!(if_match(&json!("W/\"3\"")), versions(&[]));
        assert_eq!(if_match(&json!("*")), Ok(ExpectedVersion::Any));
    }

    #[test]
    fn is_nothing_else() {
        for bad in [
            json!(-1),
            json!(1.5),
            json!(""),
            json!("03"),
            json!("+3"),
            json!("3, 4"),
            json!("\"3"),
            json!("ä"),
        ] {
            assert_eq!(if_match(&bad).unwrap_err().code, "malformed", "{bad}");
        }
        for bad in [json!(true), json!([1]), json!({})] {
            assert_eq!(if_match(&bad).unwrap_err().code, "wrong-type", "{bad}");
        }
    }
}
