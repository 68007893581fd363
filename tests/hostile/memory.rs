//! Whoever tries to make the system keep more than it can.

use std::{fs, time::Duration};

use serde_json::json;

use super::{attacker::Attacker, honest::Honest};
use crate::support::{Footing, Person, Replica, Role, System};

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_their_end() {
    let system = System::start(Footing::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let head = "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 64000\r\n\r\n";
    let body = format!("{{\"password\":\"{}", "x".repeat(63_000));
    let mut attackers = Vec::new();
    for number in 1..=2 {
        let mut attacker = Attacker::new(&system.base, number);
        attacker.open(600, format!("{head}{body}").as_bytes()).await;
        attackers.push(attacker);
    }
    honest
        .is_not_disturbed("1,200 logins of 63 KB without their end", &system)
        .await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read() {
    let system = System::start(Footing::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let greedy = Person::join(&system.base, "greedy").await;
    let description = "\u{1F600}".repeat(10_000);
    for number in 0..100 {
        let task = json!({"title": format!("{number}"), "description": description});
        greedy.post("/tasks", task).await.expect(201);
    }
    let ask = format!(
        "GET /tasks?limit=100 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        greedy.token
    );
    let mut attacker = Attacker::new(&system.base, 1);
    attacker.open(150, ask.as_bytes()).await;
    // Until each has an answer that it does not take.
    let statuses = attacker.statuses().await;
    honest
        .is_not_disturbed("150 readers of 4 MB who do not read", &system)
        .await;
    assert!(statuses.contains(&200), "{statuses:?}");
    // What is beyond the bound is told so, and early.
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 503)),
        "{statuses:?}"
    );
    system.stop().await;
}

/// A batch of a few kilobytes on one long task many times: megabytes of an answer, which a command has in any case.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_what_their_commands_led_to() {
    let system = System::start(Footing::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let greedy = Person::join(&system.base, "greedy").await;
    let task = json!({"title": "long", "description": "\u{1F600}".repeat(10_000)});
    let task = greedy.post("/tasks", task).await.expect(201).body["id"].clone();
    let commands = vec![json!({"op": "start", "id": task}); 100];
    let body = json!({"commands": commands}).to_string();
    let ask = format!(
        "POST /tasks/batch HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        greedy.token,
        body.len()
    );
    let mut attacker = Attacker::new(&system.base, 1);
    attacker.open(150, ask.as_bytes()).await;
    let statuses = attacker.statuses().await;
    honest
        .is_not_disturbed("150 readers of 4 MB about a batch who do not read", &system)
        .await;
    assert!(statuses.contains(&200), "{statuses:?}");
    // So many of one person's batches are here at once, those that wait included.
    assert!(
        statuses.iter().all(|status| matches!(status, 200 | 429 | 503)),
        "{statuses:?}"
    );
    system.stop().await;
}

/// Addresses that only a proxy can vouch for, each seen once or twice.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_without_number() {
    let mut system = System::start(Footing::Embedded).await;
    let up = Replica::from(Role::Up);
    let file = system.directory().join("gateway.toml");
    fs::write(&file, "trusted_proxies = [\"127.0.0.1\"]").unwrap();
    system.terminate(up);
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch(up);
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let before = system.memory("VmRSS");
    let http = reqwest::Client::new();
    let flood = async |part: u32| {
        for number in 0..2_000_u32 {
            let [a, b, c, d] = (part * 2_000 + number).to_be_bytes();
            let address = format!("2001:db8:{a:x}{b:02x}:{c:x}{d:02x}::1");
            let answer = http
                .get(format!("{}/.well-known/jwks.json", system.base))
                .header("X-Forwarded-For", address)
                .timeout(Duration::from_secs(20))
                .send()
                .await;
            assert_eq!(answer.unwrap().status(), 200);
        }
    };
    futures::future::join_all((0..8).map(flood)).await;
    let growth = system.memory("VmRSS").saturating_sub(before);
    assert!(growth < 32 * 1024 * 1024, "{growth} bytes for 16,000 addresses");
    honest.is_not_disturbed("16,000 addresses", &system).await;
    system.stop().await;
}
