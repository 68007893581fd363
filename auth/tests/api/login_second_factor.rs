//! `POST /auth/login/second-factor`.

use std::sync::atomic::Ordering;

use serde_json::json;

use crate::{
    second_factor::{claims, code, confirm, enroll, enrolled, go_on, mfa_token, wrong},
    support::{ADA, App, NEW, PASSWORD, statuses},
};

#[tokio::test]
async fn a_login_needs_a_code_once_the_factor_is_confirmed() {
    let app = App::start().await;
    let (access, _) = app.sign_in(ADA).await;
    assert_eq!(claims(&access)["amr"], json!(["pwd"]));
    enroll(&app, &access, "another passphrase here").await.expect(401, "bad-credentials");
    let answer = enroll(&app, &access, PASSWORD).await.expect(200, "");
    let secret = answer.text("/secret");
    assert_eq!(answer.body["recovery_codes"].as_array().unwrap().len(), 10);
    assert_eq!(
        answer.text("/otpauth_uri"),
        format!(
            "otpauth://totp/Taskledger:ada%40example.com?secret={secret}&issuer=Taskledger&algorithm=SHA1&digits=6&period=30"
        )
    );
    app.login(ADA, PASSWORD).await.expect(200, "");
    confirm(&app, &access, &wrong(&app, &secret)).await.expect(401, "bad-credentials");
    confirm(&app, &access, &code(&app, &secret, 0)).await.expect(204, "");
    confirm(&app, &access, &code(&app, &secret, 1)).await.expect(409, "second-factor-exists");
    enroll(&app, &access, PASSWORD).await.expect(409, "second-factor-exists");

    app.login(ADA, "another passphrase here").await.expect(401, "bad-credentials");
    let token = mfa_token(&app).await;
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(401, "bad-credentials");
    let answer = go_on(&app, &token, &code(&app, &secret, 1)).await.expect(200, "");
    let amr = json!(["pwd", "otp", "mfa"]);
    assert_eq!(claims(&answer.text("/access_token"))["amr"], amr);
    let refreshed = app.refresh(&answer.text("/refresh_token")).await.expect(200, "");
    assert_eq!(claims(&refreshed.text("/access_token"))["amr"], amr);
    app.me(&refreshed.text("/access_token")).await.expect(200, "");
}

#[tokio::test]
async fn no_code_counts_twice_also_when_both_race() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    let code = code(&app, &secret, 0);
    let (first, second) = (mfa_token(&app).await, mfa_token(&app).await);
    let (one, other) = tokio::join!(go_on(&app, &first, &code), go_on(&app, &second, &code));
    assert_eq!(statuses([&one, &other]), [200, 401]);
}

#[tokio::test]
async fn a_login_goes_on_once() {
    let app = App::start().await;
    let (_, secret, codes) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    let again = go_on(&app, &token, &codes[0]).await.expect(401, "token-invalid");
    assert!(again.text("/detail").contains("it was completed"), "{again:?}");
    let late = mfa_token(&app).await;
    app.clock.advance(300);
    go_on(&app, &late, &code(&app, &secret, 0)).await.expect(401, "token-invalid");
    for made_up in ["", "nonsense", &"A".repeat(139)] {
        go_on(&app, made_up, &codes[1]).await.expect(401, "token-invalid");
    }
}

#[tokio::test]
async fn a_login_that_failed_between_its_two_appends_goes_on_with_the_same_request() {
    let (app, faults) = App::start_faulty().await;
    let (_, secret, codes) = enrolled(&app).await;
    for code in [&code(&app, &secret, 0), &codes[0]] {
        let token = mfa_token(&app).await;
        faults.sessions.store(true, Ordering::SeqCst);
        go_on(&app, &token, code).await.expect(503, "unavailable");
        faults.sessions.store(false, Ordering::SeqCst);
        let answers = futures::future::join_all((0..3).map(|_| go_on(&app, &token, code))).await;
        assert_eq!(statuses(&answers), [200, 401, 401], "{answers:?}");
        for answer in &answers {
            if answer.status == 200 {
                app.me(&answer.text("/access_token")).await.expect(200, "");
                app.refresh(&answer.text("/refresh_token")).await.expect(200, "");
            } else {
                assert_eq!(answer.code(), "token-invalid");
            }
        }
        let other = mfa_token(&app).await;
        go_on(&app, &other, code).await.expect(401, "bad-credentials");
        app.clock.advance(30);
    }
}

#[tokio::test]
async fn each_recovery_code_is_good_for_one_login() {
    let app = App::start().await;
    let (_, _, codes) = enrolled(&app).await;
    for code in &codes {
        let token = mfa_token(&app).await;
        go_on(&app, &token, &code.to_lowercase()).await.expect(200, "");
        let token = mfa_token(&app).await;
        go_on(&app, &token, code).await.expect(401, "bad-credentials");
        app.clock.advance(3_600);
    }
}

#[tokio::test]
async fn wrong_codes_are_counted_for_the_account_and_across_restarts() {
    let app = App::start().await;
    let (_, secret, codes) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    for _ in 0..5 {
        go_on(&app, &token, &wrong(&app, &secret)).await.expect(401, "bad-credentials");
    }
    // This login cannot continue.
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(401, "token-invalid");
    let restarted = app.replica(|_, _| {}).await;
    let token = mfa_token(&restarted).await;
    let refused = go_on(&restarted, &token, &code(&app, &secret, 0)).await;
    let refused = refused.expect(429, "rate-limited");
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(refused.header("ratelimit"), "\"codes\";r=0;t=30");
    assert_eq!(refused.header("ratelimit-policy"), "\"codes\";q=5");
    let before = app.log().await.len();
    go_on(&restarted, &token, &wrong(&app, &secret)).await.expect(429, "rate-limited");
    assert_eq!(app.log().await.len(), before, "what is not looked at leaves no event");
    // Someone with the password cannot lock out the person with the codes.
    go_on(&restarted, &token, &codes[3]).await.expect(200, "");
    let token = mfa_token(&restarted).await;
    go_on(&restarted, &token, &code(&app, &secret, 0)).await.expect(200, "");
}

#[tokio::test]
async fn wrong_codes_that_race_are_all_counted() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    let wrong = wrong(&app, &secret);
    let answers = futures::future::join_all((0..12).map(|_| go_on(&app, &token, &wrong))).await;
    let judged = answers.iter().filter(|answer| answer.code() == "bad-credentials").count();
    assert_eq!(judged, 5, "{answers:?}");
}

#[tokio::test]
async fn a_changed_password_ends_the_logins_that_wait() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    app.change_password(&access, PASSWORD, NEW).await.expect(204, "");
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(401, "token-invalid");
}

#[tokio::test]
async fn disabling_ends_the_logins_that_wait_for_good() {
    let app = App::start().await;
    let (access, secret, _) = enrolled(&app).await;
    let admin = app.sign_in_admin("root@example.com").await;
    let id = app.me(&access).await.text("/user/id");
    let waiting = mfa_token(&app).await;
    for change in ["disable", "enable"] {
        app.act(&admin, &id, change).await.expect(200, "");
    }
    go_on(&app, &waiting, &code(&app, &secret, 0)).await.expect(401, "token-invalid");
    let begun_since = mfa_token(&app).await;
    go_on(&app, &begun_since, &code(&app, &secret, 0)).await.expect(200, "");
}

#[tokio::test]
async fn a_login_goes_on_at_a_replica_whose_clock_is_behind() {
    let app = App::start().await;
    let (_, secret, _) = enrolled(&app).await;
    let token = mfa_token(&app).await;
    app.clock.advance(-20);
    go_on(&app, &token, &code(&app, &secret, 0)).await.expect(200, "");
    let token = mfa_token(&app).await;
    app.clock.advance(-31);
    go_on(&app, &token, &code(&app, &secret, 1)).await.expect(401, "token-invalid");
}

#[tokio::test]
async fn a_weak_hash_is_replaced_also_where_a_code_is_missing() {
    let app = App::start().await;
    enrolled(&app).await;
    let stronger = app.replica(|config, _| config.argon2.iterations = 2).await;
    mfa_token(&stronger).await;
    assert_eq!(stronger.payloads("account.password_rehashed").await.len(), 1);
    let token = mfa_token(&stronger).await;
    assert!(!token.is_empty());
    assert_eq!(stronger.payloads("account.password_rehashed").await.len(), 1);
}
