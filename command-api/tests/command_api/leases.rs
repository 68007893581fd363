//! One process at a time works on a key, whatever the clocks of the processes say.

use std::{sync::Arc, time::Duration};

use command_api::{
    handling::IdempotencyKey,
    idempotency::{Claim, IdempotencyKeys, Keyed, Lease, RequestHash, Stored},
};
use events::TaskId;
use serde_json::{Map, json};
use tokio::{sync::oneshot, task::JoinSet, time};
use uuid::Uuid;

use super::{
    idempotency::{age_keys, same_answer},
    support::{App, FaultyStore, Footing, Reply, Request, Stage, eventually, on_both_footings, user},
};

async fn claim(keys: &IdempotencyKeys, key: &str) -> Claim {
    let request = Keyed {
        owner: user(1),
        key: &IdempotencyKey::parse(key.as_bytes()).unwrap(),
        hash: RequestHash::new("POST", "/tasks", b"", &Map::new()),
        task: TaskId(Uuid::now_v7()),
        before: "[]".to_owned(),
    };
    let turn = keys.turn(request.owner, request.key).await.unwrap();
    keys.claim(request, turn).await.unwrap()
}

fn lease(claim: Option<Claim>) -> Lease {
    match claim {
        Some(Claim::Run(lease)) => lease,
        other => panic!("no lease: {other:?}"),
    }
}

async fn of_those_who_find_an_expired_lease_one_takes_it(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    // Each simulates a separate process.
    let process = || Arc::new(IdempotencyKeys::new(app.operations.clone(), u64::MAX));
    let processes: Vec<_> = (0..4).map(|_| process()).collect();
    for round in 0..10 {
        let key = format!("k{round}");
        let first = lease(Some(claim(&process(), &key).await));
        age_keys(&app, 10).await;
        let mut claims = JoinSet::new();
        for keys in &processes {
            let (keys, key) = (Arc::clone(keys), key.clone());
            claims.spawn(async move { claim(&keys, &key).await });
        }
        let second = lease(claims.join_next().await.map(Result::unwrap));
        assert!(second.taken_over);
        assert_eq!(second.task, first.task);
        let keys = process();
        // A process that lost its lease cannot store an answer without effect.
        assert_eq!(keys.complete(&first, "first", false).await.unwrap(), Stored::Not);
        assert_eq!(keys.complete(&second, "second", false).await.unwrap(), Stored::Ours);
        while let Some(other) = claims.join_next().await.map(Result::unwrap) {
            assert!(
                matches!(&other, Claim::Answered(answer) if answer == "second"),
                "two have the lease: {other:?}"
            );
        }
    }
}

async fn clocks_that_are_wrong_by_days_change_nothing(footing: Footing) {
    let stage = Stage::new(footing).await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let (one, two) = (App::start_on(&stage, store.clone()).await, App::start(&stage).await);
    let create = |app: &App, key: &str| app.post("/tasks").key(key).json(json!({"title": "a"}));
    for (key, seconds) in [("ahead", 3 * 86_400), ("back", -6 * 86_400)] {
        let (release, held) = oneshot::channel();
        *store.hold_next_answer.lock().unwrap() = Some(held);
        let before = two.store.head().await.unwrap();
        let slow = tokio::spawn(create(&one, key).send());
        eventually("the task is in the log", async || two.store.head().await.unwrap() > before).await;
        stage.clock.advance(seconds);
        // A key in use is neither deleted nor taken over too early, and is not kept longer either.
        let deleted = command_api::idempotency::clean_up(&two.operations).await.unwrap();
        assert_eq!(deleted, 0);
        let duplicate = tokio::spawn(create(&two, key).send());
        release.send(()).unwrap();
        let slow = slow.await.unwrap();
        slow.is_task(201, 1);
        same_answer(&slow, &duplicate.await.unwrap());
        assert_eq!(two.store.head().await.unwrap(), before + 1);
    }
}

on_both_footings!(
    of_those_who_find_an_expired_lease_one_takes_it,
    clocks_that_are_wrong_by_days_change_nothing,
);

/// Lets half a minute pass, in steps that are shorter than the time limit of a statement, and returns the reply.
async fn reply_within_half_a_minute(request: Request) -> Reply {
    let request = tokio::spawn(request.send());
    for _ in 0..15 {
        time::pause();
        time::advance(Duration::from_secs(2)).await;
        time::resume();
        time::sleep(Duration::from_millis(300)).await;
    }
    time::timeout(Duration::from_secs(10), request).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_request_that_loses_each_of_its_leases_ends() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    // Another process has each lease as soon as there is one, and loses it, too.
    for (name, event) in [("insert", "INSERT"), ("update", "UPDATE OF lease")] {
        let trigger = format!(
            "CREATE TRIGGER lose_after_{name} AFTER {event} ON idempotency_keys WHEN new.response IS NULL BEGIN \
             UPDATE idempotency_keys SET lease = 'another', leased_until = 0 \
             WHERE owner = new.owner AND key = new.key; END"
        );
        app.operations.execute(&trigger, &[]).await.unwrap();
    }
    let reply = reply_within_half_a_minute(app.patch(&path).key("k").json(json!({}))).await;
    reply.is_problem(503, "unavailable");
    assert!(reply.text.contains("is still being worked on"), "{}", reply.text);
}

#[tokio::test]
async fn a_request_whose_key_is_neither_new_nor_known_ends() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let trigger = "CREATE TRIGGER ignore BEFORE INSERT ON idempotency_keys BEGIN SELECT RAISE(IGNORE); END";
    app.operations.execute(trigger, &[]).await.unwrap();
    let reply = reply_within_half_a_minute(app.patch(&path).key("k").json(json!({}))).await;
    reply.is_problem(503, "unavailable");
    assert!(reply.text.contains("is still being worked on"), "{}", reply.text);
}
