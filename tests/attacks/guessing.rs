//! Guessing at passwords: it gets slow, it tells nothing, and it keeps the owner out of nothing.

use std::{net::IpAddr, time::Duration};

use reqwest::Client;
use serde_json::json;

use crate::support::{Answer, Footing, PASSWORD, Person, System, until};

#[tokio::test]
async fn embedded_guesses_get_slow_and_keep_nobody_out() {
    guesses_get_slow_and_keep_nobody_out(Footing::Embedded).await;
}

#[tokio::test]
async fn guesses_get_slow_and_keep_nobody_out_on_postgres_and_rabbitmq() {
    guesses_get_slow_and_keep_nobody_out(Footing::Servers).await;
}

/// Somebody at another address of this machine.
fn stranger(system: &System, address: [u8; 4]) -> Person {
    let http = Client::builder().local_address(IpAddr::from(address));
    Person {
        base: system.base.clone(),
        http: http.build().unwrap(),
        email: String::new(),
        token: String::new(),
        refresh_token: String::new(),
    }
}

async fn log_in(person: &Person, email: &str, password: &str) -> Answer {
    let body = json!({"email": email, "password": password});
    person.post("/auth/login", body).await
}

/// What a client sees, but for the id of the request.
fn shown(answer: &Answer) -> (u16, String, String) {
    let text = ["title", "detail", "code"].map(|member| answer.body[member].to_string());
    (
        answer.status.as_u16(),
        text.concat(),
        answer.header("retry-after").to_owned(),
    )
}

async fn guesses_get_slow_and_keep_nobody_out(footing: Footing) {
    let system = System::start(footing).await;
    let mut ada = Person::join(&system.base, "ada").await;
    let (near, far) = (
        stranger(&system, [127, 0, 0, 2]),
        stranger(&system, [127, 0, 0, 3]),
    );

    let mut courses = Vec::new();
    for email in [&*ada.email, "nobody@example.org"] {
        let mut course = Vec::new();
        for guess in 0..7 {
            let from = if guess % 2 == 0 { &near } else { &far };
            course.push(shown(&log_in(from, email, "a wrong passphrase").await));
        }
        courses.push(course);
    }
    assert_eq!(courses[0], courses[1], "nothing tells who has an account");
    let statuses: Vec<_> = courses[0].iter().map(|(status, _, _)| *status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429]);

    ada.log_in().await;
    // That forgave the strangers, so they begin again.
    for _ in 0..5 {
        log_in(&near, &ada.email, "a wrong passphrase").await.expect(401);
    }
    let right = log_in(&far, &ada.email, PASSWORD).await.expect(429);
    assert_eq!(right.code(), "rate-limited");
    assert_eq!(right.header("retry-after"), "1");
    assert!(!right.header("ratelimit").is_empty() && !right.header("ratelimit-policy").is_empty());
    until("the wait is over", Duration::from_secs(10), async || {
        log_in(&far, &ada.email, PASSWORD).await.status == 200
    })
    .await;
    system.stop().await;
}
