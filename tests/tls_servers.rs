//! TLS to PostgreSQL and RabbitMQ: which certificates of these servers the roles accept.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use ::tls::{ServerTls, TlsFiles};
use serde_json::json;
use test_support::{Authority, Issued};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::support::{Deployment, Person, Role, System, amqp_url, binary, free_port, until};

const TIMEOUT: Duration = Duration::from_secs(60);

fn put(directory: &Path, issued: &Issued, authority: &Authority) -> TlsFiles {
    fs::write(directory.join("authority.pem"), authority.certificate()).unwrap();
    let files = TlsFiles { certificate: directory.join("certificate.pem"), key: directory.join("key.pem") };
    fs::write(&files.certificate, &issued.certificate).unwrap();
    fs::write(&files.key, &issued.key).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    files
}

/// The last line of the output of a command that failed.
#[track_caller]
fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let sentence = said.trim_end().lines().last().unwrap().to_owned();
    assert!(sentence.starts_with("taskledger: "), "{said}");
    sentence
}

/// A PostgreSQL server that accepts only TLS connections.
struct Postgres {
    server: Child,
    directory: tempfile::TempDir,
    port: u16,
}

impl Postgres {
    fn start(issued: &Issued, authority: &Authority) -> Self {
        // Where they are missing, ./test does not run this test.
        let programs = programs().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let files = put(directory.path(), issued, authority);
        // The server refuses to run as root.
        let (user, group) = owner();
        for path in [directory.path(), files.certificate.as_path(), files.key.as_path()] {
            chown(path, Some(user), Some(group)).unwrap();
        }
        let data = directory.path().join("data");
        let run = |program: &str| {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(programs.join(program));
            if my_user() != 0 {
                command = Command::new(programs.join(program));
            }
            command.current_dir(directory.path()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = run("initdb")
            .arg("-D")
            .arg(&data)
            .args(["-U", "postgres", "-A", "trust", "--no-sync"])
            .status()
            .unwrap();
        assert!(made.success());
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust\n").unwrap();
        let port = free_port();
        let mut server = run("postgres");
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-k", ""]);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            "ssl=on".to_owned(),
            format!("ssl_cert_file={}", files.certificate.display()),
            format!("ssl_key_file={}", files.key.display()),
        ] {
            server.arg("-c").arg(setting);
        }
        Self { server: server.spawn().unwrap(), directory, port }
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        format!("postgres://postgres@{host}:{}/postgres?{parameters}", self.port)
    }

    /// A URL with which clients check the certificate and the name against this authority.
    fn verified(&self, host: &str, authority: &Path) -> String {
        self.url(host, &format!("sslmode=verify-full&sslrootcert={}", authority.display()))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The signal goes to the server itself and not to the process that started it. It ends its sessions at once.
        let pid = fs::read_to_string(self.directory.path().join("data/postmaster.pid"));
        match pid.ok().as_deref().and_then(|text| text.lines().next()) {
            Some(pid) => drop(Command::new("kill").args(["-s", "INT", pid]).status()),
            None => drop(self.server.kill()),
        }
        let _ = self.server.wait();
    }
}

/// The program directory of the newest installed PostgreSQL.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut programs: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .filter(|programs| programs.join("postgres").exists())
        .collect();
    programs.sort();
    programs.pop()
}

fn my_user() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap())
}

/// The user and group of the server: the current user, or `postgres` if that is root.
fn owner() -> (u32, u32) {
    let id = |what: &str, of: &str| {
        let output = Command::new("id").args([what, of]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
    };
    match my_user() {
        0 => (id("-u", "postgres"), id("-g", "postgres")),
        user => (user, std::os::unix::fs::MetadataExt::gid(&fs::metadata("/proc/self").unwrap())),
    }
}

fn migrate(url: &str) -> Output {
    binary().arg("migrate").env("DATABASE_URL", url).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_spoken_to_over_tls_and_believed_only_if_its_certificate_is_right() {
    let authority = Authority::new();
    let postgres = Postgres::start(&authority.issue(&["127.0.0.1"]), &authority);
    let believed = postgres.directory.path().join("authority.pem");
    let url = postgres.verified("127.0.0.1", &believed);
    until("the server takes connections", TIMEOUT, async || migrate(&url).status.success()).await;

    let said = refusal(&migrate(&postgres.url("127.0.0.1", "sslmode=disable")));
    assert!(said.contains("no encryption"), "the server insists on TLS: {said}");
    let said = refusal(&migrate(&postgres.verified("localhost", &believed)));
    assert!(said.contains("not valid for name"), "{said}");
    let stranger = postgres.directory.path().join("stranger.pem");
    fs::write(&stranger, Authority::new().certificate()).unwrap();
    let said = refusal(&migrate(&postgres.verified("127.0.0.1", &stranger)));
    assert!(said.contains("UnknownIssuer"), "{said}");
    let said = refusal(&migrate(&postgres.verified("127.0.0.1", Path::new("/nowhere/at-all.pem"))));
    assert!(said.contains("No such file"), "{said}");

    let mut system = System::start(Deployment::Embedded).await;
    system.terminate_all();
    system.set("DATABASE_URL", url);
    system.launch(Role::Up);
    system.ready().await;
    let ada = Person::join(&system.base, "ada").await;
    let task = ada.post("/tasks", json!({"title": "Over TLS"})).await.expect(201);
    let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
    ada.get(&path).await.expect(200);
    system.terminate_all();
}

/// Terminates TLS in front of RabbitMQ, as a TLS listener of its own would.
async fn in_front_of_rabbitmq(files: TlsFiles) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = ServerTls::load(files).unwrap();
    let mut config = (*tls.current()).clone();
    config.alpn_protocols.clear();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let url: url::Url = amqp_url().parse().unwrap();
    let broker = (url.host_str().unwrap().to_owned(), url.port().unwrap_or(5672));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                // Clients that trust another authority close the connection.
                if let Ok(mut client) = acceptor.accept(stream).await {
                    let mut broker = TcpStream::connect(broker).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut broker).await;
                }
            });
        }
    });
    port
}

/// The URL of the broker at another local port with TLS.
fn secured(port: u16, host: &str, authority: &Path) -> String {
    let mut url: url::Url = amqp_url().replacen("amqp:", "amqps:", 1).parse().unwrap();
    url.set_port(Some(port)).unwrap();
    url.set_host(Some(host)).unwrap();
    url.query_pairs_mut().append_pair("cacertfile", authority.to_str().unwrap());
    url.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_is_spoken_to_over_tls_and_believed_only_if_its_certificate_is_right() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let files = put(directory.path(), &authority.issue(&["127.0.0.1"]), &authority);
    let port = in_front_of_rabbitmq(files).await;
    let believed = directory.path().join("authority.pem");
    let stranger = directory.path().join("stranger.pem");
    fs::write(&stranger, Authority::new().certificate()).unwrap();
    let gateway = |url: String| {
        let mut command = binary();
        command.arg("gateway").env("AMQP_URL", url).env("TASKLEDGER_BUS_NAMESPACE", "test-tls");
        command.env("TASKLEDGER_LISTEN", "127.0.0.1:0").env("TASKLEDGER_ADMIN_LISTEN", "127.0.0.1:0");
        tokio::task::block_in_place(|| command.output().unwrap())
    };
    let said = refusal(&gateway(secured(port, "127.0.0.1", &stranger)));
    assert!(said.contains("UnknownIssuer") && said.contains("guest:***@"), "{said}");
    let said = refusal(&gateway(secured(port, "localhost", &believed)));
    assert!(said.contains("not valid for name"), "{said}");
    let said = refusal(&gateway(secured(port, "127.0.0.1", Path::new("/nowhere/at-all.pem"))));
    assert!(said.contains("cannot read /nowhere/at-all.pem"), "{said}");

    let mut system = System::prepared(Deployment::Servers).await;
    system.set("AMQP_URL", secured(port, "127.0.0.1", &believed));
    system.launch_all();
    system.ready().await;
    let ada = Person::join(&system.base, "ada").await;
    ada.post("/tasks", json!({"title": "Announced over TLS"})).await.expect(201);
    let tasks = ada.get("/tasks").await.expect(200);
    assert_eq!(tasks.body["items"].as_array().map(Vec::len), Some(1), "{}", tasks.body);
    system.stop().await;
}
