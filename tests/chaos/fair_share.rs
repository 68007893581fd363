//! A greedy account beside an honest one. Appends are held back until those of both wait, and the log then tells how
//! many of the greedy one came first. No duration is measured: only the order and the number of events.

use std::{error::Error, time::Duration};

use event_store::StoreError;
use events::{RecordedEvent, Timestamp, UserId};
use reqwest::Method;
use runtime::{Clock as _, SystemClock};
use serde_json::{Value, json};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    harness::Harness,
    held_appends::held_back,
    somebody::Somebody,
    support::{Answer, Person},
};

/// Number of batches that the greedy account sends at once.
const BATCHES: usize = 12;
/// Number of batches of one account that run at the same time, as the contract says.
const BATCHES_AT_ONCE: usize = 2;
/// Number of commands in a batch.
const COMMANDS: usize = 20;
/// How much longer the appends are held back at each attempt, between one account and the next.
const STEP: Duration = Duration::from_millis(300);
/// Time after which a request counts as lost.
const TIMEOUT: Duration = Duration::from_secs(20);

type Failure = Box<dyn Error + Send + Sync>;

/// Somebody with an account, who sends to one process.
struct Account {
    id: UserId,
    person: Person,
}

/// What waited while appends were held back.
struct Queue {
    /// Number of events of the greedy account that waited when the honest one came.
    waiting: usize,
    /// How many events of the greedy account were appended before that of the honest one.
    before: usize,
}

/// Checks that the honest account does not wait for all that the greedy one has sent before, and that only a few
/// batches of the greedy one run.
pub(crate) async fn everybody_has_a_share(harness: &Harness) {
    // Appends to the stand-in cannot be held back.
    if harness.is_on_kurrentdb {
        return;
    }
    let front = harness.command_apis().await.swap_remove(0);
    let join = || Account::join(harness, &front);
    let (first, greedy, honest) = tokio::join!(join(), join(), join());
    let mut pause = Duration::ZERO;
    let Queue { waiting, before } = harness
        .recovery
        .persist("the appends of two accounts wait", async || {
            pause += STEP;
            queue(harness, [&first, &greedy, &honest], pause).await
        })
        .await;
    assert!(waiting <= BATCHES_AT_ONCE * COMMANDS, "{waiting} commands of a greedy account run at once");
    assert!(
        before <= waiting / 2,
        "an honest account waits for {before} of {waiting} events of a greedy one"
    );
}

/// Lets one append of the first account begin, and those of the others wait behind it. Fails if they were too late.
async fn queue(
    harness: &Harness,
    [first, greedy, honest]: [&Account; 3],
    pause: Duration,
) -> Result<Queue, Failure> {
    let store = &harness.stores().store;
    let floor = store.head().await?;
    let task = || json!({"title": "one"});
    let batch = json!({"commands": vec![json!({"op": "create", "title": "many"}); COMMANDS]});
    let (singles, batches, released) = held_back(harness, async {
        let mut singles = vec![first.send("/tasks", task())];
        sleep(pause).await;
        let batches: Vec<_> = (0..BATCHES).map(|_| greedy.send("/tasks/batch", batch.clone())).collect();
        sleep(pause).await;
        singles.push(honest.send("/tasks", task()));
        sleep(pause).await;
        (singles, batches, SystemClock.now())
    })
    .await?;
    for sent in singles {
        let answer = answered(sent).await?;
        if answer.status != 201 {
            return Err(format!("{answer:?}").into());
        }
    }
    for sent in batches {
        answered(sent).await?;
    }
    let log = log_after(harness, floor).await?;
    let of = |account: &Account| {
        let id = account.id;
        log.iter().filter(move |event| event.metadata.subject == id)
    };
    let (Some(first), Some(honest)) = (of(first).next(), of(honest).next()) else {
        return Err("an append is missing".into());
    };
    let waiting: Vec<&RecordedEvent> =
        of(greedy).filter(|event| event.recorded_at < honest.recorded_at).collect();
    // Each append was made, and then had half of a pause to get into the queue.
    let half = i64::try_from(pause.as_micros() / 2)?;
    let in_time =
        |event: &RecordedEvent, next: Timestamp| event.recorded_at.as_micros() + half < next.as_micros();
    let begun = waiting.iter().map(|event| event.recorded_at).min();
    let are_in_time = begun.is_some_and(|begun| in_time(first, begun))
        && waiting.iter().all(|event| in_time(event, honest.recorded_at))
        && in_time(honest, released);
    if !are_in_time || waiting.len() < COMMANDS {
        return Err(format!("too late: {} events wait", waiting.len()).into());
    }
    let before = waiting.iter().filter(|event| event.position < honest.position);
    Ok(Queue { waiting: waiting.len(), before: before.count() })
}

/// The readable events after a position.
async fn log_after(harness: &Harness, position: u64) -> Result<Vec<RecordedEvent>, StoreError> {
    const PAGE: usize = 1_000;
    let page = harness.stores().store.log_page(position, PAGE).await?;
    Ok(page.entries.into_iter().flatten().collect())
}

async fn answered(sent: JoinHandle<Result<Answer, reqwest::Error>>) -> Result<Answer, Failure> {
    Ok(timeout(TIMEOUT, sent).await???)
}

impl Account {
    /// Registers, and sends a first command, after which nothing has to be looked up for the next ones.
    async fn join(harness: &Harness, front: &str) -> Self {
        let somebody = Somebody::join(harness).await;
        let account = Self {
            id: UserId(somebody.id().await),
            person: Person { base: front.to_owned(), ..somebody.person },
        };
        harness
            .recovery
            .until("somebody creates a task", async || {
                let created = answered(account.send("/tasks", json!({"title": "first"}))).await;
                created.is_ok_and(|answer| answer.status == 201)
            })
            .await;
        account
    }

    fn send(&self, path: &'static str, body: Value) -> JoinHandle<Result<Answer, reqwest::Error>> {
        let person = self.person.clone();
        tokio::spawn(async move { person.try_send(Method::POST, path, Some(body), &[]).await })
    }
}
