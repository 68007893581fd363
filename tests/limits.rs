//! Limits of the running system, and how an operator changes them without a restart.

use std::{fs, path::PathBuf, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Deployment, Person, Replica, Role, System, until};

/// A connection that stays open throughout the test.
struct Connection(TcpStream);

impl Connection {
    async fn to(base: &str) -> Self {
        let address = base.strip_prefix("http://").unwrap();
        Self(TcpStream::connect(address).await.unwrap())
    }

    /// The status of a `GET` request.
    async fn get(&mut self, path: &str) -> u16 {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let (_, length) = head.split_once("content-length: ").unwrap();
        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
        self.0.read_exact(&mut vec![0; length]).await.unwrap();
        head[9..12].parse().unwrap()
    }
}

fn policy(requests: u32) -> String {
    format!(
        "[unauthenticated]\nrequests = 1000\nper_seconds = 1\n[[limit]]\nname = \"keys\"\nby = \"address\"\n\
         routes = [\"/.well-known/jwks.json\"]\nrequests = {requests}\nper_seconds = 3600\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_read_again_without_dropping_a_connection_and_a_broken_file_changes_nothing() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let up = Replica::from(Role::Up);
    let file: PathBuf = system.directory().join("gateway.toml");
    fs::write(&file, policy(1)).unwrap();
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch(up);
    system.ready().await;

    const KEYS: &str = "/.well-known/jwks.json";
    let mut connection = Connection::to(&system.base).await;
    assert_eq!(connection.get(KEYS).await, 200);
    assert_eq!(connection.get(KEYS).await, 429);

    fs::write(&file, "[[limit]]\nname = 1").unwrap();
    system.signal(up, "HUP");
    until("the broken file is refused", Duration::from_secs(20), async || {
        system.log_text(up).contains("the limits stay as they were")
    })
    .await;
    assert_eq!(connection.get(KEYS).await, 429);

    fs::write(&file, policy(100)).unwrap();
    system.signal(up, "HUP");
    until("the new limit holds", Duration::from_secs(20), async || connection.get(KEYS).await == 200).await;
    assert!(system.is_running(up));
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_one_account_is_tried_sixty_times_a_minute_and_others_are_not_disturbed() {
    let system = System::start(Deployment::Embedded).await;
    let known = Person::join(&system.base, "known").await;
    let stranger = Person { token: String::new(), ..known.clone() };
    let guess = json!({"email": known.email.to_uppercase(), "password": "short"});
    let mut limited = None;
    for _ in 0..100 {
        let answer = stranger.post("/auth/register", guess.clone()).await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("the limit of the account");
    assert_eq!(limited.code(), "rate-limited");
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(limited.header("ratelimit-policy"), "\"account\";q=60;w=60");
    // Another client at the same address and a client with a token are served.
    Person::join(&system.base, "other").await;
    known.get("/tasks").await.expect(200);
    system.stop().await;
}

#[test]
fn a_broken_file_stops_the_start_with_one_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    fs::write(&file, "trusted_proxies = [\"everyone\"]").unwrap();
    let output = crate::support::binary()
        .env("TASKLEDGER_DATA_DIR", directory.path().join("data"))
        .env("TASKLEDGER_LISTEN", "127.0.0.1:0")
        .env("TASKLEDGER_ADMIN_LISTEN", "127.0.0.1:0")
        .env("TASKLEDGER_GATEWAY_CONFIG", &file)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(said.contains("`everyone` is not an address"), "{said}");
}
