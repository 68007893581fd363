//! A store that is down: `503`, never `401`, never `500`; and it does not start without the right keys.

use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use auth_client::VerifyError;
use http::Method;
use serde_json::json;

use crate::support::{ADA, App, PASSWORD};

#[tokio::test]
async fn everything_answers_503_and_recovers() {
    let (app, faults) = App::start_faulty().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let remote = app.verifier().await;
    faults.down.store(true, Ordering::SeqCst);
    for answer in [
        app.register("bob@example.com").await,
        app.login(ADA, PASSWORD).await,
        app.login("nobody@example.com", PASSWORD).await,
        app.refresh(&refresh).await,
        app.me(&access).await,
        app.post_as(&access, "/auth/logout").await,
        app.post_as(&access, "/auth/logout-all").await,
        app.get_as(&access, "/auth/sessions").await,
        app.delete_as(&access, "/auth/sessions/x").await,
        app.call(Method::PATCH, "/auth/me").token(&access).json(&json!({})).send().await,
    ] {
        let answer = answer.expect(503, "unavailable");
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert!(matches!(remote.verify(&access).await, Err(VerifyError::Unavailable(_))));
    assert_eq!(app.get("/health/ready").bare().await.status, 503);
    assert_eq!(app.get("/health/live").bare().await.status, 200);

    faults.down.store(false, Ordering::SeqCst);
    app.me(&access).await.expect(200, "");
    app.refresh(&refresh).await.expect(200, "");
    assert!(remote.verify(&access).await.is_ok());
    tokio::time::timeout(std::time::Duration::from_secs(10), async {
        while app.get("/health/ready").bare().await.status != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it is ready again");
}

#[tokio::test]
async fn an_append_whose_answer_got_lost_still_counts() {
    let (app, faults) = App::start_faulty().await;
    faults.lose_answers.store(true, Ordering::SeqCst);
    let (access, refresh) = app.sign_in(ADA).await;
    let answer = app.refresh(&refresh).await.expect(200, "");
    app.refresh(&answer.text("/refresh_token")).await.expect(200, "");
    app.post_as(&access, "/auth/logout").await.expect(204, "");
    let kinds = app.kinds().await;
    assert_eq!(
        kinds[..4],
        ["email.claimed", "account.registered", "account.session_opened", "session.started"]
    );
    assert_eq!(kinds[4..], ["session.refreshed", "session.refreshed", "session.ended"]);
}

async fn restart(app: &App) -> Result<(), String> {
    let background = runtime::Background::new();
    let started = auth::start(app.config.clone(), app.dependencies.clone(), &background);
    started.await.map(drop).map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn lost_keys_are_not_made_up() {
    let app = App::start().await;
    app.register(ADA).await.expect(201, "");
    for name in ["email-pepper", "0-first.pem"] {
        let path = app.keys().join(name);
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let error = restart(&app).await.unwrap_err();
        assert!(error.contains("is missing, but the event store already holds accounts"), "{error}");
        let operator = auth::Operator::new(&app.config, &app.dependencies).await;
        let error = operator.unwrap_err().to_string();
        assert!(error.contains("is missing, but the event store already holds accounts"), "{error}");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    restart(&app).await.unwrap();
}

/// The pepper of another installation finds no account, so it must not be used, also not by an operator.
#[tokio::test]
async fn the_pepper_of_another_log_is_not_used() {
    let app = App::start().await;
    let path = app.keys().join("email-pepper");
    let pepper = std::fs::read(&path).unwrap();
    std::fs::write(&path, "ab".repeat(32)).unwrap();
    restart(&app).await.unwrap();
    std::fs::write(&path, &pepper).unwrap();
    // The first account of the log is of a person who was erased.
    let (access, _) = app.sign_in("erased@example.com").await;
    let erase = app.call(Method::DELETE, "/auth/me").token(&access);
    let erased = erase.json(&json!({ "password": PASSWORD })).send().await;
    erased.expect(204, "");
    restart(&app).await.unwrap();
    app.register(ADA).await.expect(201, "");
    restart(&app).await.unwrap();

    std::fs::write(&path, "ab".repeat(32)).unwrap();
    let error = restart(&app).await.unwrap_err();
    assert!(error.contains("email-pepper belongs to another event store"), "{error}");
    let operator = auth::Operator::new(&app.config, &app.dependencies).await;
    let error = operator.unwrap_err().to_string();
    assert!(error.contains("email-pepper belongs to another event store"), "{error}");
    std::fs::write(&path, &pepper).unwrap();
    restart(&app).await.unwrap();
}

#[tokio::test]
async fn impossible_settings_stop_the_start() {
    let app = App::start().await;
    let mut broken = app.replica(|_, _| {}).await;
    broken.config.argon2.memory_kib = 1;
    assert!(restart(&broken).await.unwrap_err().contains("argon2"));
    broken.config.access_token_ttl = std::time::Duration::from_secs(60);
    assert!(restart(&broken).await.unwrap_err().contains("7 to 15 minutes"));
}
