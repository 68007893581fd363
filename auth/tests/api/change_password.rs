//! `POST /auth/me/password`

use serde_json::json;

use crate::support::{ADA, App, NEW, PASSWORD, WRONG};

#[tokio::test]
async fn changes_the_password_and_ends_every_other_session() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let (other, other_refresh) = app.sign_in(ADA).await;
    let answer = app.change_password(&access, PASSWORD, NEW).await.expect(204, "");
    let head = app.log().await.len();
    assert!(answer.header("consistency-token").ends_with(&format!("-{head}")), "{answer:?}");
    app.me(&access).await.expect(200, "");
    app.refresh(&refresh).await.expect(200, "");
    app.me(&other).await.expect(401, "session-ended");
    app.refresh(&other_refresh).await.expect(401, "session-ended");
    app.login(ADA, PASSWORD).await.expect(401, "bad-credentials");
    app.login(ADA, NEW).await.expect(200, "");
}

#[tokio::test]
async fn a_change_to_the_present_password_ends_every_other_session_once() {
    let app = App::start().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let (other, other_refresh) = app.sign_in(ADA).await;
    app.change_password(&access, WRONG, PASSWORD).await.expect(204, "");
    app.me(&other).await.expect(401, "session-ended");
    app.refresh(&other_refresh).await.expect(401, "session-ended");
    let events = app.log().await.len();
    let answer = app.change_password(&access, WRONG, PASSWORD).await.expect(204, "");
    assert_eq!(app.log().await.len(), events);
    assert!(answer.header("consistency-token").ends_with(&format!("-{events}")), "{answer:?}");
    app.me(&access).await.expect(200, "");
    app.refresh(&refresh).await.expect(200, "");
    app.login(ADA, PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn needs_the_current_password_and_a_good_new_one() {
    let app = App::start().await;
    let (access, _) = app.sign_in("lovelace@example.com").await;
    let wrong = app.change_password(&access, "wrong", NEW).await;
    let wrong = wrong.expect(401, "bad-credentials");
    assert_eq!(wrong.text("/detail"), "The password is wrong.");
    for (new, code) in [("short", "too-short"), ("i am LOVELACE@example.com", "contains-address")] {
        let mistakes = app.change_password(&access, PASSWORD, new).await.mistakes();
        assert_eq!(mistakes, [("/new_password".to_owned(), code.to_owned())]);
    }
    let empty = app.post("/auth/me/password").token(&access).json(&json!({}));
    assert_eq!(empty.send().await.mistakes().len(), 2);
    app.login("lovelace@example.com", PASSWORD).await.expect(200, "");
}

/// In any order, no session of the old password is left.
#[tokio::test]
async fn a_login_that_races_with_the_change_keeps_no_session_of_the_old_password() {
    let app = App::start().await;
    for round in 0..10 {
        let email = format!("ada{round}@example.com");
        let (access, _) = app.sign_in(&email).await;
        let change = app.change_password(&access, PASSWORD, NEW);
        let logins = futures::future::join_all((0..4).map(|_| app.login(&email, PASSWORD)));
        let (changed, logins) = tokio::join!(change, logins);
        changed.expect(204, "");
        for login in logins {
            if login.status == 200 {
                app.me(&login.text("/access_token")).await.expect(401, "session-ended");
            } else {
                login.expect(401, "bad-credentials");
            }
        }
    }
}
