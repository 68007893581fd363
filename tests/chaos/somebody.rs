//! A person of a fault's own, whose requests go through every gateway in turn while other faults happen.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    harness::{Harness, Turns},
    support::{Answer, Person},
};

/// Time after which a request is sent again. A large batch takes a while.
const TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Somebody<'a> {
    harness: &'a Harness,
    turns: Turns<'a>,
    pub(crate) person: Person,
}

impl<'a> Somebody<'a> {
    /// Registers and signs in.
    pub(crate) async fn join(harness: &'a Harness) -> Self {
        let turns = harness.turns();
        let person = harness
            .recovery
            .persist("somebody registers", async || {
                let gateway = turns.gateway().to_owned();
                let joining = tokio::spawn(async move { Person::join(&gateway, "somebody").await });
                let joined = timeout(TIMEOUT, joining).await.map_err(|late| late.to_string())?;
                joined.map_err(|failure| failure.to_string())
            })
            .await;
        Self { harness, turns, person }
    }

    /// The id of the account.
    pub(crate) async fn id(&self) -> Uuid {
        let who = (Method::GET, "/auth/me");
        let me = self.answered("they ask who they are", &[200], who, None).await;
        me.body["user"]["id"].as_str().unwrap().parse().unwrap()
    }

    /// Sends a request once.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, String> {
        let person = Person { base: self.turns.gateway().to_owned(), ..self.person.clone() };
        let answer = timeout(TIMEOUT, person.try_send(method, path, body, &[])).await;
        answer.map_err(|late| late.to_string())?.map_err(|error| error.to_string())
    }

    /// Repeats a request until the answer has one of `statuses`.
    pub(crate) async fn answered(
        &self,
        what: &str,
        statuses: &[u16],
        (method, path): (Method, &str),
        body: Option<Value>,
    ) -> Answer {
        let attempt = async || {
            let answer = self.try_send(method.clone(), path, body.clone()).await?;
            let status = answer.status.as_u16();
            assert!(status != 500 || statuses.contains(&500), "{what}: {answer:?}");
            match statuses.contains(&status) {
                true => Ok(answer),
                false => Err(format!("{answer:?}")),
            }
        };
        self.harness.recovery.persist(what, attempt).await
    }
}
