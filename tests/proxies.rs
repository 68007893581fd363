//! Reverse proxies in front of the gateway, as configured in `deploy/`. Clients are distinguished by their addresses,
//! whatever they write into `X-Forwarded-For`.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::json;
use test_support::Authority;

use crate::{
    support::{Deployment, Person, System, free_port, until},
    tls::get,
};

const LIMITS: &str = "trusted_proxies = [\"127.0.0.1\"]\n[[limit]]\nname = \"keys\"\nby = \"address\"\n\
                      routes = [\"/.well-known/jwks.json\"]\nrequests = 2\nper_seconds = 3600\n";

/// A child process that is killed at the end of the test.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program, if it is installed. `./test` installs it, or skips these tests and says so.
fn installed(program: &str) -> Command {
    let found = Command::new(program)
        .arg(if program == "caddy" { "version" } else { "-v" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(found.is_ok(), "{program} is not installed: run ./test, or install it");
    Command::new(program)
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_nginx() {
    let (authority, over_tls) = (Authority::new(), free_port());
    let setting = |directory: &Path, port, gateway: &str| {
        let issued = authority.issue(&["127.0.0.1"]);
        for (name, text) in [
            ("fullchain.pem", issued.certificate),
            ("privkey.pem", issued.key),
            ("authority.pem", authority.certificate()),
        ] {
            fs::write(directory.join(name), text).unwrap();
        }
        let recipe = fs::read_to_string("../deploy/nginx.conf").unwrap();
        let recipe = replaced(&recipe, "/etc/ssl/taskledger", &directory.display().to_string());
        // The rest of the test uses another port of the same server without TLS.
        let both = format!("listen 127.0.0.1:{over_tls} ssl; listen 127.0.0.1:{port};");
        let file = directory.join("nginx.conf");
        let recipe = replaced(&recipe, "listen 443 ssl;", &both);
        fs::write(&file, replaced(&recipe, "127.0.0.1:8080", gateway)).unwrap();
        let mut command = installed("nginx");
        command.arg("-p").arg(directory).arg("-c").arg(file);
        let globals =
            format!("daemon off; master_process off; pid {}/pid; error_log stderr;", directory.display());
        command.args(["-g", &globals]);
        command
    };
    let and_then = async |directory: &Path| {
        let base = format!("http://127.0.0.1:{over_tls}");
        let (authority, mut ready) = (directory.join("authority.pem"), String::new());
        until("it is ready", Duration::from_secs(30), async || {
            ready = get(&base, "/health/ready", &authority).await.unwrap();
            ready.starts_with("HTTP/1.1 200")
        })
        .await;
        assert!(ready.to_lowercase().contains("strict-transport-security: max-age"), "{ready}");
    };
    behind(setting, and_then).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_caddy() {
    let setting = |directory: &Path, port, gateway: &str| {
        let recipe = fs::read_to_string("../deploy/Caddyfile").unwrap();
        let recipe = replaced(&recipe, "tasks.example.org", &format!("http://127.0.0.1:{port}"));
        let recipe = replaced(&recipe, "127.0.0.1:8080", gateway);
        let file = directory.join("Caddyfile");
        fs::write(&file, format!("{{\n\tadmin off\n}}\n{recipe}")).unwrap();
        let mut command = installed("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]).arg(file);
        command.env("HOME", directory);
        command
    };
    behind(setting, async |_: &Path| {}).await;
}

fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

/// Starts `proxy` in front of a system, tests everything through it, and at last runs `and_then`.
async fn behind(proxy: impl Fn(&Path, u16, &str) -> Command, and_then: impl AsyncFn(&Path)) {
    let mut system = System::prepared(Deployment::Embedded).await;
    let file = system.directory().join("gateway.toml");
    fs::write(&file, LIMITS).unwrap();
    system.set("TASKLEDGER_GATEWAY_CONFIG", file.display().to_string());
    system.launch_all();
    system.ready().await;

    let port = free_port();
    let gateway = system.base.strip_prefix("http://").unwrap();
    let mut command = proxy(system.directory(), port, gateway);
    let log = fs::File::create(system.directory().join("proxy.log")).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    let _proxy = Proxy(command.spawn().unwrap());
    let base = format!("http://127.0.0.1:{port}");
    until("the proxy serves", Duration::from_secs(20), async || {
        reqwest::get(format!("{base}/health/ready")).await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;

    // Each client claims another address with each request.
    let ask = async |from: [u8; 4], claimed: &str| {
        let client = reqwest::Client::builder().local_address(std::net::IpAddr::from(from)).build().unwrap();
        let request = client.get(format!("{base}/.well-known/jwks.json"));
        let answer = request.header("X-Forwarded-For", claimed).send().await.unwrap();
        answer.status().as_u16()
    };
    let mut statuses = Vec::new();
    for claimed in ["192.0.2.1", "192.0.2.2, 127.0.0.1", "192.0.2.3"] {
        statuses.push(ask([127, 0, 9, 1], claimed).await);
    }
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(ask([127, 0, 9, 2], "192.0.2.1").await, 200, "someone else");

    // Everything else works as it does without a proxy.
    let ada = Person::join(&base, "ada").await;
    let created = ada.post("/tasks", json!({"title": "through a proxy"})).await.expect(201);
    assert!(created.header("strict-transport-security").contains("max-age"));
    let tasks = ada.get("/tasks").await.expect(200);
    assert_eq!(tasks.body["items"][0]["title"], "through a proxy");
    and_then(system.directory()).await;
    drop(_proxy);
    system.stop().await;
}
