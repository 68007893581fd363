//! Which members of payloads are personal. They are encrypted under the key of the subject, and replaced by
//! placeholders once that key is destroyed.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The member of a sealed payload that holds its personal members, encrypted.
pub const SEALED_MEMBER: &str = "sealed";

/// The placeholder for a text about an erased person.
pub const ERASED: &str = "erased";

/// The placeholder for the address of an erased person.
pub const ERASED_EMAIL: &str = "erased@erased.invalid";

/// The personal members of all payloads, each with the JSON that replaces it when its key is destroyed. With it
/// events of every version can still be read. A test makes sure that every member of every event is either here or
/// known to say nothing about a person.
pub const PERSONAL_MEMBERS: [(&str, &str); 10] = [
    ("title", r#""erased""#),
    ("description", "null"),
    ("tags", "[]"),
    ("email", r#""erased@erased.invalid""#),
    ("display_name", "null"),
    // In program tokens.
    ("name", r#""erased""#),
    ("ip", "null"),
    ("user_agent", "null"),
    // A fingerprint of the client.
    ("client", "null"),
    // In what an admin does to an account.
    ("admin_reason", "null"),
];

/// A payload in two parts, each a JSON object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DividedPayload {
    /// The part that stays readable.
    rest: Vec<u8>,
    /// The part that is encrypted.
    pub personal: Vec<u8>,
}

/// Members of an object with their JSON as it is written.
type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Takes the personal members out of a payload; `None` when it has none, or is no JSON object.
pub fn divide_payload(data: &[u8]) -> Option<DividedPayload> {
    let members: Members<'_> = serde_json::from_slice(data).ok()?;
    // A member with the name of the encrypted member would be mistaken for it, so it is encrypted too.
    let is_personal =
        |name: &str| name == SEALED_MEMBER || PERSONAL_MEMBERS.iter().any(|(personal, _)| *personal == name);
    let (personal, rest): (Members<'_>, Members<'_>) =
        members.into_iter().partition(|(name, _)| is_personal(name));
    if personal.is_empty() {
        return None;
    }
    Some(DividedPayload {
        rest: serde_json::to_vec(&rest).ok()?,
        personal: serde_json::to_vec(&personal).ok()?,
    })
}

impl DividedPayload {
    /// The payload with `sealed` (Base64) in place of its personal members.
    pub fn with_sealed(mut self, sealed: &str) -> Bytes {
        // The rest is an object that ends with a brace.
        self.rest.pop();
        if self.rest.len() > 1 {
            self.rest.push(b',');
        }
        self.rest.extend_from_slice(format!("\"{SEALED_MEMBER}\":\"{sealed}\"}}").as_bytes());
        self.rest.into()
    }
}

/// The Base64 of the encrypted member of a sealed payload; `None` when it has none.
pub fn sealed_part(data: &[u8]) -> Option<String> {
    let members: Members<'_> = serde_json::from_slice(data).ok()?;
    serde_json::from_str(members.get(SEALED_MEMBER)?.get()).ok()
}

/// The sealed payload `data` with its `personal` members back in their place; `None` when either is no JSON object.
pub fn unite_payload(data: &[u8], personal: &[u8]) -> Option<Bytes> {
    let mut members: Members<'_> = serde_json::from_slice(data).ok()?;
    members.remove(SEALED_MEMBER)?;
    members.extend(serde_json::from_slice::<Members<'_>>(personal).ok()?);
    serde_json::to_vec(&members).ok().map(Bytes::from)
}

/// The sealed payload `data` with placeholders for all personal members; `None` when it is no JSON object. Readers
/// ignore placeholders for members that the event does not have.
pub fn erased_payload(data: &[u8]) -> Option<Bytes> {
    let placeholders: Vec<String> =
        PERSONAL_MEMBERS.iter().map(|(name, placeholder)| format!("\"{name}\":{placeholder}")).collect();
    unite_payload(data, format!("{{{}}}", placeholders.join(",")).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_without_personal_members_is_left_alone() {
        for data in ["{}", r#"{"priority":"high"}"#, "[]", "\"title\"", "\u{fffd}", ""] {
            assert_eq!(divide_payload(data.as_bytes()), None, "{data}");
        }
    }

    #[test]
    fn what_is_personal_goes_and_comes_back() {
        let data = br#"{"owner":"o","title":"T","description":null,"priority":"low","tags":["a"]}"#;
        let divided = divide_payload(data).unwrap();
        let personal = divided.personal.clone();
        let sealed = divided.with_sealed("c2VhbGVk");
        assert_eq!(sealed, r#"{"owner":"o","priority":"low","sealed":"c2VhbGVk"}"#);
        assert_eq!(sealed_part(&sealed).as_deref(), Some("c2VhbGVk"));
        assert_eq!(
            unite_payload(&sealed, &personal).unwrap(),
            r#"{"description":null,"owner":"o","priority":"low","tags":["a"],"title":"T"}"#
        );
        let nothing_else = divide_payload(br#"{"title":"T"}"#).unwrap();
        assert_eq!(nothing_else.with_sealed("eA"), r#"{"sealed":"eA"}"#);
    }

    #[test]
    fn a_member_that_is_called_sealed_is_sealed_itself() {
        let divided = divide_payload(br#"{"sealed":"mine"}"#).unwrap();
        let personal = divided.personal.clone();
        let sealed = divided.with_sealed("eA");
        assert_eq!(unite_payload(&sealed, &personal).unwrap(), r#"{"sealed":"mine"}"#);
    }
}
