//! TLS before HTTP: which handshakes succeed, which fail, and that none waits for ever.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

mod support;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc};

use http_server::ServerOptions;
use rustls::{
    ClientConfig, RootCertStore, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::{TLS12, TLS13},
};
use support::{Client, DEADLINE, SHORT, Server};
use test_support::{Authority, Issued};
use tls::{ServerTls, TlsFiles};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

fn put(directory: &Path, issued: &Issued) -> TlsFiles {
    let files = TlsFiles { certificate: directory.join("certificate.pem"), key: directory.join("key.pem") };
    fs::write(&files.certificate, &issued.certificate).unwrap();
    fs::write(&files.key, &issued.key).unwrap();
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o600)).unwrap();
    files
}

struct Secured {
    server: Server,
    tls: ServerTls,
    authority: Authority,
    directory: tempfile::TempDir,
}

impl Secured {
    async fn start(options: ServerOptions) -> Self {
        let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
        let tls = ServerTls::load(put(directory.path(), &authority.issue(&["localhost"]))).unwrap();
        let options = ServerOptions { tls: Some(tls.clone()), ..options };
        Self { server: Server::start(options).await, tls, authority, directory }
    }

    /// Connects and trusts `authority`.
    async fn connect(
        &self,
        authority: &Authority,
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_slice(authority.certificate().as_bytes()).unwrap();
        roots.add(certificate).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(self.server.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        timeout(DEADLINE, TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }
}

/// Everything up to the end of the connection.
async fn rest(mut stream: TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
const GET_AND_END: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn both_versions_of_tls_serve_many_requests_on_one_connection() {
    let secured = Secured::start(ServerOptions::default()).await;
    for version in [&TLS12, &TLS13] {
        for alpn in [&["http/1.1"][..], &["h2", "http/1.1"], &[]] {
            let mut stream = secured.connect(&secured.authority, version, alpn).await.unwrap();
            let agreed = stream.get_ref().1.alpn_protocol();
            assert_eq!(agreed, (!alpn.is_empty()).then_some(&b"http/1.1"[..]));
            stream.write_all(GET).await.unwrap();
            let echo = format!(
                "POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 60000\r\n\r\n{{\"a\":\"{}\"}}",
                "x".repeat(60_000 - 8)
            );
            // Longer than three records.
            stream.write_all(echo.as_bytes()).await.unwrap();
            stream.write_all(GET_AND_END).await.unwrap();
            let answers = rest(stream).await;
            assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
            assert!(answers.contains("hello"), "{answers}");
            assert!(answers.contains("60000"), "{answers}");
            assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
            assert!(
                !answers.to_lowercase().contains("strict-transport-security"),
                "not of a public address: {answers}"
            );
        }
    }
}

#[tokio::test]
async fn an_answer_larger_than_every_buffer_arrives_whole() {
    let secured = Secured::start(ServerOptions { max_bytes: usize::MAX, ..ServerOptions::default() }).await;
    let mut stream = secured.connect(&secured.authority, &TLS13, &[]).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(rest(stream).await.len() > 64 * 1024 * 1024);
}

#[tokio::test]
async fn whoever_asks_without_tls_is_told_so_and_nothing_is_done() {
    let secured = Secured::start(ServerOptions::default()).await;
    let mut client = Client(TcpStream::connect(secured.server.address).await.unwrap());
    client.send(GET).await;
    client.send(GET).await;
    let mut bytes = Vec::new();
    timeout(DEADLINE, client.0.read_to_end(&mut bytes)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&bytes);
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("begin with https"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "the connection ends: {answer}");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_to_an_end_is_given_up() {
    let secured = Secured::start(ServerOptions { header_timeout: SHORT, ..ServerOptions::default() }).await;
    // Nothing, the beginning of a client hello, and an invalid one.
    for begun in [&b""[..], &[22, 3, 1], &[22, 3, 1, 0, 4, 1, 2, 3, 4]] {
        let mut stream = TcpStream::connect(secured.server.address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut bytes = Vec::new();
        // The server ends it, with an alert or without.
        let _ = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap();
    }
}

#[tokio::test]
async fn handshakes_take_places_and_give_them_up_to_whoever_asks_for_something() {
    let secured = Secured::start(ServerOptions {
        max_connections: 4,
        max_connections_per_address: 4,
        ..ServerOptions::default()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(secured.server.address).await.unwrap();
        stream.write_all(&[22, 3, 1]).await.unwrap();
        silent.push(stream);
    }
    // This handshake needs a place, which one of the others has to give up.
    let mut stream = secured.connect(&secured.authority, &TLS13, &[]).await.unwrap();
    stream.write_all(GET_AND_END).await.unwrap();
    assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK"));
    let mut one = [0];
    let mut closed = 0;
    for stream in &mut silent {
        if let Ok(Ok(0) | Err(_)) = timeout(SHORT, stream.read(&mut one)).await {
            closed += 1;
        }
    }
    assert!((1..4).contains(&closed), "{closed}");
}

#[tokio::test]
async fn who_believes_another_authority_gets_no_connection() {
    let secured = Secured::start(ServerOptions::default()).await;
    let refused = secured.connect(&Authority::new(), &TLS13, &[]).await.unwrap_err();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    let only_h2 = secured.connect(&secured.authority, &TLS13, &["h2"]).await;
    assert!(only_h2.is_err(), "nothing but HTTP/1.1 is spoken here");
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections_and_the_old_ones_go_on() {
    let secured = Secured::start(ServerOptions::default()).await;
    let mut old = secured.connect(&secured.authority, &TLS13, &[]).await.unwrap();
    let another = Authority::new();
    put(secured.directory.path(), &another.issue(&["localhost"]));
    secured.tls.reload();
    let mut new = secured.connect(&another, &TLS13, &[]).await.unwrap();
    for stream in [&mut old, &mut new] {
        stream.write_all(GET_AND_END).await.unwrap();
    }
    for stream in [old, new] {
        assert!(rest(stream).await.starts_with("HTTP/1.1 200 OK"));
    }
    assert!(secured.connect(&secured.authority, &TLS13, &[]).await.is_err());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up_as_without_tls() {
    let secured = Secured::start(ServerOptions {
        stall_timeout: SHORT,
        max_bytes: usize::MAX,
        ..ServerOptions::default()
    })
    .await;
    let mut stream = secured.connect(&secured.authority, &TLS13, &[]).await.unwrap();
    stream.write_all(b"GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    // It asks for 64 MiB and reads nothing. After the server has gone, only the bytes on their way are left.
    let gone = timeout(DEADLINE, async {
        let (mut reader, mut writer) = tokio::io::split(stream);
        while writer.write_all(b"\r\n").await.is_ok() && writer.flush().await.is_ok() {
            tokio::time::sleep(SHORT).await;
        }
        let mut bytes = Vec::new();
        let _ = reader.read_to_end(&mut bytes).await;
        bytes
    });
    let bytes = gone.await.unwrap();
    assert!(bytes.starts_with(b"HTTP/1.1 200 OK"), "it had begun");
    assert!(bytes.len() < 64 * 1024 * 1024, "{}", bytes.len());
}

#[tokio::test]
async fn stopping_waits_for_the_request_in_flight_and_for_no_handshake() {
    let secured = Secured::start(ServerOptions::default()).await;
    let mut stream = secured.connect(&secured.authority, &TLS13, &[]).await.unwrap();
    let _silent = TcpStream::connect(secured.server.address).await.unwrap();
    stream.write_all(b"GET /gate HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    secured.server.begun.notified().await;
    secured.server.stop.cancel();
    secured.server.gate.notify_one();
    assert!(rest(stream).await.contains("through"));
    timeout(DEADLINE, secured.server.task).await.unwrap().unwrap();
}
