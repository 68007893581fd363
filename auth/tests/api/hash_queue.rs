//! A full queue of passwords: familiar clients, and addresses with few requests, are still served.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use auth::Argon2Parameters;
use http::Method;
use serde_json::json;

use crate::{
    second_factor::{code, enrolled},
    support::{ADA, Answer, App, CHEAP, PASSWORD},
};

const PLACES: usize = 8;
/// Together they need twice as many places as there are.
const GREEDY_ADDRESSES: usize = 4;
const AT_ONCE: usize = PLACES / 2;

async fn post_from(app: &App, address: &str, path: &str, body: &serde_json::Value) -> Answer {
    let call = app.post(path).json(body).header("x-forwarded-for", address);
    call.send().await
}

/// Registers many accounts from a few addresses while `honest` runs.
async fn beside_a_crowd(app: &App, honest: impl Future<Output = ()>) {
    let (is_over, refused, number) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let greedy = async |who: usize| {
        let address = format!("198.51.100.{}", who % GREEDY_ADDRESSES);
        while !is_over.load(Ordering::Relaxed) {
            let number = number.fetch_add(1, Ordering::Relaxed);
            let body = json!({"email": format!("greedy{number}@example.com"), "password": PASSWORD});
            let answer = post_from(app, &address, "/auth/register", &body).await;
            match answer.status.as_u16() {
                201 => {}
                429 | 503 => {
                    refused.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                _ => panic!("{answer:?}"),
            }
        }
    };
    let honest = async {
        test_support::eventually("the queue is full", async || refused.load(Ordering::Relaxed) > 50).await;
        honest.await;
        is_over.store(true, Ordering::Relaxed);
    };
    let crowd = futures::future::join_all((0..GREEDY_ADDRESSES * AT_ONCE).map(greedy));
    futures::join!(crowd, honest);
}

/// A role with one thread, and a hash that takes some milliseconds.
async fn with_a_short_queue(app: &App) -> App {
    app.replica(|config, _| {
        config.failed_login_time = Duration::ZERO;
        config.hashing_threads = 1;
        config.hashing_queue = PLACES;
        config.argon2 = Argon2Parameters { memory_kib: 8_192, ..CHEAP };
    })
    .await
}

#[tokio::test]
async fn a_crowd_of_strangers_keeps_nobody_out() {
    let app = with_a_short_queue(&App::start().await).await;
    let (token, _) = app.sign_in(ADA).await;
    let reset = app.offer_reset(ADA, false).await.token.to_string();
    let credentials = json!({"email": ADA, "password": PASSWORD});
    let honest = async {
        for number in 0..5 {
            let address = format!("192.0.2.{number}");
            post_from(&app, &address, "/auth/login", &credentials).await.expect(200, "");
        }
        // The address of the crowd has the most places, and somebody at this address is signed in.
        for number in 0..GREEDY_ADDRESSES {
            let call = app.post("/auth/me/totp").token(&token);
            let call = call.json(&json!({"password": PASSWORD}));
            let address = format!("198.51.100.{number}");
            call.header("x-forwarded-for", &address).send().await.expect(200, "");
        }
        let new = json!({"reset_token": reset, "new_password": "violet harbour lantern"});
        post_from(&app, "198.51.100.0", "/auth/reset", &new).await.expect(204, "");
    };
    beside_a_crowd(&app, honest).await;
}

#[tokio::test]
async fn whoever_waits_for_the_store_keeps_nobody_from_hashing() {
    for (method, path) in
        [(Method::POST, "/auth/me/totp"), (Method::DELETE, "/auth/me/totp"), (Method::DELETE, "/auth/me")]
    {
        let (app, faults) = App::start_faulty().await;
        let (one, _) = app.sign_in(ADA).await;
        let (mut other, _) = app.sign_in(ADA).await;
        let mut body = json!({"password": PASSWORD});
        if (&method, path) == (&Method::DELETE, "/auth/me/totp") {
            let secret;
            (other, secret, _) = enrolled(&app).await;
            body["code"] = json!(code(&app, &secret, 0));
        }
        let app = with_a_short_queue(&app).await;
        let stalled = faults.appending.write().await;
        // With one thread, two passwords are admitted at once.
        faults.appends_left.store(2, Ordering::SeqCst);
        let waiting = [&one, &other].map(|token| {
            let call = app.call(method.clone(), path).token(token);
            call.json(&body).send()
        });
        let guess = async {
            test_support::eventually("both wait for the store", async || {
                faults.appends_left.load(Ordering::SeqCst) == 0
            })
            .await;
            let guess = app.login("nobody@example.com", PASSWORD).await;
            guess.expect(401, "bad-credentials");
            drop(stalled);
        };
        tokio::join!(futures::future::join_all(waiting), guess);
    }
}
