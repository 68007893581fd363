//! Attackers who try to exhaust memory.

use std::{fs, time::Duration};

use serde_json::json;

use super::{attacker::Attacker, honest::Honest};
use crate::support::{Deployment, Person, Replica, Role, System, until};

/// Maximum growth of memory in bytes after requests from many addresses. Nothing is stored for each address, but the
/// allocator keeps some memory, which is more on a busy machine.
const MAX_FOR_ADDRESSES: u64 = 16 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn bodies_without_their_end() {
    let system = System::start(Deployment::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let head = "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 64000\r\n\r\n";
    let body = format!("{{\"password\":\"{}", "x".repeat(63_000));
    let mut attackers = Vec::new();
    for number in 1..=2 {
        let mut attacker = Attacker::new(&system.base, number);
        let opened = attacker.open(600, format!("{head}{body}").as_bytes()).await;
        assert!(opened > 150, "{opened} connections");
        attackers.push(attacker);
    }
    honest.is_not_disturbed("1,200 logins of 63 KB without their end", &mut attackers, &system).await;
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read() {
    let system = System::start(Deployment::Embedded).await;
    let honest = Honest::before_the_attack(&system).await;
    let greedy = Person::join(&system.base, "greedy").await;
    let description = "\u{1F600}".repeat(10_000);
    for number in 0..100 {
        let task = json!({"title": format!("{number}"), "description": description});
        greedy.post("/tasks", task).await.expect(201);
    }
    let ask =
        format!("GET /tasks?limit=100 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n", greedy.token);
    let mut attacker = Attacker::new(&system.base, 1);
    assert_eq!(attacker.open(150, ask.as_bytes()).await, 150);
    // Each connection has an answer that it does not read.
    let statuses = attacker.statuses().await;
    honest.is_not_disturbed("150 readers of 4 MB who do not read", &mut vec![attacker], &system).await;
    assert!(statuses.contains(&200), "{statuses:?}");
    // Requests beyond the limit are refused early.
    assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
    system.stop().await;
}

/// Incomplete bodies, so many that the process nears its memory limit.
#[tokio::test(flavor = "multi_thread")]
async fn requests_are_refused_while_memory_is_short_and_operators_are_answered() {
    let mut system = System::start(Deployment::Embedded).await;
    let up = Replica::from(Role::Up);
    system.terminate(up);
    system.set("TASKLEDGER_MEMORY_LIMIT_MIB", "64");
    system.launch(up);
    system.ready().await;
    let head = "POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 64000\r\n\r\n";
    let body = format!("{{\"password\":\"{}", "x".repeat(60_000));
    let mut attackers = Vec::new();
    for number in 1..=4 {
        let mut attacker = Attacker::new(&system.base, number);
        let opened = attacker.open(200, format!("{head}{body}").as_bytes()).await;
        assert!(opened > 100, "{opened} connections");
        attackers.push(attacker);
    }
    // These paths are served whatever bodies are being received, and nothing else limits them.
    let live = async |base: &str| {
        let answer = reqwest::get(format!("{base}/health/live")).await.unwrap();
        answer.status().as_u16()
    };
    until("memory is short", Duration::from_secs(20), async || live(&system.base).await == 503).await;
    assert_eq!(live(&system.admin()).await, 200);
    assert!(system.log_text(up).contains("memory is short"));
    system.stop().await;
}

/// A batch of a few kilobytes with many commands on one long task has an answer of megabytes.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_do_not_read_what_their_commands_led_to() {
    let system = System::start(Deployment::Embedded).await;
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
    assert_eq!(attacker.open(150, ask.as_bytes()).await, 150);
    let statuses = attacker.statuses().await;
    honest
        .is_not_disturbed("150 readers of 4 MB about a batch who do not read", &mut vec![attacker], &system)
        .await;
    assert!(statuses.contains(&200), "{statuses:?}");
    // Each person may have a limited number of concurrent batches, including those that wait.
    assert!(statuses.iter().all(|status| matches!(status, 200 | 429 | 503)), "{statuses:?}");
    system.stop().await;
}

/// Many client addresses, which a proxy reports, each used once or twice.
#[tokio::test(flavor = "multi_thread")]
async fn addresses_without_number() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let file = system.directory().join("gateway.toml");
    let policy = "trusted_proxies = [\"127.0.0.1\"]\n[unauthenticated]\nrequests = 20000\nper_seconds = 1\n";
    fs::write(&file, policy).unwrap();
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch_all();
    system.ready().await;
    let honest = Honest::before_the_attack(&system).await;
    let http = reqwest::Client::new();
    let flood = async |part: u32, are_new: bool| {
        for number in 0..2_000_u32 {
            let [a, b, c, d] = match are_new {
                true => (part * 2_000 + number + 1).to_be_bytes(),
                false => [0; 4],
            };
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
    // The same number of requests from one address shows the cost of requests alone.
    futures::future::join_all((0..8).map(|part| flood(part, false))).await;
    let before = system.memory("VmRSS");
    futures::future::join_all((0..8).map(|part| flood(part, true))).await;
    let growth = system.memory("VmRSS").saturating_sub(before);
    eprintln!("{growth} bytes for 16,000 addresses");
    // The table of addresses has its full size from the start.
    assert!(growth < MAX_FOR_ADDRESSES, "{growth} bytes for 16,000 addresses");
    honest.is_not_disturbed("16,000 addresses", &mut (), &system).await;
    system.stop().await;
}
