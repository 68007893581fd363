//! An address from which somebody has logged in has its own count of failures.

use serde_json::json;
use test_support::{Footing, TestStorage, on_both_footings};

use crate::{
    support::{ADA, App, NEW, PASSWORD, WRONG},
    throttle::{ELSEWHERE, HOME, let_failures_become, quick, wait},
};

#[tokio::test]
async fn strangers_cannot_keep_the_owner_out() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    for number in 0..6 {
        let address = format!("198.51.100.{number}");
        app.login_from(&address, ADA, WRONG).await;
    }
    wait(app.login_from(ELSEWHERE, ADA, PASSWORD).await);
    for _ in 0..4 {
        app.login_from(HOME, ADA, WRONG).await.expect(401, "bad-credentials");
    }
    app.login_from(HOME, ADA, PASSWORD).await.expect(200, "");
    app.login_from(ELSEWHERE, ADA, PASSWORD).await.expect(200, "");
}

#[tokio::test]
async fn a_familiar_address_has_to_wait_as_well() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    for _ in 0..5 {
        app.login_from(HOME, ADA, WRONG).await.expect(401, "bad-credentials");
    }
    assert_eq!(wait(app.login_from(HOME, ADA, PASSWORD).await), 1);
}

#[tokio::test]
async fn a_login_from_anywhere_clears_the_failures_of_every_familiar_address() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    for _ in 0..2 {
        for _ in 0..4 {
            app.login_from(HOME, ADA, WRONG).await.expect(401, "bad-credentials");
        }
        app.login_from(ELSEWHERE, ADA, PASSWORD).await.expect(200, "");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_waits_of_every_address() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let elsewhere = app.login_from(ELSEWHERE, ADA, PASSWORD).await.expect(200, "");
    for _ in 0..5 {
        app.login_from(HOME, ADA, WRONG).await.expect(401, "bad-credentials");
    }
    wait(app.login_from(HOME, ADA, PASSWORD).await);
    app.post("/auth/me/password")
        .token(elsewhere.body["access_token"].as_str().unwrap())
        .json(&json!({"current_password": PASSWORD, "new_password": NEW}))
        .header("x-forwarded-for", ELSEWHERE)
        .send()
        .await
        .expect(204, "");
    app.login_from(HOME, ADA, NEW).await.expect(200, "");
}

async fn whoever_shares_an_address_locks_the_owner_out_until_they_log_in_from_another_one(footing: Footing) {
    let storage = TestStorage::new(footing).await;
    let operations = storage.operations().await;
    let app = &quick(&App::start().await, |dependencies| {
        dependencies.operations = operations;
    })
    .await;
    app.register_from(HOME, ADA).await.expect(201, "");
    let office = "203.0.113.8";
    app.login_from(office, ADA, PASSWORD).await.expect(200, "");
    for from in [office, ELSEWHERE] {
        // A client at the owner's address, and strangers.
        for address in [HOME, ELSEWHERE] {
            app.login_from(address, ADA, WRONG).await.expect(401, "bad-credentials");
        }
        assert_eq!(let_failures_become(app, 100).await, 2);
        assert_eq!(wait(app.login_from(HOME, ADA, PASSWORD).await), 24 * 3_600);
        if from == ELSEWHERE {
            let_failures_become(app, 99).await;
            app.login_from(HOME, ADA, WRONG).await;
        }
        app.login_from(from, ADA, PASSWORD).await.expect(200, "");
        app.login_from(HOME, ADA, PASSWORD).await.expect(200, "");
        app.login_from(ELSEWHERE, ADA, WRONG).await.expect(401, "bad-credentials");
        assert_eq!(let_failures_become(app, 1).await, 1, "the others are forgotten");
    }
}

on_both_footings!(whoever_shares_an_address_locks_the_owner_out_until_they_log_in_from_another_one);

/// Strangers fail at the account until they must wait.
async fn let_strangers_fail(app: &App) {
    for number in 0..5 {
        let address = format!("192.0.2.{number}");
        app.login_from(&address, ADA, WRONG).await.expect(401, "bad-credentials");
    }
}

#[tokio::test]
async fn after_a_change_only_the_address_it_came_from_is_familiar() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(ELSEWHERE, ADA).await.expect(201, "");
    let entered = app.login_from(ELSEWHERE, ADA, PASSWORD).await;
    let token = entered.text("/access_token");
    let body = json!({"current_password": PASSWORD, "new_password": NEW});
    let change = async || {
        let call = app.post("/auth/me/password").token(&token).json(&body);
        call.header("x-forwarded-for", HOME).send().await
    };
    // The second one repeats the first, whose answer may have been lost.
    for _ in 0..2 {
        change().await.expect(204, "");
        let_strangers_fail(&app).await;
        wait(app.login_from(ELSEWHERE, ADA, NEW).await);
        app.login_from(HOME, ADA, NEW).await.expect(200, "");
        app.login_from(ELSEWHERE, ADA, NEW).await.expect(200, "");
    }
}

#[tokio::test]
async fn after_a_reset_no_address_is_familiar_before_somebody_has_logged_in_from_it() {
    let app = quick(&App::start().await, |_| {}).await;
    app.register_from(HOME, ADA).await.expect(201, "");
    app.login_from(HOME, ADA, PASSWORD).await.expect(200, "");
    let token = app.offer_reset(ADA, false).await.token;
    app.post("/auth/reset")
        .json(&json!({"reset_token": &*token, "new_password": NEW}))
        .header("x-forwarded-for", HOME)
        .send()
        .await
        .expect(204, "");
    let_strangers_fail(&app).await;
    wait(app.login_from(HOME, ADA, NEW).await);
    app.clock.advance(1);
    app.login_from(HOME, ADA, NEW).await.expect(200, "");
    let_strangers_fail(&app).await;
    app.login_from(HOME, ADA, NEW).await.expect(200, "");
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
    app.register_from(HOME, ADA).await.expect(201, "");
    assert_eq!(days_of_addresses(&app).await, [0]);
    let log_in = async |address| {
        let answer = app.login_from(address, ADA, PASSWORD).await;
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
