//! `POST /auth/logout` and `POST /auth/logout-all`

use auth_client::{REVOCATIONS, Revocation};

use crate::support::{ADA, App, heard};

#[tokio::test]
async fn logout_ends_this_session_at_once() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let (other, _) = app.sign_in(ADA).await;
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();

    let answer = app.post_as(&access, "/auth/logout").await.expect(204, "");
    assert!(answer.header("consistency-token").ends_with("-7"), "{answer:?}");
    assert!(matches!(heard(&mut *revocations).await, Revocation::Session(_)));
    app.me(&access).await.expect(401, "session-ended");
    app.post_as(&access, "/auth/logout").await.expect(401, "session-ended");
    app.refresh(&refresh).await.expect(401, "session-ended");
    app.me(&other).await.expect(200, "");
}

#[tokio::test]
async fn logout_all_ends_every_session_of_this_account_only() {
    let app = App::start().await;
    let mut tokens = Vec::new();
    for _ in 0..5 {
        tokens.push(app.sign_in(ADA).await);
    }
    let (bob, _) = app.sign_in("bob@example.com").await;
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();
    let head = app.log().await.len();

    let answer = app.post_as(&tokens[2].0, "/auth/logout-all").await.expect(204, "");
    assert!(answer.header("consistency-token").ends_with(&format!("-{}", head + 6)), "{answer:?}");
    assert!(matches!(heard(&mut *revocations).await, Revocation::Account(_)));
    for (access, refresh) in &tokens {
        app.me(access).await.expect(401, "session-ended");
        app.refresh(refresh).await.expect(401, "session-ended");
    }
    app.me(&bob).await.expect(200, "");
    app.sign_in(ADA).await;
    assert_eq!(app.payloads("session.ended").await.len(), 5);
}

#[tokio::test]
async fn both_need_a_token() {
    let app = App::start().await;
    for path in ["/auth/logout", "/auth/logout-all"] {
        let answer = app.post(path).send().await.expect(401, "token-missing");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
}

#[tokio::test]
async fn two_logouts_at_once_end_the_session_once() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let logout = || app.post_as(&access, "/auth/logout");
    for answer in futures::future::join_all((0..6).map(|_| logout())).await {
        assert!(answer.status == 204 || answer.code() == "session-ended", "{answer:?}");
    }
    assert_eq!(app.payloads("session.ended").await.len(), 1);
}
