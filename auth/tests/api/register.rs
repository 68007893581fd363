//! `POST /auth/register`

use events::{AccountEvent, Actor, ConsistencyToken, EmailEvent, Event, UserId};
use serde_json::{Value, json};

use crate::support::{ADA, Answer, App, PASSWORD};

/// The answer to the one registration of an address that succeeded; all others found it taken.
pub(crate) fn the_only_one(answers: &[Answer]) -> &Answer {
    let (created, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 201);
    assert_eq!(created.len(), 1, "{answers:?}");
    assert!(others.iter().all(|answer| answer.code() == "email-taken"), "{answers:?}");
    created[0]
}

async fn try_register(app: &App, body: Value) -> Answer {
    app.post("/auth/register").json(&body).send().await
}

#[tokio::test]
async fn answers_with_the_user_and_writes_two_events() {
    let app = App::start().await;
    let body = json!({"email": " Ada@Example.com ", "password": PASSWORD, "display_name": " Ada "});
    let answer =
        app.post("/auth/register").json(&body).header("x-request-id", "req-1").send().await.expect(201, "");

    let id = answer.text("/user/id");
    assert_eq!(
        answer.body,
        json!({"user": {
            "id": id, "email": "Ada@Example.com", "display_name": "Ada", "roles": ["user"],
            "created_at": "2027-01-15T08:00:00.123456Z",
        }})
    );
    let user: UserId = id.parse().unwrap();
    assert_eq!(user.0.get_version_num(), 7);
    assert_eq!(answer.header("consistency-token"), ConsistencyToken::new(user, 2).to_string());

    let log = app.log().await;
    let [claimed, registered] = &log[..] else { panic!("{log:?}") };
    let Event::Email(EmailEvent::Claimed(claim)) = Event::try_from(claimed).unwrap() else {
        panic!("{claimed:?}")
    };
    assert_eq!(claim.account, user);
    assert!(!claimed.stream.as_str().contains("ada@"), "the address is not in the name of its stream");
    let Event::Account(AccountEvent::Registered(account)) = Event::try_from(registered).unwrap() else {
        panic!("{registered:?}")
    };
    assert!(account.password_hash.starts_with("$argon2id$"));
    for recorded in &log {
        assert_eq!(recorded.metadata.subject, user);
        assert_eq!(recorded.metadata.actor, Actor::User(user));
        assert_eq!(recorded.metadata.correlation_id, "req-1");
        assert_eq!(recorded.metadata.causation_id, log[0].metadata.causation_id);
    }
}

#[tokio::test]
async fn display_name_may_be_missing_or_null() {
    let app = App::start().await;
    let body = json!({"email": ADA, "password": PASSWORD, "display_name": null});
    assert_eq!(try_register(&app, body).await.expect(201, "").body["user"]["display_name"], Value::Null);
    assert_eq!(
        app.register("bob@example.com").await.expect(201, "").body["user"]["display_name"],
        Value::Null
    );
}

#[tokio::test]
async fn an_address_is_taken_in_any_spelling() {
    let app = App::start().await;
    app.register(ADA).await.expect(201, "");
    for email in [ADA, "ADA@example.COM", "  ada@example.com"] {
        app.register(email).await.expect(409, "email-taken");
    }
    assert_eq!(app.kinds().await, ["email.claimed", "account.registered"]);
}

#[tokio::test]
async fn all_mistakes_are_told_at_once() {
    let app = App::start().await;
    let mistakes = |body| async { try_register(&app, body).await.mistakes() };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
    };
    assert_eq!(mistakes(json!({})).await, pairs(&[("/email", "required"), ("/password", "required")]));
    assert_eq!(
        mistakes(json!({"email": "ada", "password": "short", "display_name": "", "admin": true})).await,
        pairs(&[
            ("/email", "invalid-email"),
            ("/display_name", "empty"),
            ("/password", "too-short"),
            ("/admin", "unknown-field"),
        ])
    );
    assert_eq!(
        mistakes(json!({"email": 1, "password": ["x"], "display_name": {}})).await,
        pairs(&[("/email", "wrong-type"), ("/password", "wrong-type"), ("/display_name", "wrong-type")])
    );
    assert!(app.log().await.is_empty());
}

#[tokio::test]
async fn weak_passwords_are_refused_at_their_pointer() {
    let app = App::start().await;
    let long = "x".repeat(129);
    for (password, code) in [
        ("fourteen-chars", "too-short"),
        (&*long, "too-long"),
        ("PasswordPassword", "too-common"),
        ("abcabcabcabcabcabc", "repeated"),
        ("zyxwvutsrqponmlk", "sequence"),
        ("lovelace-lovelace", "contains-address"),
        ("my lovelace@example.com!", "contains-address"),
    ] {
        let body = json!({"email": "lovelace@example.com", "password": password});
        let mistakes = try_register(&app, body).await.mistakes();
        assert_eq!(mistakes, [("/password".to_owned(), code.to_owned())], "{password}");
    }
    let longest: String = ('\u{4e00}'..).take(128).collect();
    let body = json!({"email": "lovelace@example.com", "password": longest});
    try_register(&app, body).await.expect(201, "");
    app.login("lovelace@example.com", &longest).await.expect(200, "");
    let cut: String = longest.chars().take(127).collect();
    app.login("lovelace@example.com", &cut).await.expect(401, "bad-credentials");
}

#[tokio::test]
async fn the_operator_chooses_the_minimum_and_a_list_of_breached_passwords() {
    let app = App::start().await;
    let list = tempfile::NamedTempFile::new().unwrap();
    // The SHA-1 of `quartz-lantern-river`.
    std::fs::write(list.path(), "AB66858C86140290A0DAECE71763B95B47917889:3\n").unwrap();
    let other = app
        .replica(|config, _| {
            config.min_password_characters = 8;
            config.breached_passwords = Some(list.path().to_owned());
        })
        .await;
    let register = |password: &str| {
        let body = json!({"email": ADA, "password": password});
        let call = other.post("/auth/register").json(&body);
        call.send()
    };
    let mistakes = register("quartz-lantern-river").await.mistakes();
    assert_eq!(mistakes, [("/password".to_owned(), "breached".to_owned())]);
    std::fs::write(list.path(), "").unwrap();
    register("plum-tractor").await.expect(503, "unavailable");
    std::fs::write(list.path(), "0000000000000000000000000000000000000000:3\n").unwrap();
    register("7 chars").await.expect(422, "validation-failed");
    register("8 chars!").await.expect(201, "");
}

#[tokio::test]
async fn bodies_that_are_no_object_are_refused() {
    let app = App::start().await;
    let send = |kind: &'static str, body: &'static str| {
        let call = app.post("/auth/register").header("content-type", kind);
        call.raw(body).send()
    };
    send("application/json", "{").await.expect(400, "malformed-json");
    send("application/json", "").await.expect(400, "malformed-json");
    assert_eq!(send("text/plain", "{}").await.status, 415);
    send("application/json", "[]").await.expect(422, "validation-failed");
}

#[tokio::test]
async fn of_many_registrations_at_once_exactly_one_wins() {
    let app = App::start().await;
    let replica = app.replica(|_, _| {}).await;
    for round in 0..10 {
        let email = format!("ada{round}@example.com");
        let answers = futures::future::join_all((0..8).map(|number| {
            let app = if number % 2 == 0 { &app } else { &replica };
            app.register(&email)
        }))
        .await;
        let answer = app.login(&email, PASSWORD).await.expect(200, "");
        assert_eq!(answer.text("/user/id"), the_only_one(&answers).text("/user/id"));
    }
    let kinds = app.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "account.registered").count(), 10);
}
