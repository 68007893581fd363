//! The commands about credentials: codes, program tokens, password resets, and the erasure of the account. The audit
//! trail shows that each was carried out.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Moments, NEW_PASSWORD, TIMEOUT, ends, hang_up};
use crate::support::{PASSWORD, Person, totp_code, until};

/// The caller, the command, and the type of the event that follows from it.
type Command<'a> = (&'a Person, Method, &'a str, Option<Value>, &'a str);

pub(super) async fn credentials(ada: &Person, root: &Person, moments: &Moments) {
    let id = ada.get("/auth/me").await.expect(200).body["user"]["id"].clone();
    let id = id.as_str().unwrap();
    let give_up = async |(person, method, path, body, event): Command<'_>| {
        let before = count(root, id, event).await;
        hang_up(person, moments, method.clone(), path, body).await;
        until(&format!("{method} {path} is done"), TIMEOUT, async || count(root, id, event).await > before)
            .await;
    };
    let password = || json!({"password": PASSWORD});
    let (totp, tokens) = ("/auth/me/totp", "/auth/tokens");
    give_up((ada, Method::POST, totp, Some(password()), "account.second_factor_enrolled")).await;

    let enrolled = ada.post(totp, password()).await.expect(200).body;
    let code = |number: usize| enrolled["recovery_codes"][number].clone();
    let confirm = json!({"code": totp_code(enrolled["secret"].as_str().unwrap())});
    let half = async || {
        let body = json!({"email": ada.email, "password": PASSWORD});
        ada.post("/auth/login", body).await.body["mfa_token"].clone()
    };
    let path = "/auth/me/totp/confirm";
    give_up((ada, Method::POST, path, Some(confirm), "account.second_factor_confirmed")).await;
    let go_on = json!({"mfa_token": half().await, "code": code(0)});
    let path = "/auth/login/second-factor";
    give_up((ada, Method::POST, path, Some(go_on), "account.second_factor_passed")).await;
    let remove = json!({"password": PASSWORD, "code": code(1)});
    give_up((ada, Method::DELETE, totp, Some(remove), "account.second_factor_removed")).await;

    let new_token = || json!({"name": "calendar", "scopes": ["tasks:read"]});
    give_up((ada, Method::POST, tokens, Some(new_token()), "account.token_created")).await;
    let listed = ada.get(tokens).await.expect(200).body["items"][0]["id"].clone();
    let one = format!("{tokens}/{}", listed.as_str().unwrap());
    let of_ada = format!("/auth/users/{id}/tokens");
    for (person, path) in [(ada, one.as_str()), (ada, tokens), (root, of_ada.as_str())] {
        give_up((person, Method::DELETE, path, None, "account.token_revoked")).await;
        ada.post(tokens, new_token()).await.expect(201);
    }

    let offer = format!("/auth/users/{id}/reset");
    give_up((root, Method::POST, &offer, Some(json!({})), "account.reset_offered")).await;
    let offered = root.post(&offer, json!({})).await.expect(200).body["reset_token"].clone();
    let reset = json!({"reset_token": offered, "new_password": NEW_PASSWORD});
    give_up((ada, Method::POST, "/auth/reset", Some(reset), "account.password_reset")).await;
    ends(ada).await;

    let again = json!({"email": ada.email, "password": NEW_PASSWORD});
    let mut ada = ada.clone();
    ada.token = ada.post("/auth/login", again.clone()).await.expect(200).body["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let erase = json!({"password": NEW_PASSWORD});
    hang_up(&ada, moments, Method::DELETE, "/auth/me", Some(erase)).await;
    ends(&ada).await;
    until("the address is free", TIMEOUT, async || {
        ada.post("/auth/register", again.clone()).await.status == 201
    })
    .await;
}

/// The number of events of this type in the audit trail about a person.
async fn count(root: &Person, id: &str, event: &str) -> usize {
    let path = format!("/audit/events?subject={id}&type={event}&limit=100");
    root.get(&path).await.expect(200).body["items"].as_array().unwrap().len()
}
