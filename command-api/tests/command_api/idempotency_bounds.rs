//! The data stored for `Idempotency-Key` is limited for each person.

use command_api::{
    handling::IdempotencyKey,
    idempotency::{Claim, IdempotencyError, IdempotencyKeys, Keyed, RequestHash},
};
use database::Database;
use events::{TaskId, UserId};
use serde_json::{Map, json};
use uuid::Uuid;

use super::{
    idempotency::{age_keys, same_answer},
    support::{App, Footing, Stage, on_both_footings, user},
};

async fn stored_bytes(operations: &Database) -> i64 {
    let row = operations
        .fetch_optional(
            "SELECT coalesce(sum(length(coalesce(response, '')) + length(coalesce(progress, '')) \
                + length(coalesce(tasks_before, ''))), 0) AS bytes FROM idempotency_keys",
            &[],
        )
        .await
        .unwrap();
    row.unwrap().integer("bytes").unwrap()
}

async fn large_answers_are_kept_in_a_few_bytes(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let tags: Vec<String> = (0..20).map(|n| format!("{n:02}{}", "🦀".repeat(48))).collect();
    let fat = json!({"title": "🦀".repeat(200), "description": "🦀".repeat(10_000), "tags": tags});
    let path = app.post("/tasks").key("create").json(fat.clone()).await.header("location").to_owned();
    let id = path.strip_prefix("/tasks/").unwrap();
    let commands: Vec<_> = (0..100).map(|_| json!({"op": "update", "id": id})).collect();
    let batch = |key: &str| app.post("/tasks/batch").key(key).json(json!({"commands": commands}));
    let first = batch("a").await;
    assert!(first.text.len() > 4_000_000, "{}", first.text.len());
    for key in ["b", "c", "d"] {
        batch(key).await.results(&[200; 100]);
    }
    let bytes = stored_bytes(&app.operations).await;
    assert!(bytes < 5 * 4_096, "{bytes} bytes");

    // The whole answer is repeated, even after the task has changed.
    same_answer(&first, &batch("a").await);
    app.patch(&path).json(json!({"description": null, "tags": ["x"]})).await.is_task(200, 3);
    same_answer(&first, &batch("a").await);
    app.stop().await;
    let app = App::start(&stage).await;
    let again = app.post("/tasks/batch").key("a").json(json!({"commands": commands}));
    same_answer(&first, &again.await);
    let created = app.post("/tasks").key("create").json(fat.clone()).await;
    created.is_task(201, 1);
    assert_eq!(created.body["description"], fat["description"]);
    assert_eq!(created.body["tags"], fat["tags"]);
}

async fn problems_are_kept_in_a_few_bytes(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    let id = path.strip_prefix("/tasks/").unwrap();
    let invalid =
        json!({"op": "create", "title": "", "due": "soon", "tags": ["a", "a", "", "b", "b"], "x": 1});
    let refused = json!({"op": "reopen", "id": id, "if_match": 7});
    let commands: Vec<_> = (0..50).flat_map(|_| [invalid.clone(), refused.clone()]).collect();
    let batch = || {
        app.post("/tasks/batch")
            .key("k")
            .header("x-request-id", "request")
            .json(json!({"commands": commands}))
    };
    let first = batch().await;
    let statuses: Vec<u16> = (0..50).flat_map(|_| [422, 412]).collect();
    first.results(&statuses);
    let bytes = stored_bytes(&app.operations).await;
    assert!(bytes < 8_192, "{bytes} bytes");
    app.post(&format!("{path}/start")).await.is_task(200, 2);
    same_answer(&first, &batch().await);
}

/// A request of `owner` with the key `key`.
async fn claim(keys: &IdempotencyKeys, owner: UserId, key: &str) -> Result<Claim, IdempotencyError> {
    claim_about(keys, owner, key, "[]").await
}

/// The same, for tasks in the states `before`.
async fn claim_about(
    keys: &IdempotencyKeys,
    owner: UserId,
    key: &str,
    before: &str,
) -> Result<Claim, IdempotencyError> {
    let request = Keyed {
        owner,
        key: &IdempotencyKey::parse(key.as_bytes()).unwrap(),
        hash: RequestHash::new("POST", "/tasks", b"", &Map::new()),
        task: TaskId(Uuid::now_v7()),
        before: before.to_owned(),
    };
    let turn = keys.turn(request.owner, request.key).await?;
    keys.claim(request, turn).await
}

async fn keys_of_one_person_have_a_bound(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let keys = IdempotencyKeys::new(app.operations.clone(), 4_096);
    let mut used = 0;
    let refused = loop {
        match claim(&keys, user(1), &format!("k{used}")).await {
            Ok(Claim::Run(lease)) => {
                keys.complete(&lease, &"x".repeat(100), true).await.unwrap();
                used += 1;
                assert!(used < 100, "there is no bound");
            }
            Ok(Claim::Answered(_)) => panic!("a new key has no answer"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, IdempotencyError::TooMany), "{refused:?}");
    assert!(used > 5);
    // Others have their own quota, and stored answers are still repeated.
    claim(&keys, user(2), "k").await.unwrap();
    let answered = claim(&keys, user(1), "k0").await.unwrap();
    assert!(matches!(answered, Claim::Answered(_)));
    // Another process counts the same.
    let other = IdempotencyKeys::new(app.operations.clone(), 4_096);
    assert!(matches!(claim(&other, user(1), "new").await, Err(IdempotencyError::TooMany)));
    // Keys that are older than promised are deleted.
    age_keys(&app, 24 * 3_600 + 1).await;
    let other = IdempotencyKeys::new(app.operations.clone(), 4_096);
    assert!(matches!(claim(&other, user(1), "new").await, Ok(Claim::Run(_))));
}

/// Requests without an answer keep the states of their tasks.
async fn keys_without_an_answer_have_the_same_bound(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let (bound, before) = (100_000, "x".repeat(10_000));
    let keys = IdempotencyKeys::new(app.operations.clone(), bound);
    let mut claimed = 0;
    while let Ok(Claim::Run(_)) = claim_about(&keys, user(1), &format!("k{claimed}"), &before).await {
        claimed += 1;
        assert!(claimed < 50, "there is no bound");
    }
    assert_eq!(claimed, 10);
    let bytes = stored_bytes(&app.operations).await;
    assert!(bytes <= 110_000, "{bytes} bytes");
    // Another process counts the same.
    let other = IdempotencyKeys::new(app.operations.clone(), bound);
    let refused = claim(&other, user(1), "new").await;
    assert!(matches!(refused, Err(IdempotencyError::TooMany)), "{refused:?}");
}

/// The states of the tasks are deleted when there is an answer, and do not count any more.
async fn what_is_replaced_by_an_answer_makes_room(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    let keys = IdempotencyKeys::new(app.operations.clone(), 50_000);
    let before = "x".repeat(10_000);
    for n in 0..50 {
        let claimed = claim_about(&keys, user(1), &format!("k{n}"), &before).await;
        let Ok(Claim::Run(lease)) = claimed else {
            panic!("{n}: {claimed:?}");
        };
        keys.release(&lease, Some(&"y".repeat(1_000))).await.unwrap();
        drop(lease);
        let again = claim_about(&keys, user(1), &format!("k{n}"), &before).await;
        let Ok(Claim::Run(lease)) = again else {
            panic!("{n}: {again:?}");
        };
        assert_eq!(lease.progress.as_ref().map(String::len), Some(1_000));
        keys.complete(&lease, "done", true).await.unwrap();
    }
}

async fn too_many_keys_are_too_many_requests(footing: Footing) {
    let stage = Stage::new(footing).await;
    let app = App::start(&stage).await;
    app.operations
        .execute(
            "INSERT INTO idempotency_keys (owner, key, request_hash, task_id, response, leased_until, created_at) \
             VALUES ($1, 'huge', $2, $3, $4, 0, $5)",
            &[
                user(1).0.into(),
                vec![0_u8; 32].into(),
                Uuid::now_v7().into(),
                "x".repeat(33 << 20).into(),
                runtime::Clock::now(&*stage.clock).as_micros().into(),
            ],
        )
        .await
        .unwrap();
    let create = |n: u128| app.post("/tasks").by(user(n)).json(json!({"title": "a"}));
    let reply = create(1).key("k").await;
    reply.is_problem(429, "rate-limited");
    assert!(reply.header("retry-after").parse::<u32>().unwrap() > 0);
    create(1).await.is_task(201, 1);
    create(2).key("k").await.is_task(201, 1);
}

on_both_footings!(
    large_answers_are_kept_in_a_few_bytes,
    problems_are_kept_in_a_few_bytes,
    keys_of_one_person_have_a_bound,
    keys_without_an_answer_have_the_same_bound,
    what_is_replaced_by_an_answer_makes_room,
    too_many_keys_are_too_many_requests,
);
