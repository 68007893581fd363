//! TLS of the running system: for clients, between the roles, and which connections are refused.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rustls::pki_types::ServerName;
use serde_json::json;
use test_support::{Authority, Issued};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::support::{Deployment, Person, Role, System, binary, until};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Certificate and key files in a directory.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn put(directory: &Path, issued: &Issued) -> Self {
        let files = Self { certificate: directory.join("certificate.pem"), key: directory.join("key.pem") };
        fs::write(&files.certificate, &issued.certificate).unwrap();
        fs::write(&files.key, &issued.key).unwrap();
        files.set_mode(0o600);
        files
    }

    fn set_mode(&self, mode: u32) {
        fs::set_permissions(&self.key, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn settings(&self) -> [(&'static str, String); 2] {
        [
            ("TASKLEDGER_TLS_CERTIFICATE", self.certificate.display().to_string()),
            ("TASKLEDGER_TLS_KEY", self.key.display().to_string()),
        ]
    }
}

/// Writes the certificate of `authority` to a file.
fn certificate_of(authority: &Authority, directory: &Path) -> PathBuf {
    let file = directory.join("authority.pem");
    fs::write(&file, authority.certificate()).unwrap();
    file
}

/// Sends a `GET` request over TLS, and trusts the authority in the file.
pub(crate) async fn get(base: &str, path: &str, authority: &Path) -> std::io::Result<String> {
    let address = base.strip_prefix("http://").unwrap();
    let config = ::tls::trusting(authority).unwrap();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_served_over_tls_with_whatever_certificate_is_there_now() {
    let mut system = System::prepared(Deployment::Embedded).await;
    let directory = system.directory().to_owned();
    let first = Authority::new();
    let files = Files::put(&directory, &first.issue(&["127.0.0.1"]));
    for (name, value) in files.settings() {
        system.set(name, value);
    }
    system.launch(Role::Up);
    // The admin address is still without TLS.
    system.ready().await;
    let (base, first_file) = (system.base.clone(), certificate_of(&first, &directory));
    let mut answer = String::new();
    until("it is ready", TIMEOUT, async || {
        answer = get(&base, "/health/ready", &first_file).await.unwrap();
        answer.starts_with("HTTP/1.1 200 OK")
    })
    .await;
    assert!(
        answer.contains("strict-transport-security: max-age=31536000; includeSubDomains\r\n"),
        "{answer}"
    );
    let admin = reqwest::get(format!("{}/health/ready", system.admin())).await.unwrap();
    assert!(!admin.headers().contains_key("strict-transport-security"));
    let plain = reqwest::get(format!("{base}/health/ready")).await.unwrap();
    assert_eq!(plain.status(), 400);
    assert!(!plain.headers().contains_key("strict-transport-security"), "nobody on the way may say that");
    assert!(plain.text().await.unwrap().contains("https"));
    let metrics = system.admin_text(Role::Up.into(), "/metrics").await;
    let ends = metrics
        .lines()
        .find_map(|line| line.strip_prefix("taskledger_tls_certificate_not_after_seconds{role=\"gateway\"} "))
        .unwrap();
    assert!(ends.parse::<u64>().unwrap() > 1_700_000_000, "{ends}");
    let rules =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/alerts.yml")).unwrap();
    let words = rules.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let asked: BTreeSet<&str> = words.filter(|word| word.starts_with("taskledger_tls_")).collect();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for name in asked {
        assert!(metrics.contains(&format!("\n{name}{{")), "{name}");
    }

    fs::write(&files.certificate, "half of it").unwrap();
    system.signal(Role::Up.into(), "HUP");
    until("the broken file is refused", TIMEOUT, async || {
        system.log_text(Role::Up.into()).contains("the certificate stays as it was")
    })
    .await;
    assert!(get(&base, "/health/live", &first_file).await.is_ok());

    // The new certificate is found without a signal.
    let second = Authority::new();
    Files::put(&directory, &second.issue(&["127.0.0.1"]));
    let second_file = certificate_of(&second, &directory);
    until("the new certificate is shown", TIMEOUT, async || {
        get(&base, "/health/live", &second_file).await.is_ok()
    })
    .await;
    assert!(system.is_running(Role::Up.into()));
    system.stop().await;
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_in_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let issued = Authority::new().issue(&["127.0.0.1"]);
    let files = Files::put(directory.path(), &issued);
    let refused = |settings: &[(&'static str, String)]| {
        let mut command = binary();
        command.arg("up").env("TASKLEDGER_DATA_DIR", directory.path().join("data"));
        command.env("TASKLEDGER_LISTEN", "127.0.0.1:0").env("TASKLEDGER_ADMIN_LISTEN", "127.0.0.1:0");
        let output = command.envs(settings.iter().cloned()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let [certificate, key] = files.settings();
    let said = refused(std::slice::from_ref(&certificate));
    assert!(said.contains("but not TASKLEDGER_TLS_KEY"), "{said}");
    let said = refused(std::slice::from_ref(&key));
    assert!(said.contains("but not TASKLEDGER_TLS_CERTIFICATE"), "{said}");
    let both = [certificate, key];
    files.set_mode(0o644);
    let said = refused(&both);
    assert!(said.contains("chmod 600"), "{said}");
    files.set_mode(0o600);
    fs::write(&files.key, Authority::new().issue(&["127.0.0.1"]).key).unwrap();
    let said = refused(&both);
    assert!(said.contains("cannot be used together"), "{said}");
    assert!(!said.contains("PRIVATE KEY"), "{said}");
}

/// A system whose roles use this certificate towards the gateway, which trusts `believed`.
async fn secured_inside(issued: &Issued, believed: &Authority, directory: &Path) -> System {
    let files = Files::put(directory, issued);
    let mut system = System::launched_as(Deployment::Servers, 1, async |_, _| {
        let of_role = |role| (role, files.settings().to_vec());
        BTreeMap::from([Role::Auth, Role::CommandApi, Role::QueryApi].map(of_role))
    })
    .await;
    for name in ["TASKLEDGER_AUTH_URL", "TASKLEDGER_COMMAND_API_URL", "TASKLEDGER_QUERY_API_URL"] {
        let url = system.setting(name).replace("http:", "https:");
        system.set(name, url);
    }
    let authority = certificate_of(believed, directory);
    system.set("TASKLEDGER_UPSTREAM_CA", authority.display().to_string());
    system.kill(Role::Gateway);
    system.launch(Role::Gateway);
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_serve_the_gateway_over_tls_on_postgres_and_rabbitmq() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let mut system = secured_inside(&authority.issue(&["127.0.0.1"]), &authority, directory.path()).await;
    system.ready().await;
    let ada = Person::join(&system.base, "ada").await;
    let task = ada.post("/tasks", json!({"title": "Over TLS"})).await.expect(201);
    let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
    ada.get(&path).await.expect(200);
    assert_eq!(task.header("strict-transport-security"), "", "the gateway is not served over TLS");
    // The roles refuse clients without TLS.
    let role = system.setting("TASKLEDGER_QUERY_API_URL").replace("https:", "http:");
    assert_eq!(reqwest::get(format!("{role}/tasks")).await.unwrap().status(), 400);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_with_a_wrong_name_or_authority_is_not_believed_on_postgres_and_rabbitmq() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    for (issued, believed, reason) in [
        (authority.issue(&["elsewhere.example"]), &authority, "not valid for"),
        (authority.issue(&["127.0.0.1"]), &Authority::new(), "UnknownIssuer"),
    ] {
        let mut system = secured_inside(&issued, believed, directory.path()).await;
        until("the gateway says why it is not ready", TIMEOUT, async || {
            system.admin_text(Role::Gateway.into(), "/health/ready").await.contains(reason)
        })
        .await;
        let answer = reqwest::get(format!("{}/.well-known/jwks.json", system.base)).await.unwrap();
        assert_eq!(answer.status(), 503);
        system.clean().await;
    }
}

#[tokio::test]
async fn a_role_at_https_without_anybody_to_believe_stops_the_start_on_rabbitmq() {
    let output = binary()
        .arg("gateway")
        .env("AMQP_URL", crate::support::amqp_url())
        .env("TASKLEDGER_BUS_NAMESPACE", "test-tls-start")
        .env("TASKLEDGER_AUTH_URL", "https://auth.example")
        .env("TASKLEDGER_LISTEN", "127.0.0.1:0")
        .env("TASKLEDGER_ADMIN_LISTEN", "127.0.0.1:0")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("TASKLEDGER_UPSTREAM_CA"), "{said}");
}
