//! The secrets in payloads, which only readers of the log get: hashes of passwords, tokens and codes, and encrypted
//! secrets.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::Event;

/// The members of payloads that are removed before an event is published or shown. Each has to have a default when it
/// is read, since a payload from the bus comes without it.
pub const SECRET_MEMBERS: [&str; 6] =
    ["password_hash", "refresh_hash", "token_hash", "totp_secret", "recovery_hashes", "reset_hash"];

/// The types of events whose payloads may hold one of [`SECRET_MEMBERS`]. The golden files of events say the same.
const KINDS_WITH_SECRETS: [&str; 10] = [
    "account.password_changed",
    "account.password_rehashed",
    "account.password_reset",
    "account.registered",
    "account.reset_offered",
    "account.second_factor_enrolled",
    "account.token_created",
    "session.refresh_repeated",
    "session.refreshed",
    "session.started",
];

/// Whether the payload of an event of this type may hold a secret. For a type that this build does not know, yes.
pub fn may_hold_secrets(kind: &str) -> bool {
    KINDS_WITH_SECRETS.contains(&kind) || Event::catalog().all(|(known, _)| known != kind)
}

/// The payload `data` without its secret members, so that it can be sent to others. A payload without secrets stays the
/// same, byte for byte.
///
/// If a secret cannot be removed from a payload, the result is empty. No event has an empty payload.
pub fn public_payload(data: &Bytes) -> Bytes {
    if !SECRET_MEMBERS.iter().any(|name| contains(data, name.as_bytes())) {
        return data.clone();
    }
    let Ok(mut members) = serde_json::from_slice::<Map<String, Value>>(data) else {
        return Bytes::new();
    };
    let mut removed = false;
    for name in SECRET_MEMBERS {
        match members.remove(name) {
            None => {}
            Some(Value::String(_)) => removed = true,
            Some(Value::Array(items)) if items.iter().all(Value::is_string) => removed = true,
            // Not an event of this build: without the member it would mean something else.
            Some(_) => return Bytes::new(),
        }
    }
    if !removed {
        return data.clone();
    }
    serde_json::to_vec(&members).map_or_else(|_| Bytes::new(), Bytes::from)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn public(data: &'static str) -> String {
        String::from_utf8(public_payload(&Bytes::from_static(data.as_bytes())).to_vec()).unwrap()
    }

    #[test]
    fn secret_members_are_taken_out_and_nothing_else() {
        assert_eq!(
            public(r#"{"email":"a@b","password_hash":"$argon2id$x","display_name":null}"#),
            r#"{"display_name":null,"email":"a@b"}"#
        );
        assert_eq!(public(r#"{"refresh_hash":"ab"}"#), "{}");
        assert_eq!(public(r#"{"totp_secret":"ab","recovery_hashes":["cd","ef"]}"#), "{}");
        let untouched = r#"{ "title" : "a",  "tags":[] }"#;
        assert_eq!(public(untouched), untouched);
        let mentioned = r#"{ "title":"my password_hash" }"#;
        assert_eq!(public(mentioned), mentioned);
    }

    #[test]
    fn a_secret_that_cannot_be_taken_out_withholds_the_payload() {
        for data in [
            r#"{"password_hash":"$argon2id$x""#,
            r#"["refresh_hash"]"#,
            r#"{"refresh_hash":{"of":"ab"}}"#,
            r#"{"recovery_hashes":["ab",{"of":"cd"}]}"#,
        ] {
            assert_eq!(public(data), "", "{data}");
        }
    }
}
