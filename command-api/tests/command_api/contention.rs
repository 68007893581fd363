//! Many commands at once, also in several processes.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::json;

use super::support::{App, Cost, FaultyStore, Footing, Stage, eventually, on_both_footings};

async fn replicas_agree(footing: Footing) {
    let stage = Stage::new(footing).await;
    let (one, two) = (App::start(&stage).await, App::start(&stage).await);
    let path = one.task().await;
    // Each remembers the task, so the changes of the other cause conflicts.
    one.post(&format!("{path}/start")).await.is_task(200, 2);
    two.post(&format!("{path}/complete")).await.is_task(200, 3);
    one.post(&format!("{path}/start")).await.is_problem(409, "illegal-transition");
    two.post(&format!("{path}/reopen")).await.is_task(200, 4);
    one.post(&format!("{path}/start")).await.is_task(200, 5);
    two.post(&format!("{path}/reopen")).await.is_task(200, 6);
    let same = one.post(&format!("{path}/reopen")).await;
    same.is_task(200, 6);
    assert_eq!(two.delete(&path).await.status, 204);
    one.patch(&path).json(json!({"title": "a"})).await.is_problem(404, "not-found");
    two.post(&format!("{path}/restore")).await.is_task(200, 8);
    one.patch(&path).json(json!({"title": "a"})).await.is_task(200, 9);
    two.patch(&path).if_match("\"8\"").json(json!({"title": "b"})).await.is_problem(412, "version-mismatch");
    two.patch(&path).if_match("\"9\"").json(json!({"title": "b"})).await.is_task(200, 10);
}

/// Two replicas take turns on one task: each change meets a conflict, and then reads only the events after the known
/// state.
async fn a_conflict_costs_one_read(footing: Footing) {
    let stage = Stage::new(footing).await;
    let stores = [
        FaultyStore::over(stage.storage.event_store().await),
        FaultyStore::over(stage.storage.event_store().await),
    ];
    let [one, two] = &stores;
    let apps = [App::start_on(&stage, one.clone()).await, App::start_on(&stage, two.clone()).await];
    let path = apps[0].task().await;
    apps[1].patch(&path).json(json!({})).await.is_task(200, 1);
    let mut costs = Vec::new();
    for version in 2..42 {
        let turn = usize::from(version % 2 == 1);
        stores[turn].take_cost();
        let title = json!({"title": format!("title {version}")});
        let reply = apps[turn].patch(&path).json(title).await;
        reply.is_task(200, version);
        costs.push(stores[turn].take_cost());
    }
    let is_cheap = |cost: &&Cost| cost.reads == 1 && cost.events == 2;
    // On a slow machine the log may not be compared for a moment, so that memory is not trusted.
    assert!(costs[2..].iter().filter(is_cheap).count() >= 30, "{costs:?}");
}

async fn everyone_gets_through(footing: Footing) {
    let stage = Stage::new(footing).await;
    let (one, two) = (App::start(&stage).await, App::start(&stage).await);
    let path = one.task().await;
    let replies = join_all((0..64).map(|n| {
        let app = if n % 2 == 0 { &one } else { &two };
        app.patch(&path).json(json!({"title": format!("title {n}")})).send()
    }))
    .await;
    let versions: BTreeSet<u64> = replies
        .iter()
        .map(|reply| {
            assert_eq!(reply.status, 200, "{}", reply.text);
            reply.body["version"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(versions, (2..=65).collect());
    let events = one.events(&path).await;
    assert_eq!(events.len(), 65);
}

async fn one_of_many_with_the_same_version_wins(footing: Footing) {
    let stage = Stage::new(footing).await;
    let (one, two) = (App::start(&stage).await, App::start(&stage).await);
    let path = one.task().await;
    let replies = join_all((0..16).map(|n| {
        let app = if n % 2 == 0 { &one } else { &two };
        app.patch(&path).if_match("\"1\"").json(json!({"title": format!("title {n}")})).send()
    }))
    .await;
    let won = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(won, 1);
    for reply in replies.iter().filter(|reply| reply.status != 200) {
        reply.is_problem(412, "version-mismatch");
        assert_eq!(reply.header("etag"), "\"2\"");
    }
}

/// The log loses a state that this process remembers, and then has another one with the same version.
async fn no_command_is_decided_on_a_state_that_the_log_has_lost(footing: Footing) {
    let stage = Stage::new(footing).await;
    let (one, two) = (App::start(&stage).await, App::start(&stage).await);
    let path = one.task().await;
    one.patch(&path).json(json!({"title": "lost"})).await.is_task(200, 2);
    stage.storage.cut_log(1).await;
    two.patch(&path).json(json!({"title": "real"})).await.is_task(200, 2);
    eventually("it is noticed", async || {
        one.metric("taskledger_command_api_log_replaced_total").await >= 1.0
    })
    .await;
    let completed = one.post(&format!("{path}/complete")).await;
    completed.is_task(200, 3);
    assert_eq!(completed.body["title"], "real");
}

on_both_footings!(
    replicas_agree,
    a_conflict_costs_one_read,
    no_command_is_decided_on_a_state_that_the_log_has_lost,
    everyone_gets_through,
    one_of_many_with_the_same_version_wins
);

#[tokio::test]
async fn what_becomes_of_commands_is_counted() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let path = app.task().await;
    app.post(&format!("{path}/complete")).await;
    app.post(&format!("{path}/complete")).await;
    app.post(&format!("{path}/start")).await;
    for (command, outcome) in
        [("create", "accepted"), ("complete", "accepted"), ("complete", "unchanged"), ("start", "refused")]
    {
        let text = app.request("GET", "/metrics").await.text;
        let line = text
            .lines()
            .find(|line| {
                line.starts_with("taskledger_command_api_commands_total")
                    && line.contains(&format!("command=\"{command}\""))
                    && line.contains(&format!("outcome=\"{outcome}\""))
            })
            .unwrap_or_else(|| panic!("no {command} {outcome} in\n{text}"));
        assert!(line.ends_with(" 1"), "{line}");
    }
}
