//! The errors at the start about the server, the user and the connection string, and the ways to connect to a server.

use event_store::{OpenError, StoreError};
use kurrentdb_stand_in::{Behaviour, StandIn};

use super::{
    conformance::{event, events, stream, whole_log},
    open, url,
};

/// A certificate for `localhost` and `127.0.0.1` with its key, issued by the authority of `AUTHORITY`. For tests
/// only.
const CERTIFICATE: &str = include_str!("tls/server.pem");
const KEY: &str = include_str!("tls/server.key");
const AUTHORITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kurrentdb/tls/authority.pem");

async fn refusal(url: &str) -> String {
    match event_store::open(url, 1).await {
        Err(OpenError::Url { reason, .. }) => reason,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{url} was opened"),
    }
}

fn guarded() -> Behaviour {
    Behaviour { user: Some(("taskledger".to_owned(), "p@ss:w/ord".to_owned())), ..Behaviour::default() }
}

#[tokio::test]
async fn missing_server_is_named() {
    let mut server = StandIn::start();
    server.stop();
    let url = format!("esdb://admin:s3cret@{}?tls=false&defaultDeadline=500", server.address());
    let Err(OpenError::Url { url, reason }) = event_store::open(&url, 1).await else {
        panic!("there is no server");
    };
    let masked = format!("esdb://admin:***@{}?tls=false&defaultDeadline=500", server.address());
    assert_eq!(url, masked);
    assert!(reason.starts_with("there is no answer"), "{reason}");
}

#[tokio::test]
async fn wrong_passwords_and_missing_rights_are_said_at_the_start() {
    let server = StandIn::with(guarded());
    let at = format!("{}?tls=false", server.address());
    let url = format!("esdb://taskledger:p%40ss%3Aw%2Ford@{at}");
    let store = event_store::open(&url, 1).await.unwrap();
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();

    let reason = refusal(&format!("esdb://taskledger:wrong@{at}")).await;
    assert!(reason.contains("password is wrong"), "{reason}");
    server.deny(false, true);
    assert!(refusal(&url).await.contains("may not read $all"), "{}", refusal(&url).await);
    server.deny(true, false);
    assert!(refusal(&url).await.contains("may not append"), "{}", refusal(&url).await);
    let result = store.can_append().await;
    assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    server.deny(false, false);
    store.can_append().await.unwrap();
}

/// Found through a cluster's gossip, as every node would be, and by all addresses of a name.
#[tokio::test]
async fn cluster_is_discovered() {
    let server = StandIn::cluster(Behaviour::default(), 3);
    server.elect(Some(2));
    for (index, host) in server.addresses().iter().enumerate() {
        for host in [host.to_string(), format!("localhost:{}", host.port())] {
            let url = format!("kurrentdb+discover://{host}?tls=false");
            let store = event_store::open(&url, 1).await.unwrap();
            let name = format!("task-{index}-{host}");
            store.append(&stream(&name), 0, events(1)).await.unwrap();
        }
    }
    // A node of a cluster that is asked directly names the leader.
    assert_eq!(whole_log(&*open(&server).await).await.len(), 6);
}

#[tokio::test]
async fn connections_can_be_secured() {
    let server =
        StandIn::with(Behaviour { tls: Some((CERTIFICATE.to_owned(), KEY.to_owned())), ..guarded() });
    let port = server.address().port();
    for host in ["localhost", "127.0.0.1"] {
        for scheme in ["esdb", "esdb+discover"] {
            let url = format!("{scheme}://taskledger:p%40ss%3Aw%2Ford@{host}:{port}?tlsCAFile={AUTHORITY}");
            let store = event_store::open(&url, 1).await.unwrap();
            store.can_append().await.unwrap();
        }
    }
    for (url, expected) in [
        // Another authority, a name that the certificate does not have, and no encryption at all.
        (format!("esdb://localhost:{port}?defaultDeadline=500"), "certificate"),
        (format!("esdb://localhost.localdomain:{port}?tlsCAFile={AUTHORITY}&defaultDeadline=500"), ""),
        (format!("esdb://localhost:{port}?tls=false&defaultDeadline=500"), ""),
    ] {
        let reason = refusal(&url).await;
        assert!(reason.starts_with("there is no answer"), "{reason}");
        assert!(reason.contains(expected), "{reason}");
    }
}

/// Refused before sending, by the known limit, or by the server if its limit is smaller.
#[tokio::test]
async fn appends_beyond_the_servers_bound_are_refused() {
    let server = StandIn::with(Behaviour { max_append_bytes: 100_000, ..Behaviour::default() });
    let known = format!("{}&maxAppendSize=100000", url(&server));
    for (url, is_sent) in [(url(&server), true), (known, false)] {
        let store = event_store::open(&url, 1).await.unwrap();
        let large = (0..3).map(|_| event(vec![b' '; 50_000])).collect();
        match store.append(&stream("task-1"), 0, large).await {
            Err(StoreError::TooLarge { bytes, most }) => {
                assert!(bytes > 150_000 && most == 100_000, "{bytes} {most} {is_sent}");
            }
            other => panic!("{other:?}"),
        }
    }
    let store = open(&server).await;
    let large = vec![event(vec![b' '; 1_100_000])];
    match store.append(&stream("task-1"), 0, large).await {
        Err(StoreError::TooLarge { most, .. }) => assert_eq!(most, 1 << 20),
        other => panic!("{other:?}"),
    }
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
}

/// The limit of newer servers for one event is not the limit of an append.
#[tokio::test]
async fn events_beyond_the_servers_bound_are_refused() {
    let server = StandIn::start();
    let store = open(&server).await;
    server.refuse_as_too_large(1);
    match store.append(&stream("task-1"), 0, events(1)).await {
        Err(StoreError::TooLarge { most, .. }) => assert_eq!(most, 1 << 20),
        other => panic!("{other:?}"),
    }
}

/// Without the positions of events the log cannot be read.
#[tokio::test]
async fn servers_that_are_too_old_are_named() {
    let server = StandIn::with(Behaviour { says_positions: false, ..Behaviour::default() });
    let store = open(&server).await;
    store.append(&stream("task-1"), 0, events(1)).await.unwrap();
    match store.stream_page(&stream("task-1"), 0, 10).await {
        Err(StoreError::Unavailable(reason)) => assert!(reason.to_string().contains("22.6"), "{reason}"),
        other => panic!("{other:?}"),
    }
}
