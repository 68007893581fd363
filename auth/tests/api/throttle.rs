//! Guessing passwords: who must wait and for how long, and who need not.

use serde_json::json;
use test_support::{Footing, TestStorage, on_both_footings};

use crate::{
    second_factor::enroll,
    support::{ADA, Answer, App, NEW, PASSWORD, WRONG},
};

pub(crate) const HOME: &str = "203.0.113.7";
pub(crate) const ELSEWHERE: &str = "198.51.100.9";

/// The wait that a `429` asks for, after checking the rest of it.
pub(crate) fn wait(answer: Answer) -> i64 {
    let answer = answer.expect(429, "rate-limited");
    let seconds = answer.header("retry-after");
    assert_eq!(answer.header("ratelimit"), format!("\"attempts\";r=0;t={seconds}"));
    assert!(!answer.header("ratelimit-policy").is_empty());
    seconds.parse().unwrap()
}

/// A role like `app`, whose failures take no time.
pub(crate) async fn quick(app: &App, change: impl FnOnce(&mut auth::Dependencies)) -> App {
    app.replica(|config, dependencies| {
        config.failed_login_time = std::time::Duration::ZERO;
        change(dependencies);
    })
    .await
}

async fn the_waits_double_for_all_replicas_and_end_with_a_success(footing: Footing) {
    let (first, storage) = (App::start().await, TestStorage::new(footing).await);
    let (one, other) = (storage.operations().await, storage.operations().await);
    let app = &quick(&first, |dependencies| dependencies.operations = one).await;
    let other_replica = &quick(&first, |dependencies| dependencies.operations = other).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let guess = async |app: &App| app.login_from(ELSEWHERE, ADA, WRONG).await;
    for _ in 0..5 {
        guess(app).await.expect(401, "bad-credentials");
    }
    let mut waits = Vec::new();
    for _ in 0..12 {
        let seconds = wait(guess(other_replica).await);
        waits.push(seconds);
        let right = app.login_from(ELSEWHERE, ADA, PASSWORD).await;
        assert_eq!(wait(right), seconds, "also with the right password");
        app.clock.advance(seconds);
        guess(app).await.expect(401, "bad-credentials");
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    app.clock.advance(900);
    app.login_from(ELSEWHERE, ADA, PASSWORD).await.expect(200, "");
    for _ in 0..5 {
        guess(app).await.expect(401, "bad-credentials");
    }
    wait(guess(app).await);
}

on_both_footings!(the_waits_double_for_all_replicas_and_end_with_a_success);

#[tokio::test]
async fn after_a_hundred_failures_in_a_row_only_a_familiar_address_gets_in() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let guess = async |password| app.login_from(ELSEWHERE, ADA, password).await;
    for number in 0..100 {
        let answer = guess(WRONG).await;
        assert_eq!(answer.status, 401, "{number}");
        app.clock.advance(900);
    }
    app.clock.advance(20 * 24 * 3_600);
    assert_eq!(wait(guess(PASSWORD).await), 24 * 3_600);
    app.login_from(HOME, ADA, PASSWORD).await.expect(200, "");
    guess(PASSWORD).await.expect(200, "");
}

/// Sets every counter to this many failures in a row whose wait is over. Returns how many counters there are.
pub(crate) async fn let_failures_become(app: &App, failures: u64) -> u64 {
    const SQL: &str = "UPDATE authentication_failures SET failures = $1, blocked_until = 0";
    let operations = &app.dependencies.operations;
    operations.execute(SQL, &[failures.into()]).await.unwrap()
}

#[tokio::test]
async fn one_address_cannot_try_one_password_on_everybody() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    for number in 0..101 {
        app.login_from(HOME, &format!("nobody{number}@example.com"), WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    let next = async || app.login_from(HOME, "somebody@example.com", WRONG).await;
    assert_eq!(wait(next().await), 6);
    app.login_from(ELSEWHERE, "somebody@example.com", WRONG).await.expect(401, "bad-credentials");
    app.login_from(HOME, ADA, PASSWORD).await.expect(200, "");
    app.clock.advance(6);
    next().await.expect(401, "bad-credentials");
    wait(next().await);
}

#[tokio::test]
async fn what_is_counted_does_not_tell_who_has_an_account() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let mut courses = Vec::new();
    for email in [ADA, "nobody@example.com", "no address"] {
        let mut course = Vec::new();
        for _ in 0..8 {
            let mut answer = app.login_from(ELSEWHERE, email, WRONG).await;
            answer.body["request_id"] = json!(null);
            course.push((answer.status, answer.header("retry-after").to_owned(), answer.body));
        }
        courses.push(course);
    }
    assert_eq!(courses[0], courses[1]);
    assert_eq!(courses[0], courses[2]);
}

#[tokio::test]
async fn guesses_at_the_same_time_are_counted_like_others() {
    let app = App::start().await;
    let app = app
        .replica(|config, _| {
            config.failed_login_time = std::time::Duration::ZERO;
            config.hashing_threads = 2;
        })
        .await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let guesses = (0..60).map(|_| app.login_from(ELSEWHERE, ADA, WRONG));
    let answers = futures::future::join_all(guesses).await;
    let judged = answers.iter().filter(|answer| answer.status == 401).count();
    // One more for each thread that was busy when the last free attempt failed.
    assert!((5..=7).contains(&judged), "{judged}");
    assert!(answers.iter().all(|answer| answer.status == 401 || answer.status == 429));
}

#[tokio::test]
async fn logins_with_the_right_password_at_the_same_time_all_succeed() {
    let app = App::start().await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let logins = (0..12).map(|_| app.login_from(ELSEWHERE, ADA, PASSWORD));
    for answer in futures::future::join_all(logins).await {
        answer.expect(200, "");
    }
}

#[tokio::test]
async fn a_stolen_token_gives_no_more_guesses_at_the_password() {
    let app = quick(&App::start().await, |_| {}).await;
    let (access, _) = app.sign_in(ADA).await;
    let (other, _) = app.sign_in(ADA).await;
    let change = async |token: &str, current: &str| app.change_password(token, current, NEW).await;
    // Each of them guesses twice, because the new password is compared as well.
    for _ in 0..3 {
        change(&access, WRONG).await.expect(401, "bad-credentials");
    }
    wait(change(&access, PASSWORD).await);
    change(&other, PASSWORD).await.expect(204, "");
}

#[tokio::test]
async fn whoever_is_signed_in_does_not_wait_for_others_at_their_address_and_uses_up_nothing_of_it() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(ELSEWHERE, ADA).await.expect(201, "");
    let entered = app.login_from(ELSEWHERE, ADA, PASSWORD).await;
    let token = entered.text("/access_token");
    let enroll = async |password: &str| {
        let call = app.post("/auth/me/totp").token(&token);
        let call = call.json(&json!({ "password": password }));
        call.header("x-forwarded-for", HOME).send().await
    };
    enroll(WRONG).await.expect(401, "bad-credentials");
    let allowances = "SELECT key FROM address_allowances WHERE key NOT LIKE 'registrations-%'";
    let operations = &app.dependencies.operations;
    assert!(operations.fetch_all(allowances, &[]).await.unwrap().is_empty());
    for number in 0..101 {
        app.login_from(HOME, &format!("nobody{number}@example.com"), WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    wait(app.login_from(HOME, ADA, PASSWORD).await);
    enroll(WRONG).await.expect(401, "bad-credentials");
    enroll(PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn after_a_hundred_failures_in_all_sessions_together_the_password_is_shown_at_a_login_only() {
    let app = quick(&App::start().await, |_| {}).await;
    let (one, _) = app.sign_in(ADA).await;
    let (other, _) = app.sign_in(ADA).await;
    enroll(&app, &one, WRONG).await.expect(401, "bad-credentials");
    // That session's own counter, and that of all sessions.
    let become_99 = "UPDATE authentication_failures SET failures = 99, blocked_until = 0";
    let operations = &app.dependencies.operations;
    assert_eq!(operations.execute(become_99, &[]).await.unwrap(), 2);
    enroll(&app, &other, WRONG).await.expect(401, "bad-credentials");
    for token in [&one, &other] {
        assert_eq!(wait(enroll(&app, token, PASSWORD).await), 24 * 3_600);
    }
    app.login(ADA, PASSWORD).await.expect(200, "");
    enroll(&app, &other, PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn counters_that_cannot_be_kept_are_503() {
    let app = App::start().await;
    app.register(ADA).await.expect(201, "");
    app.dependencies.operations.execute("DROP TABLE authentication_failures", &[]).await.unwrap();
    app.login(ADA, PASSWORD).await.expect(503, "unavailable");
}

/// The database can be read, and one table or the other takes nothing more.
#[tokio::test]
async fn there_are_no_attempts_until_a_failure_can_be_counted() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let operations = &app.dependencies.operations;
    let login = async |address: &str, password: &str| app.login_from(address, ADA, password).await.status;
    for (table, address) in [
        ("authentication_failures", HOME),
        ("authentication_failures", ELSEWHERE),
        ("address_allowances", ELSEWHERE),
    ] {
        let full = format!(
            "CREATE TRIGGER is_full BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'it is full'); END"
        );
        operations.execute(&full, &[]).await.unwrap();
        assert_eq!(login(address, WRONG).await, 503, "{table}, {address}");
        for password in [WRONG, PASSWORD] {
            assert_eq!(login(HOME, password).await, 503, "{table}, {address}");
        }
        if table == "address_allowances" {
            // It is not counted again by everybody who tries meanwhile.
            let most = "SELECT MAX(failures) AS failures FROM authentication_failures";
            let most = operations.fetch_optional(most, &[]).await.unwrap().unwrap();
            assert_eq!(most.unsigned("failures").unwrap(), 1);
        }
        operations.execute("DROP TRIGGER is_full", &[]).await.unwrap();
        assert_eq!(login(HOME, PASSWORD).await, 200, "{table}, {address}");
    }
}
