//! PostgreSQL vanishes while a statement runs, so that nothing on the network ends it. Whoever waits for its result is
//! answered within the time that the product promises, and the command can be repeated.

use std::{error::Error, fs, time::Duration};

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
    support::{Answer, Person, Replica, Role},
};

const INTERVAL: Duration = Duration::from_millis(50);
/// Other faults may keep the statements from running. Then they are tried again.
const GIVING_UP: Duration = Duration::from_secs(3);
/// Time after which a repeated request is sent again.
const TIMEOUT: Duration = Duration::from_secs(10);

type Failure = Box<dyn Error + Send + Sync>;
type Requests = JoinSet<(Process, Result<Answer, reqwest::Error>)>;

/// Somebody's requests, one at each command API, each with a statement that runs until the transaction ends.
struct WaitingStatements {
    transaction: Transaction<'static, Postgres>,
    requests: Requests,
    unanswered: Vec<Process>,
    keys: Vec<String>,
}

/// A process of a command API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    replica: Replica,
    id: u32,
}

/// PostgreSQL vanishes in the middle of a statement of each command API.
pub(crate) async fn postgres_vanishes(harness: &Harness) {
    let somebody = Somebody::join(harness).await;
    let owner = somebody.id().await;
    // There is no such task, so that the command leaves nothing in the log.
    let path = format!("/tasks/{}/complete", Uuid::new_v4());
    let WaitingStatements { transaction, mut requests, mut unanswered, keys } = harness
        .recovery
        .persist("statements wait", async || {
            let person = &somebody.person;
            let waiting = WaitingStatements::begin(harness, person, owner, &path);
            timeout(GIVING_UP, waiting).await.unwrap_or_else(|late| Err(late.into()))
        })
        .await;
    let system = harness.system.lock().await;
    system.postgres.as_ref().unwrap().vanish().await;
    drop(system);
    harness.recovery.strike();
    // Otherwise another fault has ended this session, and the statements may have gone on before PostgreSQL vanished.
    let has_held = transaction.rollback().await.is_ok();
    let mut wait = harness.recovery.wait();
    loop {
        match timeout(INTERVAL, requests.join_next()).await {
            Ok(Some(request)) => {
                let (process, outcome) = request.unwrap();
                unanswered.retain(|other| *other != process);
                match outcome {
                    Ok(answer) if has_held => drop(answer.expect(503)),
                    Ok(_) => {}
                    Err(error) => assert!(
                        process.was_killed(harness).await,
                        "{:?} does not answer: {error:?}",
                        process.replica
                    ),
                }
            }
            Ok(None) => break,
            // A process that stands still has as much time after it goes on.
            Err(_) if unanswered.iter().all(Process::stands_still) => wait = harness.recovery.wait(),
            Err(_) => wait.goes_on(|| "a statement that is never answered keeps its command".to_owned()),
        }
    }
    wait.ends(|| "a command whose statement is never answered".to_owned());
    let turns = harness.turns();
    for key in keys {
        harness
            .recovery
            .persist("the command is repeated", async || {
                let gateway = turns.gateway();
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
    async fn begin(harness: &Harness, person: &Person, owner: Uuid, path: &str) -> Result<Self, Failure> {
        const RESERVE: &str = "INSERT INTO operations.idempotency_keys
                 (owner, key, request_hash, task_id, leased_until, created_at)
             VALUES ($1, $2, '', $3, 0, 0)";
        const WAITING: &str = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND $1 = ANY (pg_blocking_pids(pid))";
        let pool = &harness.servers().pool;
        let apis = apis_to_ask(harness).await?;
        let keys: Vec<String> = apis.iter().map(|_| Uuid::new_v4().to_string()).collect();
        let mut transaction = pool.begin().await?;
        let blocker: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *transaction).await?;
        for key in &keys {
            sqlx::query(RESERVE).bind(owner).bind(key).bind(Uuid::nil()).execute(&mut *transaction).await?;
        }
        let mut requests = Requests::new();
        for ((process, api), key) in apis.iter().cloned().zip(&keys) {
            let (person, path, key) = (person.clone(), path.to_owned(), key.clone());
            requests.spawn(async move { (process, complete(&person, &api, &path, &key).await) });
        }
        loop {
            let waiting: i64 = sqlx::query_scalar(WAITING).bind(blocker).fetch_one(pool).await?;
            if usize::try_from(waiting)? == apis.len() {
                return Ok(Self {
                    transaction,
                    requests,
                    unanswered: apis.into_iter().map(|(process, _)| process).collect(),
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

impl Process {
    /// Whether it is frozen, and goes on later.
    fn stands_still(&self) -> bool {
        let state = fs::read_to_string(format!("/proc/{}/stat", self.id));
        state.is_ok_and(|state| state.contains(") T "))
    }

    async fn was_killed(&self, harness: &Harness) -> bool {
        harness.system.lock().await.process_id(self.replica) != Some(self.id)
    }
}

/// The command APIs and their addresses, but none that stands still, perhaps for a minute.
async fn apis_to_ask(harness: &Harness) -> Result<Vec<(Process, String)>, Failure> {
    let addresses = harness.command_apis().await;
    let system = harness.system.lock().await;
    let mut replicas = system.replicas();
    replicas.retain(|replica| replica.role == Role::CommandApi);
    let mut apis = Vec::new();
    for (replica, address) in replicas.into_iter().zip(addresses) {
        let id = system.process_id(replica).ok_or("a command API does not run")?;
        apis.push((Process { replica, id }, address));
    }
    apis.retain(|(process, _)| !process.stands_still());
    match apis.is_empty() {
        true => Err("every command API stands still".into()),
        false => Ok(apis),
    }
}

async fn complete(person: &Person, base: &str, path: &str, key: &str) -> Result<Answer, reqwest::Error> {
    let person = Person { base: base.to_owned(), ..person.clone() };
    person.try_send(Method::POST, path, None, &[("Idempotency-Key", key)]).await
}
