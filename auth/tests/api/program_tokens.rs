//! `POST /auth/tokens`, `GET /auth/tokens`, `DELETE /auth/tokens/{id}`, and the rights of such a token.

use std::sync::atomic::Ordering;

use auth_client::{Credential, Rejection, VerifyError};
use events::{Actor, Scope};
use http::Method;
use serde_json::{Value, json};
use test_support::eventually;

use crate::support::{ADA, Answer, App, NEW, OPERATION, PASSWORD};

async fn create(app: &App, access: &str, body: Value) -> Answer {
    app.post("/auth/tokens").token(access).json(&body).send().await
}

pub(crate) async fn token(app: &App, access: &str) -> (String, String) {
    let made = create(app, access, json!({"name": "Backup", "scopes": ["tasks:read"]})).await;
    let made = made.expect(201, "");
    (made.text("/token"), made.text("/id"))
}

async fn list(app: &App, access: &str) -> Vec<Value> {
    let answer = app.get_as(access, "/auth/tokens").await.expect(200, "");
    answer.body["items"].as_array().unwrap().clone()
}

pub(crate) async fn revoke(app: &App, access: &str, id: &str) -> Answer {
    app.delete_as(access, &format!("/auth/tokens/{id}")).await
}

/// Whether the problem asks for a new token, and not for a login or a refresh.
fn is_for_programs(refused: &Answer) -> bool {
    let detail = refused.text("/detail");
    detail.contains("Make a new one") && !detail.contains("Refresh") && !detail.contains("Log in")
}

#[tokio::test]
async fn a_token_is_shown_once_and_only_its_hash_is_kept() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let expires_at = "2027-02-15T08:00:00Z";
    let body = json!({"name": " Backup ", "scopes": ["tasks:write", "tasks:read"], "expires_at": expires_at});
    let made = create(&app, &access, body).await.expect(201, "");
    let text = made.text("/token");
    assert!(text.starts_with("taskledger_pat_"));
    let mut about = made.body.clone();
    about.as_object_mut().unwrap().remove("token");
    assert_eq!(
        about,
        json!({
            "id": about["id"], "name": "Backup", "scopes": ["tasks:read", "tasks:write"],
            "created_at": "2027-01-15T08:00:00.123456Z", "expires_at": expires_at, "last_used_at": null,
        })
    );
    assert_eq!(list(&app, &access).await, [about]);
    for recorded in app.log().await {
        let data = String::from_utf8_lossy(&recorded.data).into_owned();
        assert!(!data.contains(&text[15..]), "{data}");
    }
}

#[tokio::test]
async fn a_good_token_names_its_owner_and_its_scopes_everywhere() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let (token, id) = token(&app, &access).await;
    let identity = app.verifier().await.verify(&token).await.unwrap();
    assert_eq!(
        identity.credential,
        Credential::ProgramToken { id: id.parse().unwrap(), scopes: [Scope::TasksRead].into() }
    );
    assert_eq!(identity.email, ADA);
    assert_eq!(identity.actor(), Actor::Program { user: identity.user_id, token: id.parse().unwrap() });
}

#[tokio::test]
async fn auth_itself_serves_no_program() {
    let app = App::start().await;
    let access = app.sign_in_admin(ADA).await;
    let all = json!({"name": "All", "scopes": ["tasks:read", "tasks:write", "audit:read"]});
    let token = create(&app, &access, all).await.expect(201, "").text("/token");
    for (method, path) in [
        (Method::GET, "/auth/me"),
        (Method::GET, "/auth/tokens"),
        (Method::GET, "/auth/sessions"),
        (Method::GET, "/auth/users"),
        (Method::POST, "/auth/logout"),
        (Method::POST, "/auth/logout-all"),
        (Method::DELETE, "/auth/tokens/01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9f"),
    ] {
        let answer = app.call(method, path).token(&token).send().await;
        answer.expect(403, "forbidden");
    }
    let more = json!({"name": "More", "scopes": ["tasks:read"]});
    create(&app, &token, more).await.expect(403, "forbidden");
    let change = app.change_password(&token, PASSWORD, NEW).await;
    change.expect(403, "forbidden");
}

#[tokio::test]
async fn a_token_that_was_taken_back_is_refused_by_those_who_remember_it() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let (token, id) = token(&app, &access).await;
    let verifier = app.verifier().await;
    verifier.verify(&token).await.unwrap();
    revoke(&app, &access, &id).await.expect(204, "");
    eventually("the token is refused", async || {
        verifier.verify(&token).await == Err(VerifyError::Rejected(Rejection::SessionEnded))
    })
    .await;
    let revoked = app.me(&token).await.expect(401, "session-ended");
    assert!(is_for_programs(&revoked), "{revoked:?}");
    // A client whose answer was lost sends it again, or the gateway does.
    revoke(&app, &access, &id).await.expect(204, "");
    assert!(list(&app, &access).await.is_empty());
}

#[tokio::test]
async fn a_token_of_nobody_and_one_of_somebody_else_are_not_found() {
    let app = App::start().await;
    let (ada, _) = app.sign_in(ADA).await;
    let (bob, _) = app.sign_in("bob@example.com").await;
    let (token, id) = token(&app, &ada).await;
    let nobodys = "01932f6e-7a40-7c3e-8d2b-4f5a6b7c8d9f";
    for unknown in [nobodys, &id, "nonsense"] {
        revoke(&app, &bob, unknown).await.expect(404, "not-found");
    }
    assert!(list(&app, &bob).await.is_empty());
    assert!(app.verifier().await.verify(&token).await.is_ok());
    revoke(&app, &ada, &id).await.expect(204, "");
    revoke(&app, &bob, &id).await.expect(404, "not-found");
    revoke(&app, &ada, &id).await.expect(204, "");
}

#[tokio::test]
async fn all_are_taken_back_by_one_act_of_their_owner_an_admin_or_an_operator() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (ada, _) = app.sign_in(ADA).await;
    let (bob, _) = app.sign_in("bob@example.com").await;
    let (others, _) = token(&app, &bob).await;
    let id = app.me(&ada).await.text("/user/id");
    let verifier = app.verifier().await;
    let of_somebody = format!("/auth/users/{id}/tokens");
    for act in ["owner", "admin", "operator"] {
        let tokens = [token(&app, &ada).await.0, token(&app, &ada).await.0];
        for token in &tokens {
            verifier.verify(token).await.unwrap();
        }
        match act {
            "owner" => drop(app.delete_as(&ada, "/auth/tokens").await.expect(204, "")),
            "admin" => drop(app.delete_as(&admin, &of_somebody).await.expect(204, "")),
            _ => {
                let operator = app.operator().await;
                let id = operator.find(ADA).await.unwrap().user_id;
                operator.revoke_tokens(id, OPERATION.into()).await.unwrap();
            }
        }
        for token in &tokens {
            eventually("the token is refused", async || {
                verifier.verify(token).await == Err(VerifyError::Rejected(Rejection::SessionEnded))
            })
            .await;
        }
        assert!(list(&app, &ada).await.is_empty(), "{act}");
    }
    app.delete_as(&bob, &of_somebody).await.expect(403, "forbidden");
    app.me(&ada).await.expect(200, "");
    verifier.verify(&others).await.unwrap();
}

#[tokio::test]
async fn a_token_does_not_come_back_when_its_account_is_disabled_and_enabled_or_reset() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let (bob, _) = app.sign_in("bob@example.com").await;
    let id = app.me(&bob).await.text("/user/id");
    let (before, _) = token(&app, &bob).await;
    for act in ["disable", "enable"] {
        app.act(&admin, &id, act).await.expect(200, "");
    }
    let (bob, _) = app.sign_in("bob@example.com").await;
    let verifier = app.verifier().await;
    let ended = Err(VerifyError::Rejected(Rejection::SessionEnded));
    assert_eq!(verifier.verify(&before).await, ended);
    let (later, _) = token(&app, &bob).await;
    verifier.verify(&later).await.unwrap();
    let offered = app.offer_reset("bob@example.com", false).await;
    app.reset(&offered.token, NEW).await.expect(204, "");
    eventually("the token is refused", async || verifier.verify(&later).await == ended).await;
}

#[tokio::test]
async fn a_token_that_is_being_made_during_a_reset_is_not_made() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    let offered = app.offer_reset(ADA, false).await;
    let other = app.restarted().await;
    let held = faults.appending.write().await;
    faults.appends_left.store(1, Ordering::SeqCst);
    let reset = async {
        let waits = async || faults.appends_left.load(Ordering::SeqCst) == 0;
        eventually("the token is about to be appended", waits).await;
        other.reset(&offered.token, NEW).await.expect(204, "");
        faults.appends_left.store(usize::MAX, Ordering::SeqCst);
        drop(held);
    };
    let body = json!({"name": "Backup", "scopes": ["tasks:read"]});
    let (made, ()) = tokio::join!(create(&app, &access, body), reset);
    made.expect(401, "session-ended");
    assert!(app.payloads("account.token_created").await.is_empty());
}

#[tokio::test]
async fn a_token_ends_at_its_end_and_with_its_account() {
    let app = App::start().await;
    let admin = app.sign_in_admin(ADA).await;
    let (bob, _) = app.sign_in("bob@example.com").await;
    let ends = json!({"name": "b", "scopes": ["tasks:read"], "expires_at": "2027-01-15T08:01:00Z"});
    let ending = create(&app, &bob, ends).await.expect(201, "").text("/token");
    let (endless, _) = token(&app, &bob).await;
    let verifier = app.verifier().await;
    verifier.verify(&ending).await.unwrap();
    app.clock.advance(60);
    assert_eq!(verifier.verify(&ending).await, Err(VerifyError::Rejected(Rejection::Expired)));
    let expired = app.me(&ending).await.expect(401, "token-expired");
    assert!(is_for_programs(&expired), "{expired:?}");
    let me = app.me(&bob).await.text("/user/id");
    app.act(&admin, &me, "disable").await.expect(200, "");
    eventually("the token is refused", async || {
        verifier.verify(&endless).await == Err(VerifyError::Rejected(Rejection::SessionEnded))
    })
    .await;
}

#[tokio::test]
async fn its_last_use_is_noted_to_the_day() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let (token, id) = token(&app, &access).await;
    let (first, second) = (app.verifier().await, app.verifier().await);
    first.verify(&token).await.unwrap();
    app.clock.advance(600);
    second.verify(&token).await.unwrap();
    assert_eq!(list(&app, &access).await[0]["last_used_at"], "2027-01-15T08:00:00.123456Z");
    let log = app.log().await;
    let used: Vec<_> = log.iter().filter(|recorded| recorded.kind == "account.token_used").collect();
    assert_eq!(used.len(), 1);
    let Actor::Program { token, .. } = used[0].metadata.actor else { panic!("{:?}", used[0].metadata.actor) };
    assert_eq!(token.to_string(), id);
}

#[tokio::test]
async fn made_up_and_changed_tokens_are_malformed() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let (token, _) = token(&app, &access).await;
    let verifier = app.verifier().await;
    let last = token.len() - 1;
    let changed = format!("{}{}", &token[..50], "A".repeat(last - 49));
    for made_up in [format!("taskledger_pat_{}", "A".repeat(107)), changed] {
        assert_eq!(verifier.verify(&made_up).await, Err(VerifyError::Rejected(Rejection::Malformed)));
        app.me(&made_up).await.expect(401, "token-invalid");
    }
    let other_secret = format!("{}{}", &token[..79], "A".repeat(43));
    assert_eq!(verifier.verify(&other_secret).await, Err(VerifyError::Rejected(Rejection::SessionEnded)));
}

#[tokio::test]
async fn an_account_has_fifty_tokens_at_most() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let mut last = String::new();
    for _ in 0..events::MAX_PROGRAM_TOKENS {
        last = token(&app, &access).await.1;
    }
    let body = json!({"name": "One more", "scopes": ["tasks:read"]});
    create(&app, &access, body.clone()).await.expect(409, "too-many-tokens");
    revoke(&app, &access, &last).await.expect(204, "");
    create(&app, &access, body).await.expect(201, "");
}
