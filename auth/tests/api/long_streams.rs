//! The cost of a request does not depend on the length of its streams.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use auth_client::{
    VERIFY_QUEUE,
    messages::{CheckReply, CheckRequest, Verdict},
};
use events::{
    AccountEvent, AccountRenamed, AccountSessionOpened, SessionEvent, SessionId, SessionRefreshed, StreamName,
};
use http::Method;
use serde_json::json;
use test_support::{FaultyStore, eventually};

use crate::support::{ADA, App, NEW, PASSWORD};

const LONG: usize = 3_000;

/// The only session of a person.
async fn the_session(app: &App, access: &str) -> SessionId {
    let sessions = app.get_as(access, "/auth/sessions").await;
    sessions.text("/items/0/id").parse().unwrap()
}

async fn read_by<F: Future>(faults: &Arc<FaultyStore>, request: F) -> usize {
    faults.events_read.store(0, Ordering::SeqCst);
    request.await;
    faults.events_read.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_long_stream_costs_no_more_than_a_short_one() {
    let (app, faults) = App::start_faulty().await;
    let (access, refresh) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let session = the_session(&app, &access).await;
    let renamed = |number: usize| {
        let display_name = Some(number.to_string());
        AccountEvent::from(AccountRenamed { display_name }).encode()
    };
    app.append(&StreamName::account(id), id, (0..LONG).map(renamed)).await;
    let refreshed = |number: usize| {
        let refresh_hash = number.to_string().into();
        SessionEvent::from(SessionRefreshed { refresh_hash, client: None, used: None }).encode()
    };
    app.append(&StreamName::session(session), id, (0..LONG).map(refreshed)).await;

    let cold = read_by(&faults, app.me(&access)).await;
    assert!((2 * LONG..3 * LONG).contains(&cold), "each stream is read once: {cold}");
    let last = json!({"display_name": (LONG - 1).to_string()});
    assert_eq!(read_by(&faults, app.me(&access)).await, 0);
    let no_op = app.call(Method::PATCH, "/auth/me").token(&access).json(&last).send();
    assert_eq!(read_by(&faults, no_op).await, 0);
    let list = app.get_as(&access, "/auth/sessions");
    assert_eq!(read_by(&faults, list).await, 0);
    // A token of an older generation: refused, and the session ends.
    let used = read_by(&faults, async { app.refresh(&refresh).await.expect(401, "session-ended") }).await;
    assert!(used <= 2, "{used}");
    assert!(read_by(&faults, async { app.me(&access).await.expect(401, "session-ended") }).await <= 2);
}

/// Each login is an event of the account. A replica that has not read it reads only the events after a snapshot.
#[tokio::test]
async fn an_account_with_many_logins_is_read_from_a_snapshot() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let opened = |_| {
        let session = SessionId(runtime::new_id());
        AccountEvent::from(AccountSessionOpened { session, closed: vec![session] }).encode()
    };
    app.append(&StreamName::account(id), id, (0..LONG).map(opened)).await;
    let cold = async |password: &str| {
        let replica = app.replica(|_, _| {}).await;
        let read = read_by(&faults, async { replica.login(ADA, password).await.expect(200, "") });
        read.await
    };
    // The first one reads all of it, and leaves a snapshot for the others, unless that takes more than a second.
    assert!(cold(PASSWORD).await >= LONG);
    eventually("a snapshot is kept", async || cold(PASSWORD).await < 300).await;
    let operations = &app.dependencies.operations;
    let kept = "SELECT state FROM account_snapshots";
    let row = operations.fetch_optional(kept, &[]).await.unwrap().unwrap();
    assert!(!row.text("state").unwrap().contains("ada"));
    for _ in 0..3 {
        let read = cold(PASSWORD).await;
        assert!(read < 300, "{read}");
    }
    // The state is valid, also when it begins with the snapshot.
    // The session was closed to make room for later ones.
    let changed = app.change_password(&access, PASSWORD, NEW).await;
    changed.expect(401, "session-ended");
    let (access, _) = app.sign_in(ADA).await;
    app.change_password(&access, PASSWORD, NEW).await.expect(204, "");
    let read = cold(NEW).await;
    assert!(read < 300, "{read}");

    // A snapshot that is damaged, or of another history of the log, counts as none.
    let spoilt = "UPDATE account_snapshots SET state = 'nonsense'";
    operations.execute(spoilt, &[]).await.unwrap();
    assert!(cold(NEW).await >= LONG);
    eventually("the next one is kept", async || cold(NEW).await < 300).await;

    // No snapshot of an erased person is left.
    let login = app.login(ADA, NEW).await;
    let access = login.expect(200, "").text("/access_token");
    app.erase_with(&access, NEW).await.expect(204, "");
    assert!(operations.fetch_optional(kept, &[]).await.unwrap().is_none());
}

/// The number of events that a new replica reads for a session is limited, however often it is refreshed.
#[tokio::test]
async fn a_session_that_was_refreshed_without_end_ends_before_its_stream_is_long() {
    let (app, faults) = App::start_faulty().await;
    let (access, first) = app.sign_in(ADA).await;
    let id = app.id_of(&access).await;
    let session = the_session(&app, &access).await;
    // Two tabs: one goes on and on, and the other comes when the stream has room for one more event.
    let other = app.refresh(&first).await.expect(200, "").text("/refresh_token");
    app.refresh(&first).await.expect(200, "");
    let most = 4_096;
    let refreshed = |number: usize| {
        let refresh_hash = number.to_string().into();
        SessionEvent::from(SessionRefreshed { refresh_hash, client: None, used: Some(1) }).encode()
    };
    app.append(&StreamName::session(session), id, (0..most - 4).map(refreshed)).await;
    let last = app.refresh(&other).await.expect(200, "");
    let cold = app.replica(|_, _| {}).await;
    let read = read_by(&faults, async {
        cold.refresh(&last.text("/refresh_token")).await.expect(401, "token-expired")
    });
    let read = read.await;
    assert!((most..most + 100).contains(&read), "{read}");
    app.me(&last.text("/access_token")).await.expect(401, "session-ended");
}

#[tokio::test]
async fn what_another_replica_appends_is_read_and_nothing_else() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    let other = app.replica(|_, _| {}).await;
    app.me(&access).await.expect(200, "");
    let body = json!({"display_name": "Countess"});
    other.call(Method::PATCH, "/auth/me").token(&access).json(&body).send().await.expect(200, "");
    let read = read_by(&faults, async {
        assert_eq!(app.me(&access).await.text("/user/display_name"), "Countess");
    });
    assert!(read.await <= 4);
}

#[tokio::test]
async fn a_store_that_hangs_frees_the_check_at_its_deadline() {
    let (app, faults) = App::start_faulty().await;
    let (access, _) = app.sign_in(ADA).await;
    assert!(app.background.shut_down(Duration::from_secs(60)).await);
    let small = app.replica(|config, _| config.check_concurrency = 1).await;
    let ask = async || {
        let request = CheckRequest::Token(access.clone()).encode();
        let bus = &small.dependencies.bus;
        let reply = bus.request(VERIFY_QUEUE, request, Duration::from_secs(10)).await;
        reply.map(|reply| CheckReply::decode(&reply).unwrap().verdict)
    };
    eventually("checks are answered", || async { ask().await.is_ok() }).await;
    faults.hangs.store(true, Ordering::SeqCst);
    assert_eq!(ask().await.unwrap(), Verdict::Unavailable);
    faults.hangs.store(false, Ordering::SeqCst);
    assert!(matches!(ask().await.unwrap(), Verdict::Accepted(_)));
}
