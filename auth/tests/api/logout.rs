//! `POST /auth/logout` and `POST /auth/logout-all`

use auth_client::{REVOCATIONS, Revocation};
use bus::{Heard, Listener};

use crate::support::{ADA, App};

async fn heard(listener: &mut dyn Listener) -> Revocation {
    match tokio::time::timeout(std::time::Duration::from_secs(10), listener.next())
        .await
        .unwrap()
    {
        Heard::Message(bytes) => Revocation::decode(&bytes).unwrap(),
        Heard::Gap => panic!("a gap on a bus that never breaks"),
    }
}

#[tokio::test]
async fn logout_ends_this_session_at_once() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let (other, _) = app.sign_in(ADA).await;
    let mut revocations = app.dependencies.bus.listen(REVOCATIONS).await.unwrap();

    let answer = app
        .post("/auth/logout")
        .token(&access)
        .send()
        .await
        .expect(204, "");
    assert!(answer.header("consistency-token").ends_with("-7"), "{answer:?}");
    assert!(matches!(heard(&mut *revocations).await, Revocation::Session(_)));
    app.me(&access).await.expect(401, "session-ended");
    app.post("/auth/logout")
        .token(&access)
        .send()
        .await
        .expect(401, "session-ended");
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

    let answer = app
        .post("/auth/logout-all")
        .token(&tokens[2].0)
        .send()
        .await
        .expect(204, "");
    assert!(
        answer
            .header("consistency-token")
            .ends_with(&format!("-{}", head + 6)),
        "{answer:?}"
    );
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
    let logout = || app.post("/auth/logout").token(&access).send();
    for answer in futures::future::join_all((0..6).map(|_| logout())).await {
        assert!(
            answer.status == 204 || answer.code() == "session-ended",
            "{answer:?}"
        );
    }
    assert_eq!(app.payloads("session.ended").await.len(), 1);
}
