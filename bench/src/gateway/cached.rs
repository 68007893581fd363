//! Compares the first page of a person's tasks from the gateway's cache with the same request at the query API.

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::{second_gateway::CONNECTIONS, wrk};
use crate::{
    client::Person,
    limits::{Ratio, Wanted},
    system::System,
};

const TASKS: usize = 50;

pub(super) async fn run(system: &System, rounds: usize, span: Duration) -> anyhow::Result<()> {
    let person = Person::join(&system.front()).await?;
    for number in 0..TASKS {
        let body = json!({"title": format!("Task number {number}"), "due": "2030-01-01", "tags": ["bench"]});
        person.send(Method::POST, "/tasks", Some(&body), &[]).await?;
    }
    let headers = [format!("Authorization: Bearer {}", person.tokens().await.access)];
    let (gateway, query_api) = (system.front(), system.address("query-api"));
    let mut ratio = Ratio::default();
    for _ in 0..rounds {
        let limit = wrk::ask(&query_api, "/tasks", &headers, None, span).await?;
        let measured = wrk::ask(&gateway, "/tasks", &headers, None, span).await?;
        ratio.add(measured.rate, limit.rate);
    }
    ratio.report(&format!("cached list of 50, {CONNECTIONS} conn. | query API"), "/s", Wanted::AtLeast(4.0));
    Ok(())
}
