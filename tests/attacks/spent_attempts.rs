//! Failures in a row are counted by all replicas together, and no restart forgets them. After a hundred a correct
//! password is refused too, except from addresses at which the account is familiar.

use std::time::Duration;

use events::{AccountEvent, SecondFactorRefused, StreamName, UserId};
use reqwest::Method;
use serde_json::json;

use super::{TIMEOUT, append_as_auth, let_failures_become, log_in, restart_auth, stranger, text};
use crate::support::{Answer, Deployment, PASSWORD, Person, Replica, Role, System, totp_code, until};

const WRONG: &str = "a wrong passphrase";
const NEXT: &str = "violet harbour lantern";
/// The delay in seconds when only a reset helps.
const A_DAY: i64 = 24 * 3_600;

#[tokio::test(flavor = "multi_thread")]
async fn embedded_hundred_failures_end_the_attempts_of_strangers_and_keep_nobody_out() {
    a_hundred_failures_end_the_attempts_of_strangers(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_failures_end_the_attempts_of_strangers_and_keep_nobody_out_on_postgres_and_rabbitmq() {
    a_hundred_failures_end_the_attempts_of_strangers(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_hundred_wrong_codes_leave_the_recovery_codes() {
    a_hundred_wrong_codes_leave_the_recovery_codes(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_wrong_codes_leave_the_recovery_codes_on_postgres_and_rabbitmq() {
    a_hundred_wrong_codes_leave_the_recovery_codes(Deployment::Servers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn embedded_hundred_failures_in_stolen_sessions_leave_the_login() {
    a_hundred_failures_in_stolen_sessions_leave_the_login(Deployment::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_failures_in_stolen_sessions_leave_the_login_on_postgres_and_rabbitmq() {
    a_hundred_failures_in_stolen_sessions_leave_the_login(Deployment::Servers).await;
}

/// The seconds to wait that this answer names.
fn wait(answer: Answer) -> i64 {
    let answer = answer.expect(429);
    assert_eq!(answer.code(), "rate-limited");
    answer.header("retry-after").parse().unwrap()
}

async fn a_hundred_failures_end_the_attempts_of_strangers(deployment: Deployment) {
    let mut system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let email = ada.email.clone();
    let guesser = stranger(&system.base, [127, 0, 0, 2]);
    let guess = async |password: &str| log_in(&guesser, &email, password).await;
    guess(WRONG).await.expect(401);
    let_failures_become(&system, 98).await;
    guess(WRONG).await.expect(401);
    let minutes = wait(guess(PASSWORD).await);
    assert!((800..=900).contains(&minutes), "a quarter of an hour: {minutes}");
    let_failures_become(&system, 99).await;
    guess(WRONG).await.expect(401);
    assert_eq!(wait(guess(PASSWORD).await), A_DAY, "also with the right password");
    restart_auth(&mut system, deployment).await;
    assert_eq!(wait(guess(PASSWORD).await), A_DAY, "also after a restart");
    assert_eq!(wait(log_in(&stranger(&system.base, [127, 0, 0, 3]), &ada.email, PASSWORD).await), A_DAY);

    // The owner logs in without a delay, and since the password was right, the failures before no longer count.
    ada.log_in().await;
    guess(WRONG).await.expect(401);

    // Somebody at an unfamiliar address needs a reset.
    let_failures_become(&system, 100).await;
    assert_eq!(wait(guess(PASSWORD).await), A_DAY);
    let offered = system.run(&["users", "reset", &ada.email]);
    let reset = json!({"reset_token": offered.lines().next().unwrap(), "new_password": NEXT});
    guesser.post("/auth/reset", reset).await.expect(204);
    guess(NEXT).await.expect(200);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_of_auth_count_failures_together_on_postgres_and_rabbitmq() {
    let mut system = System::launched(Deployment::Servers, 2).await;
    system.ready().await;
    let mut ada = Person::join(&system.base, "ada").await;
    let guessers = [stranger(&system.bases[0], [127, 0, 0, 2]), stranger(&system.bases[1], [127, 0, 0, 3])];
    log_in(&guessers[0], &ada.email, WRONG).await.expect(401);
    let_failures_become(&system, 13).await;
    log_in(&guessers[1], &ada.email, WRONG).await.expect(401);
    for number in 0..2 {
        // Each replica has to know the failures that the others counted, also one that was not running then.
        let replica = Replica { role: Role::Auth, number };
        system.kill(replica);
        for guesser in &guessers {
            let mut answer = None;
            until("the other replica answers", TIMEOUT, async || {
                let got = log_in(guesser, &ada.email, PASSWORD).await;
                answer = (got.status != 503).then_some(got);
                answer.is_some()
            })
            .await;
            let seconds = wait(answer.unwrap());
            assert!((300..=512).contains(&seconds), "{seconds}");
        }
        system.launch(replica);
        system.ready().await;
    }
    ada.log_in().await;
    system.stop().await;
}

async fn a_hundred_wrong_codes_leave_the_recovery_codes(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    let id: UserId = text(&ada.get("/auth/me").await.expect(200).body["user"], "id").parse().unwrap();
    let enrolled = ada.post("/auth/me/totp", json!({"password": PASSWORD})).await;
    let enrolled = enrolled.expect(200).body;
    let secret = text(&enrolled, "secret");
    let used = totp_code(&secret);
    let confirm = json!({"code": used});
    ada.post("/auth/me/totp/confirm", confirm).await.expect(204);
    let go_on = async |code: &str| {
        let half = log_in(&ada, &ada.email, PASSWORD).await.expect(401).body;
        let body = json!({"mfa_token": half["mfa_token"], "code": code});
        ada.post("/auth/login/second-factor", body).await
    };
    let refused = AccountEvent::from(SecondFactorRefused {});
    let yesterday = Duration::from_secs(24 * 3_600);
    let refusals = (0..99).map(|_| refused.encode()).collect();
    append_as_auth(&system, &StreamName::account(id), id, refusals, yesterday).await;

    go_on(&used).await.expect(401);
    assert_eq!(wait(go_on(&totp_code(&secret)).await), A_DAY, "also with the right code");
    let give_up = json!({"password": PASSWORD, "code": totp_code(&secret)});
    let given_up = ada.send(Method::DELETE, "/auth/me/totp", Some(give_up)).await;
    assert_eq!(wait(given_up), A_DAY, "and not by another way");
    let recovery = enrolled["recovery_codes"][0].as_str().unwrap();
    go_on(recovery).await.expect(200);
    // Then codes of the app are checked again, and this one was used.
    go_on(&used).await.expect(401);
    system.stop().await;
}

async fn a_hundred_failures_in_stolen_sessions_leave_the_login(deployment: Deployment) {
    let system = System::start(deployment).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let stolen = ada.clone();
    ada.log_in().await;
    let show = async |person: &Person, password: &str| {
        let body = json!({"current_password": password, "new_password": NEXT});
        person.post("/auth/me/password", body).await
    };
    show(&stolen, WRONG).await.expect(401);
    let_failures_become(&system, 99).await;
    show(&ada, WRONG).await.expect(401);
    for person in [&stolen, &ada] {
        assert_eq!(wait(show(person, PASSWORD).await), A_DAY, "also with the right password");
    }
    ada.log_in().await;
    show(&ada, PASSWORD).await.expect(204);
    system.stop().await;
}
