//! What has ended is broadcast, also when auth could not do it.

use std::{sync::atomic::Ordering, time::Duration};

use auth_client::{REVOCATIONS, Revocation};
use bus::{Bus as _, Heard, Listener};
use events::{NewEvent, SessionId, StreamName};
use test_support::{Footing, eventually};
use uuid::Uuid;

use super::support::{Fixture, Replica, an_event_about, user};

/// What an auth leaves behind that dies after its append.
#[tokio::test]
async fn what_has_ended_is_told_though_auth_could_not() {
    let fixture = Fixture::new(Footing::Sqlite).await;
    let mut listener = fixture.bus.listen(REVOCATIONS).await.unwrap();
    let replica = fixture.start().await;
    let session = SessionId(Uuid::from_u128(8));
    let mut told = Vec::new();
    for (number, kind) in (1..).zip([
        "session.ended",
        "account.password_changed",
        "account.roles_changed",
        "account.disabled",
        "account.enabled",
        "account.sessions_ended",
        "account.token_revoked",
        "account.password_reset",
        "admins.added",
        "admins.removed",
    ]) {
        let account = user(number);
        let of_account = StreamName::account(account);
        let (stream, revocation) = match kind.split_once('.') {
            Some(("session", _)) => (StreamName::session(session), Revocation::Session(session)),
            Some(("admins", _)) => (StreamName::admins(), Revocation::Account(account)),
            _ => (of_account.clone(), Revocation::Account(account)),
        };
        // What ends nothing is not told.
        for kind in ["account.renamed", kind] {
            let head = replica.store.stream_head(&stream).await.unwrap();
            let version = head.map_or(0, |head| head.version);
            let event = NewEvent { kind: kind.to_owned(), ..an_event_about(account) };
            if kind != "account.renamed" || stream == of_account {
                replica.store.append(&stream, version, vec![event]).await.unwrap();
            }
        }
        assert_eq!(news(&mut *listener, &mut told).await, Heard::Message(revocation.encode()), "{kind}");
    }
}

#[tokio::test]
async fn events_do_not_wait_for_broadcasts_that_never_come_back() {
    const EVENTS: usize = 30;
    let fixture = Fixture::new(Footing::Sqlite).await;
    fixture.bus.broadcasts_hang.store(true, Ordering::SeqCst);
    let replica = fixture.start().await;
    for number in 1..=EVENTS {
        end(&replica, SessionId(Uuid::now_v7())).await;
        fixture.has_published(number).await;
    }
    // Each of them takes a second until it is given up.
    assert!(fixture.bus.broadcasts.load(Ordering::SeqCst) < EVENTS);
    replica.stop().await;
}

/// The events are saved as published, so that the next relay does not read them again.
#[tokio::test]
async fn what_waits_to_be_broadcast_is_told_before_the_relay_stops() {
    let fixture = Fixture::new(Footing::Sqlite).await;
    let mut listener = fixture.bus.listen(REVOCATIONS).await.unwrap();
    let replica = fixture.start().await;
    let sessions = [1, 2, 3].map(|session| SessionId(Uuid::from_u128(session)));
    let [first, others @ ..] = sessions;
    fixture.bus.broadcasts_hang.store(true, Ordering::SeqCst);
    end(&replica, first).await;
    eventually("the first is being broadcast", async || fixture.bus.broadcasts.load(Ordering::SeqCst) == 1)
        .await;
    // It never comes back, and is given up after a second. The others wait for that.
    fixture.bus.broadcasts_hang.store(false, Ordering::SeqCst);
    for session in others {
        end(&replica, session).await;
    }
    fixture.has_published(sessions.len()).await;
    replica.stop().await;
    let told_later = Heard::Message(Revocation::Session(first).encode());
    let mut told = vec![told_later];
    for session in others {
        let heard = news(&mut *listener, &mut told).await;
        assert_eq!(heard, Heard::Message(Revocation::Session(session).encode()));
    }
}

/// What `listener` hears next that was not `told` before: everything is told twice.
async fn news(listener: &mut dyn Listener, told: &mut Vec<Heard>) -> Heard {
    let news = async {
        loop {
            let heard = listener.next().await;
            if !told.contains(&heard) {
                break heard;
            }
        }
    };
    let heard = tokio::time::timeout(Duration::from_secs(10), news).await.unwrap();
    told.push(heard.clone());
    heard
}

/// Appends that a session has ended.
async fn end(replica: &Replica, session: SessionId) {
    let event = NewEvent { kind: "session.ended".to_owned(), ..an_event_about(user(7)) };
    let stream = StreamName::session(session);
    replica.store.append(&stream, 0, vec![event]).await.unwrap();
}
