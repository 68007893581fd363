//! A person who sends as fast as possible does not prevent the commands of others.

use std::{sync::atomic::Ordering, time::Duration};

use futures::{StreamExt, future::join_all, stream::FuturesUnordered};
use serde_json::json;

use super::{
    idempotency::same_answer,
    long_streams::{lengthen, stream},
    support::{App, FaultyStore, Reply, Stage, eventually, user},
};

/// A command that takes longer has been starved.
const SOON: Duration = Duration::from_secs(5);

#[track_caller]
fn is_rate_limited(reply: &Reply) {
    reply.is_problem(429, "rate-limited");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    // Two run and eight wait.
    assert!(reply.header("ratelimit-policy").contains(";q=10;"));
    assert!(reply.header("ratelimit").contains("r=0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_batches_of_one_person_run_and_wait_and_the_rest_is_refused() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let others = app.post("/tasks").by(user(2)).json(json!({"title": "a"})).await;
    let others = others.header("location").strip_prefix("/tasks/").unwrap().to_owned();
    let batch = || {
        app.post("/tasks/batch")
            .json(json!({"commands": [{"op": "create", "title": "a"}, {"op": "create", "title": "b"}]}))
    };
    // No command of this person ends.
    let held = store.appending.write().await;
    let mut greedy: FuturesUnordered<_> = (0..30).map(|_| batch().send()).collect();
    for _ in 0..20 {
        let refused = tokio::time::timeout(SOON, greedy.next()).await.expect("soon");
        is_rate_limited(&refused.unwrap());
    }
    // No body is read before its turn, so this one is not found to be none.
    is_rate_limited(&app.post("/tasks/batch").json(json!([])).await);
    // Meanwhile commands of others end.
    let beside = app
        .post("/tasks/batch")
        .by(user(2))
        .json(json!({"commands": [{"op": "update", "id": others, "title": "a"}]}));
    tokio::select! {
        reply = beside.send() => { reply.results(&[200]); }
        reply = greedy.next() => panic!("unexpected {reply:?}"),
    }
    drop(held);
    let replies: Vec<Reply> = greedy.collect().await;
    assert_eq!(replies.len(), 10);
    for reply in replies {
        reply.results(&[201, 201]);
    }
    batch().await.results(&[201, 201]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_its_turn_until_its_answer_has_been_taken() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let task = app.task().await;
    let id = task.strip_prefix("/tasks/").unwrap();
    let batch = || {
        app.post("/tasks/batch")
            .json(json!({"commands": [{"op": "start", "id": id}, {"op": "start", "id": id}]}))
    };
    let unread = [batch().unread().await, batch().unread().await];
    let mut more: FuturesUnordered<_> = (0..20).map(|_| batch().send()).collect();
    for _ in 0..12 {
        let refused = tokio::time::timeout(SOON, more.next()).await.expect("soon");
        is_rate_limited(&refused.unwrap());
    }
    app.post("/tasks/batch")
        .by(user(2))
        .json(json!({"commands": [{"op": "create", "title": "another's"}]}))
        .await
        .results(&[201]);
    drop(unread);
    let replies: Vec<Reply> = more.collect().await;
    assert_eq!(replies.len(), 8);
    for reply in replies {
        reply.results(&[200, 200]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_requests_with_one_key_get_one_answer_and_leave_the_other_keys_alone() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let create = |key: &str, n: u128| app.post("/tasks").by(user(n)).key(key).json(json!({"title": "a"}));
    let (release, hold) = tokio::sync::oneshot::channel();
    *store.hold_next_answer.lock().unwrap() = Some(hold);
    let mut duplicates: FuturesUnordered<_> = (0..300).map(|_| create("same", 1).send()).collect();
    // The one that works has appended, and waits for the answer. The others wait for it.
    let appended = async {
        while store.hold_next_answer.lock().unwrap().is_some() {
            tokio::select! {
                reply = duplicates.next() => panic!("unexpected {reply:?}"),
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
            }
        }
    };
    tokio::time::timeout(SOON, appended).await.expect("soon");
    // Also those of the same person: whoever waits for an answer does not work.
    let others = join_all((1..10).map(|n| create("other", n).send()));
    tokio::select! {
        others = tokio::time::timeout(Duration::from_secs(3), others) => {
            for reply in others.expect("other keys are starved") {
                reply.is_task(201, 1);
            }
        }
        reply = duplicates.next() => panic!("unexpected {reply:?}"),
    }
    release.send(()).unwrap();
    let answered: Vec<Reply> = duplicates.collect().await;
    assert_eq!(answered.len(), 300);
    answered[0].is_task(201, 1);
    for reply in &answered {
        same_answer(&answered[0], reply);
    }
    assert_eq!(app.store.head().await.unwrap(), 1 + 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn long_reads_of_the_past_leave_room_for_short_ones() {
    const LONG: u64 = 600;
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    let revert = |path: &str, n: u128, version: u64| {
        let request = app.post(&format!("{path}/revert")).by(user(n));
        request.json(json!({"to_version": version})).send()
    };
    let mut paths = Vec::new();
    for n in 1..=4 {
        let create = app.post("/tasks").by(user(n)).json(json!({"title": "a"}));
        let path = create.await.header("location").to_owned();
        lengthen(&*app.store, &path, LONG).await;
        let change = app.patch(&path).by(user(n)).json(json!({}));
        change.await.is_task(200, LONG);
        store.silent.lock().unwrap().push(stream(&path));
        paths.push(path);
    }
    let create = app.post("/tasks").by(user(5)).json(json!({"title": "a"}));
    let short = create.await.header("location").to_owned();
    app.post(&format!("{short}/start")).by(user(5)).await;
    let mut long: FuturesUnordered<_> = (1..).zip(&paths).map(|(n, path)| revert(path, n, LONG)).collect();
    let others = async {
        // Until the long ones have begun.
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::time::timeout(Duration::from_secs(3), revert(&short, 5, 1)).await
    };
    tokio::select! {
        reply = others => reply.expect("soon").is_task(200, 3),
        reply = long.next() => panic!("unexpected {reply:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn very_long_reads_of_the_past_take_turns_with_shorter_ones() {
    let stage = Stage::sqlite().await;
    let store = FaultyStore::over(stage.storage.event_store().await);
    let app = App::start_on(&stage, store.clone()).await;
    // The last one has two pages, the others have far more.
    let mut reverts = Vec::new();
    for (n, length) in (1..).zip([10_000, 10_000, 10_000, 10_000, 600]) {
        let create = app.post("/tasks").by(user(n)).json(json!({"title": "a"}));
        let path = create.await.header("location").to_owned();
        lengthen(&*app.store, &path, length).await;
        let change = app.patch(&path).by(user(n)).json(json!({}));
        change.await.is_task(200, length);
        let revert = app.post(&format!("{path}/revert")).by(user(n));
        reverts.push((length, revert.json(json!({"to_version": length - 1}))));
    }
    *store.stream_page_takes.lock().unwrap() = Duration::from_millis(50);
    store.take_cost();
    let (length, short) = reverts.pop().unwrap();
    let long: Vec<_> =
        reverts.into_iter().map(|(length, revert)| (length, tokio::spawn(revert.send()))).collect();
    eventually("the long reads have begun", async || store.events_read.load(Ordering::SeqCst) > 0).await;
    short.await.is_task(200, length + 1);
    assert!(long.iter().all(|(_, revert)| !revert.is_finished()));
    for (length, revert) in long {
        revert.await.unwrap().is_task(200, length + 1);
    }
}
