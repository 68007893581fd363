//! PostgreSQL vanishes while a statement runs, so that nothing on the network ends it. Whoever waits for its result is
//! answered within the time that the product promises, and the command can be repeated.

use std::{error::Error, time::Duration};

use reqwest::Method;
use sqlx::{Postgres, Transaction};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use uuid::Uuid;

use crate::{
    harness::Harness,
    somebody::Somebody,
    support::{Answer, Person},
};

const INTERVAL: Duration = Duration::from_millis(50);
/// Other faults may keep the statements from running. Then they are tried again.
const GIVING_UP: Duration = Duration::from_secs(3);
/// Time after which a repeated request is sent again.
const TIMEOUT: Duration = Duration::from_secs(10);

type Requests = JoinSet<Result<Answer, reqwest::Error>>;

/// Somebody's requests, one at each command API, each with a statement that runs until the transaction ends.
struct WaitingStatements {
    transaction: Transaction<'static, Postgres>,
    requests: Requests,
    keys: Vec<String>,
}

/// PostgreSQL vanishes in the middle of a statement of each command API.
pub(crate) async fn postgres_vanishes(harness: &Harness) {
    let somebody = Somebody::join(harness).await;
    let owner = somebody.id().await;
    // There is no such task, so that the command leaves nothing in the log.
    let path = format!("/tasks/{}/complete", Uuid::new_v4());
    let WaitingStatements {
        transaction,
        mut requests,
        keys,
    } = harness
        .recovery
        .persist("statements wait", async || {
            let person = &somebody.person;
            let waiting = WaitingStatements::begin(harness, person, owner, &path);
            timeout(GIVING_UP, waiting)
                .await
                .unwrap_or_else(|late| Err(late.into()))
        })
        .await;
    let system = harness.system.lock().await;
    system.postgres.as_ref().unwrap().vanish().await;
    drop(system);
    harness.recovery.strike();
    // Otherwise another fault has ended this session, and the statements may have gone on before PostgreSQL vanished.
    let has_held = transaction.rollback().await.is_ok();
    let wait = harness.recovery.wait();
    loop {
        match timeout(INTERVAL, requests.join_next()).await {
            Ok(Some(Ok(Ok(answer)))) => {
                if has_held {
                    answer.expect(503);
                }
                break;
            }
            // Its process was killed, or all were.
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => wait.goes_on(|| "a statement that is never answered keeps its command".to_owned()),
        }
    }
    wait.ends(|| "a command whose statement is never answered".to_owned());
    for key in keys {
        harness
            .recovery
            .persist("the command is repeated", async || {
                let gateway = harness.next_gateway();
                let repeated = timeout(TIMEOUT, complete(&somebody.person, gateway, &path, &key)).await;
                match repeated {
                    Ok(Ok(answer)) if answer.status == 404 => Ok(()),
                    outcome => Err(format!("{outcome:?}")),
                }
            })
            .await;
    }
}

impl WaitingStatements {
    /// Inserts rows of keys without a commit, and sends commands with these keys, each of which has to wait for that.
    async fn begin(
        harness: &Harness,
        person: &Person,
        owner: Uuid,
        path: &str,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        const RESERVE: &str = "INSERT INTO operations.idempotency_keys
                 (owner, key, request_hash, task_id, leased_until, created_at)
             VALUES ($1, $2, '', $3, 0, 0)";
        const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))";
        let pool = &harness.servers().pool;
        let apis = harness.command_apis().await;
        let keys: Vec<String> = apis.iter().map(|_| Uuid::new_v4().to_string()).collect();
        let mut transaction = pool.begin().await?;
        let blocker: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
            .fetch_one(&mut *transaction)
            .await?;
        for key in &keys {
            sqlx::query(RESERVE)
                .bind(owner)
                .bind(key)
                .bind(Uuid::nil())
                .execute(&mut *transaction)
                .await?;
        }
        let mut requests = Requests::new();
        for (api, key) in apis.iter().zip(&keys) {
            let (person, api, path, key) = (person.clone(), api.clone(), path.to_owned(), key.clone());
            requests.spawn(async move { complete(&person, &api, &path, &key).await });
        }
        loop {
            let waiting: i64 = sqlx::query_scalar(WAITING).bind(blocker).fetch_one(pool).await?;
            if usize::try_from(waiting)? == apis.len() {
                return Ok(Self {
                    transaction,
                    requests,
                    keys,
                });
            }
            if let Some(early) = requests.try_join_next() {
                return Err(format!("a command did not wait: {early:?}").into());
            }
            sleep(INTERVAL).await;
        }
    }
}

async fn complete(person: &Person, base: &str, path: &str, key: &str) -> Result<Answer, reqwest::Error> {
    let person = Person {
        base: base.to_owned(),
        ..person.clone()
    };
    person
        .try_send(Method::POST, path, None, &[("Idempotency-Key", key)])
        .await
}
