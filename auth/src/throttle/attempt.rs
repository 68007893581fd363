//! The keys under which an attempt is counted.

use std::net::IpAddr;

use events::{EmailAddress, SessionId, UserId};
use http_api::RequestContext;

use crate::keys::Pepper;

/// The purpose of guesses at a password, in logins and in later requests.
const LOGIN: &str = "login";
const PASSWORD_CHECK: &str = "password_check";

/// An attempt: its target and its origin. The keys reveal nobody.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    /// The name in the security log.
    pub(crate) event: &'static str,
    /// The key of the target.
    pub(super) account: String,
    /// The key of the address; empty when it is unknown.
    pub(super) address: String,
    /// The key of the target from this address.
    pub(super) account_from_address: String,
    /// The key of all sessions of the person together, for a guess within one.
    pub(super) all_sessions: Option<String>,
}

impl Attempt {
    /// A guess at the password or code of `subject`: a canonical address, which may belong to nobody, or an id. `of`
    /// is the purpose, so that two purposes never share a counter.
    pub(crate) fn new(pepper: &Pepper, of: &'static str, subject: &str, context: &RequestContext) -> Self {
        let address = key_of_address(pepper, context);
        let account = pepper.key_of_attempts(of, subject.as_bytes());
        Self::counted_as(of, account, address)
    }

    fn counted_as(event: &'static str, account: String, address: String) -> Self {
        Self {
            event,
            account_from_address: format!("{account}-{address}"),
            account,
            address,
            all_sessions: None,
        }
    }

    /// A guess at the password of the account with `email`.
    pub(crate) fn at_email(pepper: &Pepper, email: &EmailAddress, context: &RequestContext) -> Self {
        Self::new(pepper, LOGIN, email.canonical(), context)
    }

    /// A guess within a session of `person`, whose counter nobody else can use up.
    pub(crate) fn in_session(
        pepper: &Pepper,
        person: UserId,
        session: SessionId,
        context: &RequestContext,
    ) -> Self {
        let session = pepper.key_of_attempts(PASSWORD_CHECK, session.to_string().as_bytes());
        // The person comes first, so that all of their keys can be found without knowing the sessions.
        let person = key_of_person(pepper, person);
        let account = format!("{person}-{session}");
        Self {
            all_sessions: Some(person),
            ..Self::counted_as(PASSWORD_CHECK, account, key_of_address(pepper, context))
        }
    }

    /// The key of all sessions of `person` together.
    pub(super) fn key_of_sessions(pepper: &Pepper, person: UserId) -> String {
        key_of_person(pepper, person)
    }

    /// The keys of guesses at the passwords of `person` with the address `email`, or the prefixes of such keys,
    /// before a hyphen.
    pub(super) fn keys_of(pepper: &Pepper, person: UserId, email: Option<&EmailAddress>) -> Vec<String> {
        let login = email.map(|email| pepper.key_of_attempts(LOGIN, email.canonical().as_bytes()));
        login.into_iter().chain([key_of_person(pepper, person)]).collect()
    }

    /// The origin, for sharing capacity fairly between addresses.
    pub(crate) fn source(&self) -> &str {
        &self.address
    }

    /// The keyed hash under which it is counted.
    pub(crate) fn key(&self) -> &str {
        &self.account
    }

    pub(super) fn has_address(&self) -> bool {
        !self.address.is_empty()
    }
}

fn key_of_person(pepper: &Pepper, person: UserId) -> String {
    pepper.key_of_attempts("person", person.to_string().as_bytes())
}

/// Empty when the address is unknown.
fn key_of_address(pepper: &Pepper, context: &RequestContext) -> String {
    context
        .client_network()
        .map(|network| pepper.key_of_attempts("address", &octets(network)))
        .unwrap_or_default()
}

fn octets(network: IpAddr) -> Vec<u8> {
    match network {
        IpAddr::V4(network) => network.octets().to_vec(),
        IpAddr::V6(network) => network.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(of: &'static str, subject: &str, address: Option<&str>) -> Attempt {
        let pepper = Pepper::parse(&"ab".repeat(32)).unwrap();
        let context = RequestContext {
            request_id: "request".into(),
            traceparent: None,
            client_ip: address.map(str::to_owned),
            user_agent: None,
        };
        Attempt::new(&pepper, of, subject, &context)
    }

    #[test]
    fn one_client_has_one_key_however_it_chooses_its_address() {
        let address = |text| attempt("email", "ada", Some(text)).address;
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::2"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("192.0.2.1"), address("::ffff:192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert!(!attempt("email", "ada", None).has_address());
    }

    #[test]
    fn keys_name_nobody_and_kinds_are_kept_apart() {
        let of_email = attempt("email", "ada@example.com", Some("192.0.2.1"));
        let text = format!("{of_email:?}");
        assert!(!text.contains("ada") && !text.contains("192"), "{text}");
        assert_ne!(of_email.account, attempt("session", "ada@example.com", None).account);
        assert_ne!(of_email.account, of_email.account_from_address);
    }
}
