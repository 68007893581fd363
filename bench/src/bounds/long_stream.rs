//! Measures requests of a person whose streams have a given length.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use auth_client::messages::{CheckReply, CheckRequest, VERIFY_QUEUE, Verdict};
use bus::{Bus, RabbitBus};
use event_store::EventStore;
use events::{
    AccountEvent, AccountSessionOpened, SessionEvent, SessionId, SessionRefreshed, StreamName, TaskEvent,
    TaskId, TaskRenamed, UserId,
};
use http::Method;
use serde_json::json;

use crate::{client::Person, limits::median, log, system::System};

/// Number of events of one append while a stream is filled.
const STEP: u64 = 1_000;
/// Number of requests of one measurement.
const REQUESTS: usize = 200;
/// The title that each event gives the task.
const NEW_TITLE: &str = "Grow older";

#[derive(Debug, Clone, Copy)]
pub(super) enum Request {
    TokenCheck,
    Login,
    NoOp,
    Refused,
}

impl Request {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::TokenCheck => "a token check that no cache answers, median",
            Self::Login => "a login, median",
            Self::NoOp => "a PATCH that changes nothing, median",
            Self::Refused => "a command that is refused, median",
        }
    }
}

/// A person whose account, session and task have a given number of events. Each login is an event of the account.
pub(super) struct Side {
    person: Person,
    /// The same person with a connection to auth.
    at_auth: Person,
    task: String,
    /// Number of events of the task, which is its version.
    length: u64,
}

impl Side {
    pub(super) async fn make(system: &System, store: &dyn EventStore, length: u64) -> Result<Self> {
        let person = Person::join(&system.front()).await?;
        let owner = UserId(person.id);
        let session: SessionId = person.session_id().await?;
        let answer = person.send(Method::POST, "/tasks", Some(&json!({"title": "Grow old"})), &[]).await?;
        let task = answer.member("/id")?;
        let id: TaskId = task.parse()?;
        let renamed: TaskEvent = TaskRenamed { title: NEW_TITLE.to_owned() }.into();
        grow(store, &StreamName::task(id), length, log::new_event(owner, &renamed)).await?;
        let opened: AccountEvent = AccountSessionOpened { session, closed: Vec::new() }.into();
        grow(store, &StreamName::account(owner), length, log::of(owner, opened.encode())).await?;
        let refreshed: SessionEvent =
            SessionRefreshed { refresh_hash: "0".repeat(64).into(), client: None, used: None }.into();
        grow(store, &StreamName::session(session), length, log::of(owner, refreshed.encode())).await?;
        let at_auth = person.at(&system.address("auth")).await?;
        let person = person.at(&system.address("command-api")).await?;
        Ok(Self { person, at_auth, task, length })
    }

    /// Returns the median in milliseconds.
    pub(super) async fn median(&self, request: Request, bus: &RabbitBus) -> Result<f64> {
        let requests = match request {
            // Most of the time is the password hash.
            Request::Login => REQUESTS / 10,
            _ => REQUESTS,
        };
        let mut took = Vec::with_capacity(requests);
        for _ in 0..requests {
            let started = Instant::now();
            match request {
                Request::TokenCheck => {
                    let token = self.person.tokens().await.access;
                    let question = CheckRequest::Token(token).encode();
                    let reply = bus.request(VERIFY_QUEUE, question, Duration::from_secs(5)).await?;
                    let verdict = CheckReply::decode(&reply)?.verdict;
                    ensure!(matches!(verdict, Verdict::Accepted(_)), "{verdict:?}");
                }
                Request::Login => drop(self.at_auth.log_in().await?),
                Request::NoOp => {
                    let path = format!("/tasks/{}", self.task);
                    let equal = json!({"title": NEW_TITLE});
                    let answer = self.person.send(Method::PATCH, &path, Some(&equal), &[]).await?;
                    let version = answer.headers.get("etag").context("no ETag")?;
                    ensure!(*version == format!("\"{}\"", self.length), "{version:?}");
                }
                Request::Refused => {
                    let path = format!("/tasks/{}/complete", self.task);
                    let headers = [("If-Match", "\"1\"")];
                    let answer = self.person.ask(Method::POST, &path, None, &headers).await?;
                    ensure!(answer.status == 412, "{}", answer.status);
                }
            }
            took.push(started.elapsed().as_secs_f64() * 1_000.0);
        }
        Ok(median(took))
    }
}

/// Appends the same event until the stream has `length` events.
async fn grow(
    store: &dyn EventStore,
    stream: &StreamName,
    length: u64,
    event: events::NewEvent,
) -> Result<()> {
    let mut version = store.stream_head(stream).await?.map_or(0, |head| head.version);
    while version < length {
        let count = STEP.min(length - version);
        let again = || {
            let mut event = event.clone();
            event.id = events::EventId(uuid::Uuid::now_v7());
            event
        };
        let events = std::iter::repeat_with(again).take(usize::try_from(count)?).collect();
        version = store.append(stream, version, events).await?.version;
    }
    Ok(())
}
