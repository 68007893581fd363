//! The role starts the relay. What the relay does is tested in its own crate.

use serde_json::json;

use super::support::{App, Stage, eventually};

#[tokio::test]
async fn what_a_command_appends_is_published() {
    let stage = Stage::sqlite().await;
    let app = App::start(&stage).await;
    let reply = app.post("/tasks").json(json!({"title": "a"})).await;
    assert_eq!(reply.status, 201);
    eventually("it is published", async || stage.bus.published_positions() == [1]).await;
    assert_eq!(app.metric("taskledger_relay_active").await, 1.0);
}
