//! Token checks over the bus, as other roles send them.

use std::time::Duration;

use auth_client::{
    Rejection, VERIFY_QUEUE, VerifyError,
    messages::{CheckReply, CheckRequest, Verdict},
};
use events::Role;
use sha2::{Digest, Sha256};
use test_support::eventually;

use crate::support::{ADA, App};

#[tokio::test]
async fn a_good_token_names_its_owner() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let me = app.me(&access).await;
    let identity = app.verifier().await.verify(&access).await.unwrap();
    assert_eq!(identity.user_id.to_string(), me.text("/user/id"));
    assert_eq!(identity.email, ADA);
    assert!(identity.has_role(Role::User) && !identity.has_role(Role::Admin));
    assert_eq!(identity.expires_at.as_seconds(), app.dependencies.clock.now().as_seconds() + 900);
}

#[tokio::test]
async fn bad_tokens_are_rejected() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let verifier = app.verifier().await;
    assert_eq!(verifier.verify("a.b.c").await, Err(VerifyError::Rejected(Rejection::Malformed)));
    app.clock.advance(900);
    assert_eq!(verifier.verify(&access).await, Err(VerifyError::Rejected(Rejection::Expired)));
}

#[tokio::test]
async fn a_logout_reaches_those_who_remember() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let verifier = app.verifier().await;
    verifier.verify(&access).await.unwrap();
    assert_eq!(verifier.remembered(), 1);
    app.post_as(&access, "/auth/logout").await.expect(204, "");
    eventually("the revocation arrives", || async {
        verifier.verify(&access).await == Err(VerifyError::Rejected(Rejection::SessionEnded))
    })
    .await;
}

#[tokio::test]
async fn a_granted_role_reaches_those_who_remember() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    let verifier = app.verifier().await;
    assert!(!verifier.verify(&access).await.unwrap().has_role(Role::Admin));
    app.grant(ADA, Role::Admin).await;
    eventually("the revocation arrives", || async {
        verifier.verify(&access).await.unwrap().has_role(Role::Admin)
    })
    .await;
}

#[tokio::test]
async fn every_reply_names_the_token_that_it_judges() {
    let app = App::start().await;
    let ask = |request| app.dependencies.bus.request(VERIFY_QUEUE, request, Duration::from_secs(10));
    let request = CheckRequest::Token("a.b.c".into()).encode();
    eventually("checks are answered", || async { ask(request.clone()).await.is_ok() }).await;
    let reply = ask(request).await.unwrap();
    let reply = CheckReply::decode(&reply).unwrap();
    assert_eq!(reply.token_sha256, hex::encode(Sha256::digest("a.b.c")));
    assert_eq!(reply.verdict, Verdict::Rejected(Rejection::Malformed));
    let reply = CheckReply::decode(&ask("nonsense".into()).await.unwrap()).unwrap();
    assert_eq!(reply.verdict, Verdict::Rejected(Rejection::Malformed));
}

#[tokio::test]
async fn stopping_ends_the_responder() {
    let app = App::start().await;
    assert!(app.background.shut_down(Duration::from_secs(10)).await, "the responder ends");
}
