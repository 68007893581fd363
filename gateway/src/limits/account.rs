//! Finds the account of a login or a registration: reads the body, up to auth's limit, and passes it on.

use axum::{body::Body, extract::Request};
use events::EmailAddress;
use http_api::{BodyLimit, Problem, read_body};
use serde::Deserialize;

#[derive(Deserialize)]
struct Credentials {
    email: String,
}

/// The e-mail address of the account in `request`, if there is one. Auth reports all mistakes of the body.
pub(super) async fn account(request: Request) -> Result<(Request, Option<String>), Problem> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, BodyLimit::default()).await?;
    let credentials = serde_json::from_slice::<Credentials>(&body).ok();
    // In the form in which auth compares addresses, so that all spellings share one budget.
    let address = credentials.and_then(|credentials| EmailAddress::parse(&credentials.email).ok());
    let email = address.map(|address| address.canonical().to_owned());
    Ok((Request::from_parts(parts, Body::from(body)), email))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn named(body: &str) -> Option<String> {
        let request = Request::new(Body::from(body.to_owned()));
        let (request, account) = account(request).await.unwrap();
        let handed_on = read_body(request.into_body(), BodyLimit::default()).await.unwrap();
        assert_eq!(handed_on, body);
        account
    }

    #[tokio::test]
    async fn every_spelling_of_an_address_is_one_account() {
        let ada = named(r#"{"email": "ada@example.org", "password": "x"}"#).await;
        assert_eq!(ada, Some("ada@example.org".to_owned()));
        for same in [
            r#"{"password": {"deep": [1]}, "email": " ADA@Example.ORG "}"#,
            r#"{"email": "\u0061da@example.org"}"#,
        ] {
            assert_eq!(named(same).await, ada, "{same}");
        }
    }

    #[tokio::test]
    async fn what_names_no_account_is_handed_on() {
        for body in ["", "{", "[]", r#"{"email": 1}"#, r#"{"email": "nobody"}"#, "\u{feff}{}"] {
            assert_eq!(named(body).await, None, "{body}");
        }
    }

    #[tokio::test]
    async fn no_more_is_read_than_auth_would() {
        let request = Request::new(Body::from(" ".repeat(64 * 1024 + 1)));
        assert_eq!(account(request).await.unwrap_err().code(), "body-too-large");
    }
}
