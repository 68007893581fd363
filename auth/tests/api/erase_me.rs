//! `DELETE /auth/me` and `taskledger users erase`.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use auth_client::{REVOCATIONS, Revocation};
use events::{AccountEvent, Actor, Event, Role};
use serde_json::json;
use test_support::eventually;

use crate::{
    register::the_only_one,
    second_factor::{code, enrolled, wrong},
    support::{ADA, App, NEW, OPERATION, PASSWORD, WRONG, heard, statuses},
};

pub(crate) async fn is_released(app: &App) -> bool {
    app.kinds().await.iter().any(|kind| kind == "email.released")
}

/// As if the database of operations had been lost.
pub(crate) async fn forget_pending_erasures(app: &App) {
    let forget = "DELETE FROM pending_erasures";
    app.dependencies.operations.execute(forget, &[]).await.unwrap();
}

/// Rows of a table of operations.
pub(crate) async fn count(app: &App, table: &str) -> u64 {
    let sql = format!("SELECT count(*) AS rows FROM {table}");
    let row = app.dependencies.operations.fetch_optional(&sql, &[]).await;
    row.unwrap().unwrap().unsigned("rows").unwrap()
}

#[tokio::test]
async fn whoever_is_erased_is_gone_and_the_address_is_free() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let other = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let made = json!({"name": "Backup", "scopes": ["tasks:read"]});
    let made = app.post("/auth/tokens").token(&access).json(&made).send().await;
    let program = made.expect(201, "").text("/token");
    let reset = app.offer_reset(ADA, false).await;

    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    let before = app.log().await.len();
    let erased = app.erase_with(&access, PASSWORD).await.expect(204, "");
    assert!(!erased.header("consistency-token").is_empty());
    let log = app.log().await;
    let mut kinds: Vec<_> = log[before..].iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds.remove(0), "account.erased");
    kinds.sort_unstable();
    assert_eq!(kinds, ["email.released", "session.ended", "session.ended"]);
    assert!(log[before..].iter().all(|event| event.metadata.subject == id));
    assert_eq!(log[before].metadata.actor, Actor::User(id));
    assert_eq!(heard(&mut *revocations).await, Revocation::Account(id));

    for access in [&access, &other.0] {
        app.me(access).await.expect(401, "session-ended");
        app.erase_with(access, PASSWORD).await.expect(401, "session-ended");
    }
    for refresh in [&refresh, &other.1] {
        app.refresh(refresh).await.expect(401, "session-ended");
    }
    app.me(&program).await.expect(401, "session-ended");
    app.reset(&reset.token, NEW).await.expect(401, "token-invalid");
    let (gone, unknown) = (app.login(ADA, PASSWORD).await, app.login("nobody@example.com", PASSWORD).await);
    for answer in [&gone, &unknown] {
        assert_eq!((answer.status.as_u16(), answer.code()), (401, "bad-credentials"));
    }
    assert_eq!(gone.body["detail"], unknown.body["detail"]);

    // Another process, with an empty cache, reads in the log that they are erased, and no personal data.
    let other = app.replica(|_, _| {}).await;
    other.me(&access).await.expect(401, "session-ended");
    for registered in other.payloads("account.registered").await {
        let Event::Account(AccountEvent::Registered(registered)) = registered else {
            panic!("{registered:?}")
        };
        assert_ne!(registered.email, ADA);
    }

    let again = app.register(ADA).await.expect(201, "");
    assert_ne!(again.text("/user/id"), id.to_string());
    app.sign_in(ADA).await;
    app.me(&access).await.expect(401, "session-ended");
}

#[tokio::test]
async fn a_wrong_password_erases_nobody_and_has_to_wait() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    for (body, pointer, code) in [
        (json!({}), "/password", "required"),
        (json!({"password": PASSWORD, "code": 7}), "/code", "wrong-type"),
        (json!({"password": PASSWORD, "sure": true}), "/sure", "unknown-field"),
    ] {
        let mistakes = app.erase(&access, body).await.mistakes();
        assert_eq!(mistakes, [(pointer.to_owned(), code.to_owned())]);
    }
    for _ in 0..5 {
        app.erase_with(&access, WRONG).await.expect(401, "bad-credentials");
    }
    app.erase_with(&access, PASSWORD).await.expect(429, "rate-limited");
    app.me(&access).await.expect(200, "");
    app.clock.advance(1);
    app.erase_with(&access, PASSWORD).await.expect(204, "");
}

#[tokio::test]
async fn an_account_with_a_second_factor_needs_a_code() {
    let app = App::start().await;
    let (access, secret, recovery) = enrolled(&app).await;
    let mistakes = app.erase_with(&access, PASSWORD).await.mistakes();
    assert_eq!(mistakes, [("/code".to_owned(), "required".to_owned())]);
    let with = |code: &str| json!({"password": PASSWORD, "code": code});
    app.erase(&access, with(&wrong(&app, &secret))).await.expect(401, "bad-credentials");
    let refused = app.payloads("account.second_factor_refused").await;
    assert_eq!(refused.len(), 1, "a wrong code is counted");
    app.me(&access).await.expect(200, "");
    app.erase(&access, json!({"password": WRONG, "code": recovery[0]})).await.expect(401, "bad-credentials");
    app.erase(&access, with(&code(&app, &secret, 0))).await.expect(204, "");
    app.register(ADA).await.expect(201, "");
}

#[tokio::test]
async fn the_last_admin_stays() {
    let app = App::start().await;
    let root = app.sign_in_admin("root@example.com").await;
    app.erase_with(&root, PASSWORD).await.expect(409, "last-admin");
    app.me(&root).await.expect(200, "");
    let operator = app.operator().await;
    let id = operator.find("root@example.com").await.unwrap().user_id;
    let refused = operator.erase(id, OPERATION.into()).await;
    assert!(refused.unwrap_err().to_string().contains("last admin"));

    let deputy = app.sign_in_admin("deputy@example.com").await;
    app.erase_with(&root, PASSWORD).await.expect(204, "");
    let kinds = app.kinds().await;
    let place = |kind: &str| kinds.iter().rposition(|other| other == kind).unwrap();
    assert!(place("admins.removed") < place("account.erased"));
    app.erase_with(&deputy, PASSWORD).await.expect(409, "last-admin");
    let roles = app.get_as(&deputy, "/auth/second-factor-roles").await;
    roles.expect(200, "");
}

#[tokio::test]
async fn two_admins_who_erase_themselves_at_once_leave_one() {
    let app = App::start().await;
    let one = app.sign_in_admin("one@example.com").await;
    let two = app.sign_in_admin("two@example.com").await;
    let (first, second) = tokio::join!(app.erase_with(&one, PASSWORD), app.erase_with(&two, PASSWORD));
    assert_eq!(statuses([&first, &second]), [204, 409]);
}

#[tokio::test]
async fn an_erasure_that_is_refused_uses_no_code_up() {
    let app = App::start().await;
    let (access, _, recovery) = enrolled(&app).await;
    app.grant(ADA, Role::Admin).await;
    let body = json!({"password": PASSWORD, "code": recovery[0]});
    app.erase(&access, body.clone()).await.expect(409, "last-admin");
    app.sign_in_admin("deputy@example.com").await;
    app.erase(&access, body).await.expect(204, "");
}

#[tokio::test]
async fn nobody_waits_for_an_address_that_is_not_released_yet() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    faults.appends_left.store(1, Ordering::SeqCst);
    app.erase_with(&access, PASSWORD).await.expect(503, "unavailable");
    forget_pending_erasures(&app).await;
    faults.appends_left.store(usize::MAX, Ordering::SeqCst);
    assert!(!is_released(&app).await);
    let answers = futures::future::join_all((0..4).map(|_| app.register(ADA))).await;
    the_only_one(&answers);
    assert!(is_released(&app).await);
}

#[tokio::test]
async fn nothing_is_left_of_guesses_and_addresses() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let (bob, _) = app.sign_in("bob@example.com").await;
    let from_home = |password: &'static str| {
        let body = json!({"email": ADA, "password": password});
        let call = app.post("/auth/login").json(&body);
        call.header("x-forwarded-for", "203.0.113.7").send()
    };
    from_home(PASSWORD).await.expect(200, "");
    from_home(WRONG).await.expect(401, "bad-credentials");
    app.login(ADA, WRONG).await.expect(401, "bad-credentials");
    app.erase_with(&access, WRONG).await.expect(401, "bad-credentials");
    let changed = app.change_password(&bob, WRONG, NEW).await;
    changed.expect(401, "bad-credentials");
    assert!(count(&app, "authentication_failures").await >= 6);
    assert!(count(&app, "familiar_addresses").await >= 1);

    app.erase_with(&access, PASSWORD).await.expect(204, "");
    assert_eq!(count(&app, "authentication_failures").await, 2, "Bob's: of the session, and of all of them");
    assert_eq!(count(&app, "familiar_addresses").await, 0);

    // The pending erasure is deleted, too, once nothing can arrive any more.
    assert_eq!(count(&app, "pending_erasures").await, 1);
    app.clock.advance(120);
    eventually("the erasure is forgotten", async || count(&app, "pending_erasures").await == 0).await;
}

/// The second request learns that its session has ended, not that the password is wrong.
#[tokio::test]
async fn the_same_request_at_once_erases_once_and_counts_no_failure() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let answers = futures::future::join_all((0..4).map(|_| app.erase_with(&access, PASSWORD))).await;
    for answer in &answers {
        let told = (answer.status.as_u16(), answer.code());
        assert!(matches!(told, (204, "") | (401, "session-ended")), "{answer:?}");
    }
    assert!(answers.iter().any(|answer| answer.status == 204));
    let done = answers.iter().filter(|answer| answer.status == 204);
    let receipts: BTreeSet<_> = done.map(|answer| answer.header("erasure-receipt")).collect();
    assert_eq!(receipts.len(), 1, "{receipts:?}");
    let erased = app.kinds().await;
    let erased = erased.iter().filter(|kind| *kind == "account.erased");
    assert_eq!(erased.count(), 1);
    assert_eq!(count(&app, "authentication_failures").await, 0);
}
