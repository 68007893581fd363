//! How each fault is injected and undone.

use std::time::Duration;

use bus::{Bus as _, EventMessage};
use event_store::{Entry, StoreError, position};
use events::PartitionCount;
use futures::future::join_all;
use kurrentdb_stand_in::StandIn;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    harness::{Harness, persist},
    poison, restart,
    schedule::Fault,
    support::Person,
};

/// Number of partitions of the system under test.
pub(crate) const PARTITIONS: PartitionCount = PartitionCount::new(4).unwrap();
/// Longer than the longest time-out for a peer that does not answer.
const STANDS_STILL: Duration = Duration::from_secs(60);
/// Number of concurrent requests of the greedy client.
const GREEDY_REQUESTS: usize = 4;

impl Fault {
    /// Injects the fault, waits for its duration and undoes it. Returns whether it could be injected.
    pub(crate) async fn inject(self, harness: &Harness) -> bool {
        let servers = harness.servers();
        match self {
            Self::Kill { replica, lasting } => {
                harness.system.lock().await.kill(replica);
                sleep(lasting).await;
                harness.system.lock().await.launch(replica);
            }
            Self::Freeze { replica, lasting } => {
                harness.system.lock().await.signal(replica, "STOP");
                sleep(lasting).await;
                harness.system.lock().await.signal(replica, "CONT");
            }
            Self::CutPostgres => harness.system.lock().await.postgres.as_ref().unwrap().cut(),
            Self::EndSessions => {
                const SQL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
                persist("the sessions end", async || {
                    sqlx::query(SQL).execute(&servers.pool).await
                })
                .await;
            }
            Self::PostgresVanishes => harness.system.lock().await.postgres.as_ref().unwrap().vanish(),
            Self::PostgresStandsStill => {
                let system = harness.system.lock().await;
                system.postgres.as_ref().unwrap().hold_still(STANDS_STILL);
            }
            Self::CutAmqp => harness.system.lock().await.proxy.as_ref().unwrap().cut(),
            Self::BrokerVanishes => harness.system.lock().await.proxy.as_ref().unwrap().vanish(),
            Self::DeleteExchanges => {
                persist("the exchanges are deleted", async || {
                    let system = harness.system.lock().await;
                    system.broker.as_ref().unwrap().delete_exchanges().await
                })
                .await;
            }
            Self::UnbindQueues => {
                persist("the queues are unbound", async || {
                    let system = harness.system.lock().await;
                    system.broker.as_ref().unwrap().unbind_queues().await
                })
                .await;
            }
            Self::Greed { lasting } => return greed(harness, lasting).await,
            Self::PurgeQueues => {
                persist("the queues are purged", async || {
                    let system = harness.system.lock().await;
                    system.broker.as_ref().unwrap().purge_projector_queues().await
                })
                .await;
            }
            Self::DeleteQueues => {
                persist("the queues are deleted", async || {
                    let system = harness.system.lock().await;
                    system.broker.as_ref().unwrap().delete_queues().await
                })
                .await;
            }
            Self::RestartBroker => {
                let namespace = harness
                    .system
                    .lock()
                    .await
                    .broker
                    .as_ref()
                    .unwrap()
                    .namespace
                    .clone();
                return restart::restart_broker(namespace).await;
            }
            Self::FullDisk { table, lasting } => {
                let set = async |sql: &'static str| {
                    persist("a disk is full, or not", async || {
                        sqlx::query(sql).bind(table).execute(&servers.pool).await
                    })
                    .await
                };
                set("INSERT INTO chaos.full_disks VALUES ($1) ON CONFLICT DO NOTHING").await;
                sleep(lasting).await;
                set("DELETE FROM chaos.full_disks WHERE name = $1").await;
            }
            Self::SlowDatabase { delay, lasting } => {
                let slow_down = async |delay| {
                    harness
                        .system
                        .lock()
                        .await
                        .postgres
                        .as_ref()
                        .unwrap()
                        .delay(delay);
                };
                slow_down(delay).await;
                sleep(lasting).await;
                slow_down(Duration::ZERO).await;
            }
            Self::LockedTable { table, lasting } => {
                let mut transaction =
                    persist("a transaction begins", async || servers.pool.begin().await).await;
                let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
                // The lock ends with the session, which other faults may end.
                if sqlx::query(&lock).execute(&mut *transaction).await.is_err() {
                    return false;
                }
                sleep(lasting).await;
                let _ = transaction.rollback().await;
            }
            Self::Redeliver { dice } => redeliver(harness, &mut StdRng::seed_from_u64(dice)).await,
            Self::Key(fault) => return fault.inject(harness).await,
            Self::Poison { person, kind } => poison::poison(harness, person, kind).await,
            Self::LeaderEnds { lasting } => {
                let _alone = harness.kurrentdb_fault.lock().await;
                let leader = with_kurrentdb(harness, |server| {
                    let leader = server.leader();
                    server.stop_node(leader);
                    leader
                })
                .await;
                sleep(ELECTION).await;
                with_kurrentdb(harness, |server| server.elect(Some(next(leader)))).await;
                sleep(lasting).await;
                with_kurrentdb(harness, StandIn::start_again).await;
            }
            Self::LeaderStandsStill { lasting } => {
                let _alone = harness.kurrentdb_fault.lock().await;
                let leader = with_kurrentdb(harness, |server| {
                    server.freeze(server.leader());
                    server.leader()
                })
                .await;
                sleep(ELECTION).await;
                with_kurrentdb(harness, |server| server.elect(Some(next(leader)))).await;
                sleep(lasting).await;
                with_kurrentdb(harness, |server| server.thaw(leader)).await;
            }
            Self::AnswersAreLost { count } => {
                with_kurrentdb(harness, |server| server.lose_answers(count)).await
            }
            Self::SubscriptionsEnd => with_kurrentdb(harness, |server| server.fail_subscriptions()).await,
            Self::KurrentDbEnds { lasting } => {
                let _alone = harness.kurrentdb_fault.lock().await;
                with_kurrentdb(harness, StandIn::stop).await;
                sleep(lasting).await;
                with_kurrentdb(harness, StandIn::start_again).await;
            }
        }
        true
    }
}

/// Time between the end of a leader and the election of the next one.
const ELECTION: Duration = Duration::from_millis(1_500);

/// The node that is elected after `leader`.
fn next(leader: usize) -> usize {
    (leader + 1) % 3
}

async fn with_kurrentdb<T>(harness: &Harness, change: impl FnOnce(&mut StandIn) -> T) -> T {
    change(harness.system.lock().await.kurrentdb.as_mut().unwrap())
}

/// Creates tasks as one client as fast as the system allows, and ignores the answers. The run checks that all others
/// are still served. Returns false if the client could not register.
async fn greed(harness: &Harness, lasting: Duration) -> bool {
    let base = harness.system.lock().await.base.clone();
    let until = Instant::now() + lasting;
    let Ok(Ok(person)) = timeout(
        lasting,
        tokio::spawn(async move { Person::join(&base, "greedy").await }),
    )
    .await
    else {
        return false;
    };
    let create = json!({"op": "create", "title": "more", "description": "more ".repeat(100)});
    let body = json!({"commands": vec![create; 100]});
    let requests = (0..GREEDY_REQUESTS).map(async |_| {
        let mut answered = 0;
        while Instant::now() < until {
            let sending = person.try_send(Method::POST, "/tasks/batch", Some(body.clone()), &[]);
            match timeout(until.saturating_duration_since(Instant::now()), sending).await {
                Ok(Ok(answer)) if answer.status == 200 => answered += 1,
                _ => sleep(Duration::from_millis(20)).await,
            }
        }
        answered
    });
    join_all(requests).await.into_iter().sum::<usize>() > 0
}

/// Reads the whole log from the beginning.
pub(crate) async fn whole_log(harness: &Harness) -> Vec<Entry> {
    const PAGE: usize = 10_000;
    persist("the log is read", async || {
        let mut log: Vec<Entry> = Vec::new();
        loop {
            let after = log.last().map_or(0, position);
            let page = harness.servers().store.log_page(after, PAGE).await?;
            log.extend(page.entries);
            if !page.more {
                return Ok::<_, StoreError>(log);
            }
        }
    })
    .await
}

/// Publishes part of the log twice more in random order, each message as the relay sends it.
async fn redeliver(harness: &Harness, dice: &mut StdRng) {
    let mut last = vec![0; usize::from(PARTITIONS.get())];
    let mut messages: Vec<EventMessage> = whole_log(harness)
        .await
        .into_iter()
        .flatten()
        .map(|event| {
            let partition = PARTITIONS.of(event.metadata.subject);
            let previous = std::mem::replace(&mut last[usize::from(partition)], event.position);
            EventMessage {
                event,
                partitions: PARTITIONS,
                partition,
                previous,
            }
        })
        .collect();
    let first = dice.random_range(0..messages.len());
    messages.drain(..first);
    messages.truncate(dice.random_range(20..=200));
    messages.extend(messages.clone());
    messages.shuffle(dice);
    persist("old messages are published", async || {
        harness.servers().bus.publish(&messages).await
    })
    .await;
}
