//! `POST /auth/login`

use events::{Account, AccountEvent, Aggregate as _, ConsistencyToken, Event, SessionEvent};
use serde_json::json;

use crate::{
    import::{HASH, OLD},
    support::{ADA, App, PASSWORD},
};

#[tokio::test]
async fn answers_with_both_tokens_and_the_user() {
    let app = App::start().await;
    let registered = app.register(ADA).await;
    let answer = app
        .post("/auth/login")
        .json(&json!({"email": "ADA@example.com", "password": PASSWORD}))
        .header("user-agent", &"x".repeat(600))
        .header("x-forwarded-for", "203.0.113.7")
        .send()
        .await
        .expect(200, "");
    assert_eq!(answer.body["user"], registered.body["user"]);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 900);
    assert_eq!(answer.body["refresh_expires_in"], 259_200);
    assert_eq!(answer.body.as_object().unwrap().len(), 6);
    let user = answer.text("/user/id").parse().unwrap();
    assert_eq!(answer.header("consistency-token"), ConsistencyToken::new(user, 4).to_string());

    let [Event::Session(SessionEvent::Started(started))] = &app.payloads("session.started").await[..] else {
        panic!("one session")
    };
    assert_eq!(started.account, user);
    assert_eq!(started.ip.as_deref(), Some("203.0.113.7"));
    assert_eq!(started.user_agent.as_ref().unwrap().len(), 512);
    assert_eq!(started.refresh_hash.len(), 64);
    let refresh_token = answer.text("/refresh_token");
    for recorded in app.log().await {
        assert!(
            !String::from_utf8_lossy(&recorded.data).contains(&refresh_token),
            "only its hash is in the log"
        );
    }
    app.me(&answer.text("/access_token")).await.expect(200, "");
}

#[tokio::test]
async fn wrong_password_and_unknown_address_get_the_same_answer() {
    let app = App::start().await;
    app.register(ADA).await;
    let mut answers = Vec::new();
    for (email, password) in [
        (ADA, "plum-tractor-canyoN"),
        ("bob@example.com", PASSWORD),
        ("no address", PASSWORD),
        (ADA, ""),
        ("", ""),
    ] {
        let mut answer = app.login(email, password).await.expect(401, "bad-credentials");
        answer.body["request_id"] = json!(null);
        answers.push(answer.body);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[tokio::test]
async fn mistakes_of_form_are_no_wrong_credentials() {
    let app = App::start().await;
    let body = json!({"email": 1, "remember": true});
    let mistakes = app.post("/auth/login").json(&body).send().await.mistakes();
    let pointers: Vec<_> = mistakes.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/email", "/password", "/remember"]);
}

#[tokio::test]
async fn a_disabled_account_is_told_so_only_after_the_right_password() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let id = app.register(ADA).await.text("/user/id");
    app.act(&admin, &id, "disable").await.expect(200, "");
    app.login(ADA, "wrong").await.expect(401, "bad-credentials");
    app.login(ADA, PASSWORD).await.expect(403, "account-disabled");
}

#[tokio::test]
async fn a_weaker_hash_is_renewed_at_login() {
    let app = App::start().await;
    app.register(ADA).await;
    let stronger = app.replica(|config, _| config.argon2.memory_kib = 128).await;
    stronger.login(ADA, "wrong").await.expect(401, "bad-credentials");
    assert!(app.payloads("account.password_rehashed").await.is_empty());
    stronger.login(ADA, PASSWORD).await.expect(200, "");
    let [Event::Account(AccountEvent::PasswordRehashed(changed))] =
        &app.payloads("account.password_rehashed").await[..]
    else {
        panic!("one renewal")
    };
    assert!(changed.password_hash.contains("m=128,"));
    stronger.login(ADA, PASSWORD).await.expect(200, "");
    assert_eq!(app.payloads("account.password_rehashed").await.len(), 1);
    app.login(ADA, PASSWORD).await.expect(200, "");
    assert_eq!(app.payloads("account.password_rehashed").await.len(), 1, "a stronger hash stays");
    assert!(app.payloads("account.password_changed").await.is_empty());
}

#[tokio::test]
async fn many_logins_that_renew_a_hash_at_once_all_succeed() {
    let app = App::start().await;
    app.register(ADA).await;
    let stronger = app.replica(|config, _| config.argon2.memory_kib = 128).await;
    let answers = futures::future::join_all((0..8).map(|_| stronger.login(ADA, PASSWORD))).await;
    for answer in answers {
        stronger.me(&answer.expect(200, "").text("/access_token")).await.expect(200, "");
    }
}

#[tokio::test]
async fn a_hash_of_the_former_system_is_renewed_at_login() {
    let app = App::start().await;
    let id: events::UserId = app.register(ADA).await.text("/user/id").parse().unwrap();
    app.write_password_hash(id, HASH).await;
    app.login(ADA, OLD).await.expect(200, "");
    let stream = events::StreamName::account(id);
    let store = &app.dependencies.store;
    let recorded = store.read_stream(&stream, 0, usize::MAX).await.unwrap();
    let account = recorded.iter().fold(None, |state, recorded| {
        let Event::Account(event) = Event::try_from(recorded).unwrap() else { panic!("{recorded:?}") };
        Account::evolve(state, &id, &event, recorded.version, recorded.recorded_at)
    });
    assert!(account.unwrap().password_hash.starts_with("$argon2id$"));
    app.login(ADA, OLD).await.expect(200, "");
}

#[tokio::test]
async fn a_full_queue_is_503_and_never_401() {
    let app = App::start().await;
    app.register(ADA).await;
    let small = app
        .replica(|config, _| {
            config.hashing_threads = 1;
            config.hashing_queue = 0;
            config.argon2 = auth::Argon2Parameters { memory_kib: 65_536, ..config.argon2 };
        })
        .await;
    let answers =
        futures::future::join_all((0..6).map(|_| small.login("nobody@example.com", PASSWORD))).await;
    let shed: Vec<_> = answers.iter().filter(|answer| answer.status == 503).collect();
    assert!(!shed.is_empty(), "{answers:?}");
    for answer in shed {
        assert_eq!((answer.code(), answer.header("retry-after")), ("overloaded", "1"));
    }
}
