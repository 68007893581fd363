//! Those who ask the same at the same time: one asks the role for all of them.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use http::StatusCode;
use http_api::HttpService;
use test_support::eventually;
use tokio::{sync::Notify, task::yield_now};

use super::{ANN, Fixture, get, roles, status_of, support::Background};

async fn gated(background: &Background) -> (HttpService, Arc<Fixture>) {
    let fixture = Arc::new(Fixture { gate: Some(Notify::new()), ..Fixture::default() });
    (background.gateway(roles(&fixture)).await, fixture)
}

impl Fixture {
    async fn was_asked(&self, times: usize) {
        eventually("the query API is asked", async || self.asked.load(SeqCst) == times).await;
    }
}

/// The test has one thread, on which all others now run until they wait.
async fn others_run() {
    for _ in 0..1_000 {
        yield_now().await;
    }
}

#[tokio::test]
async fn those_who_ask_the_same_at_once_share_one_question() {
    let background = Background::default();
    let (gateway, fixture) = gated(&background).await;
    let asking: Vec<_> = (0..50)
        .map(|_| {
            let gateway = gateway.clone();
            tokio::spawn(async move { get(&gateway, "/tasks", &[ANN]).await })
        })
        .collect();
    fixture.was_asked(1).await;
    others_run().await;
    fixture.gate.as_ref().unwrap().notify_one();
    let mut shared = 0;
    for response in asking {
        let response = response.await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        shared += usize::from(status_of(&response) == "taskledger; fwd=miss; collapsed");
    }
    assert_eq!(shared, 49);
    assert_eq!(fixture.asked.load(SeqCst), 1);
}

#[tokio::test]
async fn when_the_one_who_asked_hangs_up_another_asks() {
    let background = Background::default();
    let (gateway, fixture) = gated(&background).await;
    let ask_it = || {
        let gateway = gateway.clone();
        tokio::spawn(async move { get(&gateway, "/tasks", &[ANN]).await })
    };
    let first = ask_it();
    fixture.was_asked(1).await;
    let second = ask_it();
    others_run().await;
    first.abort();
    fixture.was_asked(2).await;
    fixture.gate.as_ref().unwrap().notify_waiters();
    assert_eq!(second.await.unwrap().status(), StatusCode::OK);
}
