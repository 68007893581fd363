//! Guessing passwords: who must wait and for how long, and who need not.

use database::{Database, Schema};
use serde_json::json;
use test_support::TestDatabase;

use crate::support::{Answer, App, PASSWORD};

const HOME: &str = "203.0.113.7";
const ELSEWHERE: &str = "198.51.100.9";
const WRONG: &str = "not-the-right-one";

async fn login_from(app: &App, address: &str, email: &str, password: &str) -> Answer {
    app.post("/auth/login")
        .json(&json!({"email": email, "password": password}))
        .header("x-forwarded-for", address)
        .send()
        .await
}

async fn register_from(app: &App, address: &str, email: &str) {
    app.post("/auth/register")
        .json(&json!({"email": email, "password": PASSWORD}))
        .header("x-forwarded-for", address)
        .send()
        .await
        .expect(201, "");
}

/// The wait that a `429` asks for, after checking the rest of it.
fn wait(answer: Answer) -> i64 {
    let answer = answer.expect(429, "rate-limited");
    let seconds = answer.header("retry-after");
    assert_eq!(
        answer.header("ratelimit"),
        format!("\"attempts\";r=0;t={seconds}")
    );
    assert!(!answer.header("ratelimit-policy").is_empty());
    seconds.parse().unwrap()
}

/// A role like `app`, whose failures take no time.
async fn quick(app: &App, change: impl FnOnce(&mut auth::Dependencies)) -> App {
    app.replica(|config, dependencies| {
        config.failed_login_time = std::time::Duration::ZERO;
        change(dependencies);
    })
    .await
}

async fn the_waits_double_and_end_with_a_success(app: &App, other_replica: &App) {
    register_from(app, HOME, "ada@example.com").await;
    let guess = async |app: &App| login_from(app, ELSEWHERE, "ada@example.com", WRONG).await;
    for _ in 0..5 {
        guess(app).await.expect(401, "bad-credentials");
    }
    let mut waits = Vec::new();
    for _ in 0..12 {
        let seconds = wait(guess(other_replica).await);
        waits.push(seconds);
        let right = login_from(app, ELSEWHERE, "ada@example.com", PASSWORD).await;
        assert_eq!(wait(right), seconds, "also with the right password");
        app.clock.advance(seconds);
        guess(app).await.expect(401, "bad-credentials");
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]);
    app.clock.advance(900);
    login_from(app, ELSEWHERE, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    for _ in 0..5 {
        guess(app).await.expect(401, "bad-credentials");
    }
    wait(guess(app).await);
}

#[tokio::test]
async fn the_waits_double_for_all_replicas_and_end_with_a_success() {
    let app = App::start().await;
    let (one, other) = (quick(&app, |_| {}).await, quick(&app, |_| {}).await);
    the_waits_double_and_end_with_a_success(&one, &other).await;
}

#[tokio::test]
async fn postgres_keeps_the_counters_as_well() {
    let server = TestDatabase::create().await;
    let url = server.url().to_string();
    let open = || Database::open(&url, Schema::Operations, 4);
    let (one, other) = (open().await.unwrap(), open().await.unwrap());
    let app = App::start().await;
    let one = quick(&app, |dependencies| dependencies.operations = one).await;
    let other = quick(&app, |dependencies| dependencies.operations = other).await;
    the_waits_double_and_end_with_a_success(&one, &other).await;
}

#[tokio::test]
async fn strangers_cannot_keep_the_owner_out() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    for number in 0..6 {
        let address = format!("198.51.100.{number}");
        login_from(&app, &address, "ada@example.com", WRONG).await;
    }
    wait(login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD).await);
    for _ in 0..4 {
        login_from(&app, HOME, "ada@example.com", WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    login_from(&app, HOME, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
}

#[tokio::test]
async fn a_familiar_address_has_to_wait_as_well() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    for _ in 0..5 {
        login_from(&app, HOME, "ada@example.com", WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    assert_eq!(wait(login_from(&app, HOME, "ada@example.com", PASSWORD).await), 1);
}

#[tokio::test]
async fn a_login_from_anywhere_clears_the_failures_of_every_familiar_address() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    for _ in 0..2 {
        for _ in 0..4 {
            login_from(&app, HOME, "ada@example.com", WRONG)
                .await
                .expect(401, "bad-credentials");
        }
        login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD)
            .await
            .expect(200, "");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_waits_of_every_address() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    let elsewhere = login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    for _ in 0..5 {
        login_from(&app, HOME, "ada@example.com", WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    wait(login_from(&app, HOME, "ada@example.com", PASSWORD).await);
    let new = "a word that nobody knew";
    app.post("/auth/me/password")
        .token(elsewhere.body["access_token"].as_str().unwrap())
        .json(&json!({"current_password": PASSWORD, "new_password": new}))
        .header("x-forwarded-for", ELSEWHERE)
        .send()
        .await
        .expect(204, "");
    login_from(&app, HOME, "ada@example.com", new)
        .await
        .expect(200, "");
}

#[tokio::test]
async fn after_a_hundred_failures_in_a_row_only_a_familiar_address_gets_in() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    let guess = async |password| login_from(&app, ELSEWHERE, "ada@example.com", password).await;
    for number in 0..100 {
        let answer = guess(WRONG).await;
        assert_eq!(answer.status, 401, "{number}");
        app.clock.advance(900);
    }
    app.clock.advance(20 * 24 * 3_600);
    assert_eq!(wait(guess(PASSWORD).await), 24 * 3_600);
    login_from(&app, HOME, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    guess(PASSWORD).await.expect(200, "");
}

/// Sets every counter to this many failures in a row whose wait is over. Returns how many counters there are.
async fn let_failures_become(app: &App, failures: u64) -> u64 {
    const SQL: &str = "UPDATE authentication_failures SET failures = $1, blocked_until = 0";
    let operations = &app.dependencies.operations;
    operations.execute(SQL, &[failures.into()]).await.unwrap()
}

async fn a_login_from_anywhere_ends_the_waits_of_every_address(app: &App) {
    register_from(app, HOME, "ada@example.com").await;
    let office = "203.0.113.8";
    login_from(app, office, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    for from in [office, ELSEWHERE] {
        // A client at the owner's address, and strangers.
        for address in [HOME, ELSEWHERE] {
            login_from(app, address, "ada@example.com", WRONG)
                .await
                .expect(401, "bad-credentials");
        }
        assert_eq!(let_failures_become(app, 100).await, 2);
        assert_eq!(
            wait(login_from(app, HOME, "ada@example.com", PASSWORD).await),
            24 * 3_600
        );
        if from == ELSEWHERE {
            let_failures_become(app, 99).await;
            login_from(app, HOME, "ada@example.com", WRONG).await;
        }
        login_from(app, from, "ada@example.com", PASSWORD)
            .await
            .expect(200, "");
        login_from(app, HOME, "ada@example.com", PASSWORD)
            .await
            .expect(200, "");
        login_from(app, ELSEWHERE, "ada@example.com", WRONG)
            .await
            .expect(401, "bad-credentials");
        assert_eq!(let_failures_become(app, 1).await, 1, "the others are forgotten");
    }
}

#[tokio::test]
async fn whoever_shares_an_address_locks_the_owner_out_of_it_until_they_log_in_from_another_one() {
    let app = quick(&App::start().await, |_| {}).await;
    a_login_from_anywhere_ends_the_waits_of_every_address(&app).await;
}

#[tokio::test]
async fn postgres_forgets_the_failures_of_every_address_as_well() {
    let server = TestDatabase::create().await;
    let operations = Database::open(server.url().as_str(), Schema::Operations, 4)
        .await
        .unwrap();
    let app = quick(&App::start().await, |dependencies| {
        dependencies.operations = operations;
    })
    .await;
    a_login_from_anywhere_ends_the_waits_of_every_address(&app).await;
}

/// Strangers fail at the account until they must wait.
async fn let_strangers_fail(app: &App) {
    for number in 0..5 {
        let address = format!("192.0.2.{number}");
        login_from(app, &address, "ada@example.com", WRONG)
            .await
            .expect(401, "bad-credentials");
    }
}

#[tokio::test]
async fn after_a_change_only_the_address_it_came_from_is_familiar() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, ELSEWHERE, "ada@example.com").await;
    let entered = login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD).await;
    let token = entered.text("/access_token");
    let new = "a word that nobody knew";
    let body = json!({"current_password": PASSWORD, "new_password": new});
    let change = async || {
        let call = app.post("/auth/me/password").token(&token).json(&body);
        call.header("x-forwarded-for", HOME).send().await
    };
    // The second one repeats the first, whose answer may have been lost.
    for _ in 0..2 {
        change().await.expect(204, "");
        let_strangers_fail(&app).await;
        wait(login_from(&app, ELSEWHERE, "ada@example.com", new).await);
        login_from(&app, HOME, "ada@example.com", new)
            .await
            .expect(200, "");
        login_from(&app, ELSEWHERE, "ada@example.com", new)
            .await
            .expect(200, "");
    }
}

#[tokio::test]
async fn after_a_reset_no_address_is_familiar_before_somebody_has_logged_in_from_it() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    login_from(&app, HOME, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    let token = app.offer_reset("ada@example.com", false).await.token.to_string();
    let new = "a word that nobody knew";
    app.post("/auth/reset")
        .json(&json!({"reset_token": token, "new_password": new}))
        .header("x-forwarded-for", HOME)
        .send()
        .await
        .expect(204, "");
    let_strangers_fail(&app).await;
    wait(login_from(&app, HOME, "ada@example.com", new).await);
    app.clock.advance(1);
    login_from(&app, HOME, "ada@example.com", new)
        .await
        .expect(200, "");
    let_strangers_fail(&app).await;
    login_from(&app, HOME, "ada@example.com", new)
        .await
        .expect(200, "");
}

/// The number of days with logins from each familiar address, of any account.
async fn days_of_addresses(app: &App) -> Vec<i64> {
    let sql = "SELECT days FROM familiar_addresses ORDER BY days";
    let rows = app.dependencies.operations.fetch_all(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.integer("days").unwrap()).collect()
}

#[tokio::test]
async fn an_address_counts_for_more_with_each_day_on_which_somebody_logs_in_from_it() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    assert_eq!(days_of_addresses(&app).await, [0]);
    let log_in = async |address| {
        let answer = login_from(&app, address, "ada@example.com", PASSWORD).await;
        answer.expect(200, "").text("/access_token")
    };
    for day in 1..4 {
        let at_once = futures::future::join_all((0..4).map(|_| log_in(HOME))).await;
        let enroll = app.post("/auth/me/totp").token(&at_once[0]);
        let enroll = enroll.json(&json!({"password": PASSWORD}));
        enroll.send().await.expect(200, "");
        assert_eq!(days_of_addresses(&app).await, [day]);
        app.clock.advance(24 * 3_600);
    }
    log_in(ELSEWHERE).await;
    assert_eq!(days_of_addresses(&app).await, [1, 3]);
}

#[tokio::test]
async fn one_address_cannot_try_one_password_on_everybody() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    for number in 0..101 {
        login_from(&app, HOME, &format!("nobody{number}@example.com"), WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    let next = async || login_from(&app, HOME, "somebody@example.com", WRONG).await;
    assert_eq!(wait(next().await), 6);
    login_from(&app, ELSEWHERE, "somebody@example.com", WRONG)
        .await
        .expect(401, "bad-credentials");
    login_from(&app, HOME, "ada@example.com", PASSWORD)
        .await
        .expect(200, "");
    app.clock.advance(6);
    next().await.expect(401, "bad-credentials");
    wait(next().await);
}

#[tokio::test]
async fn what_is_counted_does_not_tell_who_has_an_account() {
    let app = quick(&App::start().await, |_| {}).await;
    register_from(&app, HOME, "ada@example.com").await;
    let mut courses = Vec::new();
    for email in ["ada@example.com", "nobody@example.com", "no address"] {
        let mut course = Vec::new();
        for _ in 0..8 {
            let mut answer = login_from(&app, ELSEWHERE, email, WRONG).await;
            answer.body["request_id"] = json!(null);
            course.push((
                answer.status,
                answer.header("retry-after").to_owned(),
                answer.body,
            ));
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
    register_from(&app, HOME, "ada@example.com").await;
    let guesses = (0..60).map(|_| login_from(&app, ELSEWHERE, "ada@example.com", WRONG));
    let answers = futures::future::join_all(guesses).await;
    let judged = answers.iter().filter(|answer| answer.status == 401).count();
    // One more for each thread that was busy when the last free attempt failed.
    assert!((5..=7).contains(&judged), "{judged}");
    assert!(
        answers
            .iter()
            .all(|answer| answer.status == 401 || answer.status == 429)
    );
}

#[tokio::test]
async fn logins_with_the_right_password_at_the_same_time_all_succeed() {
    let app = App::start().await;
    register_from(&app, HOME, "ada@example.com").await;
    let logins = (0..12).map(|_| login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD));
    for answer in futures::future::join_all(logins).await {
        answer.expect(200, "");
    }
}

#[tokio::test]
async fn a_stolen_token_gives_no_more_guesses_at_the_password() {
    let app = quick(&App::start().await, |_| {}).await;
    let (access, _) = app.sign_in("ada@example.com").await;
    let (other, _) = app.sign_in("ada@example.com").await;
    let change = async |token: &str, current: &str| {
        app.post("/auth/me/password")
            .token(token)
            .json(&json!({"current_password": current, "new_password": "quartz-lantern-river"}))
            .send()
            .await
    };
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
    register_from(&app, ELSEWHERE, "ada@example.com").await;
    let entered = login_from(&app, ELSEWHERE, "ada@example.com", PASSWORD).await;
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
        login_from(&app, HOME, &format!("nobody{number}@example.com"), WRONG)
            .await
            .expect(401, "bad-credentials");
    }
    wait(login_from(&app, HOME, "ada@example.com", PASSWORD).await);
    enroll(WRONG).await.expect(401, "bad-credentials");
    enroll(PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn after_a_hundred_failures_in_all_sessions_together_the_password_is_shown_at_a_login_only() {
    let app = quick(&App::start().await, |_| {}).await;
    let (one, _) = app.sign_in("ada@example.com").await;
    let (other, _) = app.sign_in("ada@example.com").await;
    let enroll = async |token: &str, password: &str| {
        let call = app.post("/auth/me/totp").token(token);
        call.json(&json!({ "password": password })).send().await
    };
    enroll(&one, WRONG).await.expect(401, "bad-credentials");
    // That session's own counter, and that of all sessions.
    let become_99 = "UPDATE authentication_failures SET failures = 99, blocked_until = 0";
    let operations = &app.dependencies.operations;
    assert_eq!(operations.execute(become_99, &[]).await.unwrap(), 2);
    enroll(&other, WRONG).await.expect(401, "bad-credentials");
    for token in [&one, &other] {
        assert_eq!(wait(enroll(token, PASSWORD).await), 24 * 3_600);
    }
    app.login("ada@example.com", PASSWORD).await.expect(200, "");
    enroll(&other, PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn counters_that_cannot_be_kept_are_503() {
    let app = App::start().await;
    app.register("ada@example.com").await.expect(201, "");
    app.dependencies
        .operations
        .execute("DROP TABLE authentication_failures", &[])
        .await
        .unwrap();
    app.login("ada@example.com", PASSWORD)
        .await
        .expect(503, "unavailable");
}
