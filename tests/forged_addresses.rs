//! The client address that a role believes, if it is reached without a gateway in between.

use serde_json::Value;

use crate::support::{Deployment, Role, System, binary, free_port};

#[tokio::test(flavor = "multi_thread")]
async fn a_role_believes_nobody_but_the_gateway_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let http = reqwest::Client::new();
    let ask = async |system: &System, asked: &str| {
        let answer = http
            .get(format!("{}/auth/me", system.setting("TASKLEDGER_AUTH_URL")))
            .bearer_auth("not.a.token")
            .header("X-Forwarded-For", "198.51.100.7")
            .header("X-Request-Id", asked)
            .send()
            .await;
        assert_eq!(answer.unwrap().status(), 401);
    };
    ask(&system, "by-default").await;
    // This test connects from 127.0.0.1, which is the gateway's address in one case and not in the other.
    for (gateway, asked) in [("127.0.0.1", "from-the-gateway"), ("192.0.2.1", "from-elsewhere")] {
        system.terminate(Role::Auth);
        system.set("TASKLEDGER_GATEWAY_PEERS", gateway);
        system.launch(Role::Auth);
        system.ready().await;
        ask(&system, asked).await;
    }
    // Processes write the rest of their logs when they end.
    system.terminate_all();
    let log = system.log_text(Role::Auth.into());
    let client = |asked: &str| {
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut of_it = lines.filter(|line| line["target"] == "security" && line["request.id"] == asked);
        of_it.next().unwrap()["client.ip"].clone()
    };
    assert_eq!(client("by-default"), "198.51.100.7", "loopback is believed");
    assert_eq!(client("from-the-gateway"), "198.51.100.7");
    assert_eq!(client("from-elsewhere"), "127.0.0.1");
    system.stop().await;
}

#[test]
fn a_role_that_other_machines_reach_warns_if_nobody_said_whom_it_believes() {
    let directory = tempfile::tempdir().unwrap();
    for (listen, peers, is_warned) in [
        ("0.0.0.0", None, true),
        ("0.0.0.0", Some("10.0.0.7"), false),
        ("0.0.0.0", Some(""), false),
        ("127.0.0.1", None, false),
    ] {
        // Its start ends at the broker, which is not there.
        let output = binary()
            .arg("auth")
            .env("TASKLEDGER_DATA_DIR", directory.path())
            .env("TASKLEDGER_LISTEN", format!("{listen}:{}", free_port()))
            .env("TASKLEDGER_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
            .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
            .env("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f")
            .envs(peers.map(|peers| ("TASKLEDGER_GATEWAY_PEERS", peers)))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("RabbitMQ"), "{said}");
        assert_eq!(said.contains("TASKLEDGER_GATEWAY_PEERS"), is_warned, "{listen} {peers:?}: {said}");
    }
}
