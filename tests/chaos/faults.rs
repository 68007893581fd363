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
use sqlx::Connection as _;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    harness::{Excuse, Harness},
    poison, restart,
    schedule::{Fault, LONG},
    somebody::Somebody,
    support::Role,
    unanswered_statement,
};

/// Number of partitions of the system under test.
pub(crate) const PARTITIONS: PartitionCount = PartitionCount::new(4).unwrap();
/// Number of concurrent requests of the greedy client.
const GREEDY_REQUESTS: usize = 4;

impl Fault {
    /// Injects the fault, waits for its duration and undoes it.
    pub(crate) async fn inject(self, harness: &Harness) -> Result<(), Excuse> {
        // These wait for the system's recovery themselves.
        let waits = matches!(
            self,
            Self::PostgresVanishes
                | Self::PurgeQueues
                | Self::Greed { .. }
                | Self::Key(_)
                | Self::PoisonStream(_)
        );
        match self {
            Self::Kill { replica, lasting } => {
                harness
                    .recovery
                    .until("a process is killed", async || {
                        let mut system = harness.system.lock().await;
                        let is_running = system.is_running(replica);
                        if is_running {
                            system.kill(replica);
                        }
                        is_running
                    })
                    .await;
                let _fault = harness.recovery.fault();
                sleep(lasting).await;
                harness.system.lock().await.launch(replica);
            }
            Self::Freeze { replica, lasting } => {
                let is_running = async || harness.system.lock().await.is_running(replica);
                harness.recovery.until("the process to be frozen runs", is_running).await;
                // The others have to go on soon after the beginning of a long one.
                let fault = harness.recovery.fault();
                let fault = Some(fault).filter(|_| lasting < LONG);
                harness.system.lock().await.signal(replica, "STOP");
                sleep(lasting).await;
                harness.system.lock().await.signal(replica, "CONT");
                drop(fault);
            }
            Self::CutPostgres => harness.system.lock().await.postgres.as_ref().unwrap().cut(),
            Self::EndSessions => {
                const SQL: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
                harness
                    .recovery
                    .persist("the sessions end", async || {
                        sqlx::query(SQL).execute(&harness.servers().pool).await
                    })
                    .await;
            }
            Self::PostgresVanishes => unanswered_statement::postgres_vanishes(harness).await,
            Self::PostgresStandsStill => {
                let system = harness.system.lock().await;
                system.postgres.as_ref().unwrap().hold_still(LONG);
            }
            Self::BrokerStandsStill => {
                let system = harness.system.lock().await;
                system.proxy.as_ref().unwrap().hold_still(LONG);
            }
            Self::CutAmqp => harness.system.lock().await.proxy.as_ref().unwrap().cut(),
            Self::BrokerVanishes => harness.system.lock().await.proxy.as_ref().unwrap().vanish().await,
            Self::DeleteExchanges => {
                harness
                    .recovery
                    .persist("the exchanges are deleted", async || {
                        let system = harness.system.lock().await;
                        system.broker.as_ref().unwrap().delete_exchanges().await
                    })
                    .await;
            }
            Self::UnbindQueues => {
                harness
                    .recovery
                    .persist("the queues are unbound", async || {
                        let system = harness.system.lock().await;
                        system.broker.as_ref().unwrap().unbind_queues().await
                    })
                    .await;
            }
            Self::DiskFills { lasting } => {
                let disk = harness.disk.lock().await;
                let Some(disk) = &*disk else {
                    return Err(Excuse("mounting is not allowed here".to_owned()));
                };
                let _fault = harness.recovery.fault();
                disk.fill();
                sleep(lasting).await;
                disk.make_room();
            }
            Self::LockedFile { file, lasting } => {
                let url = harness.system.lock().await.database_url(file);
                harness
                    .recovery
                    .persist("a file is locked", async || {
                        let mut connection = sqlx::SqliteConnection::connect(&url).await?;
                        sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await?;
                        let _fault = harness.recovery.fault();
                        sleep(lasting).await;
                        connection.close().await
                    })
                    .await;
            }
            Self::Greed { lasting } => greed(harness, lasting).await,
            Self::PurgeQueues => lose_messages(harness).await,
            Self::DeleteQueues => {
                harness
                    .recovery
                    .persist("the queues are deleted", async || {
                        let system = harness.system.lock().await;
                        system.broker.as_ref().unwrap().delete_queues().await
                    })
                    .await;
            }
            Self::RestartBroker => {
                let namespace = harness.system.lock().await.broker.as_ref().unwrap().namespace.clone();
                let _fault = harness.recovery.fault();
                return restart::restart_broker(namespace).await;
            }
            Self::FullDisk { table, lasting } => {
                let set = async |sql: &'static str| {
                    harness
                        .recovery
                        .persist("a disk is full, or not", async || {
                            sqlx::query(sql).bind(table).execute(&harness.servers().pool).await
                        })
                        .await
                };
                set("INSERT INTO chaos.full_disks VALUES ($1) ON CONFLICT DO NOTHING").await;
                let _fault = harness.recovery.fault();
                sleep(lasting).await;
                set("DELETE FROM chaos.full_disks WHERE name = $1").await;
            }
            Self::SlowDatabase { delay, lasting } => {
                let slow_down = async |delay| {
                    harness.system.lock().await.postgres.as_ref().unwrap().delay(delay);
                };
                let _fault = harness.recovery.fault();
                slow_down(delay).await;
                sleep(lasting).await;
                slow_down(Duration::ZERO).await;
            }
            Self::LockedTable { table, lasting } => {
                let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
                // Other faults may end the session before it has the lock.
                let transaction = harness
                    .recovery
                    .persist("a table is locked", async || {
                        let mut transaction = harness.servers().pool.begin().await?;
                        sqlx::query(&lock).execute(&mut *transaction).await?;
                        Ok::<_, sqlx::Error>(transaction)
                    })
                    .await;
                let _fault = harness.recovery.fault();
                sleep(lasting).await;
                let _ = transaction.rollback().await;
            }
            Self::Redeliver { dice } => redeliver(harness, &mut StdRng::seed_from_u64(dice)).await,
            Self::Key(fault) => fault.inject(harness).await,
            Self::PoisonStream(stream) => stream.poison(harness).await,
            Self::Poison { person, kind } => poison::poison(harness, person, kind).await,
            Self::LeaderEnds { lasting } => {
                let _alone = harness.kurrentdb_fault.lock().await;
                let _fault = harness.recovery.fault();
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
                let _fault = harness.recovery.fault();
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
                let _fault = harness.recovery.fault();
                with_kurrentdb(harness, StandIn::stop).await;
                sleep(lasting).await;
                with_kurrentdb(harness, StandIn::start_again).await;
            }
        }
        if !waits {
            harness.recovery.strike();
        }
        Ok(())
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

/// Purges the queues of the projector while messages wait in them. A purge spares what a projector has taken, and a
/// running one takes everything at once. So all of them are frozen, and one person creates more tasks than they take
/// ahead.
async fn lose_messages(harness: &Harness) {
    /// Shorter than the lease of a partition, so that no other projector takes it.
    const FROZEN: Duration = Duration::from_secs(4);
    const RECOVERING: Duration = Duration::from_secs(2);
    /// Longer than a minute in which a server stands still.
    const GIVING_UP: Duration = Duration::from_secs(100);
    let somebody = Somebody::join(harness).await;
    let create = json!({"op": "create", "title": "lost"});
    let body = json!({"commands": vec![create; 100]});
    let begun = Instant::now();
    let mut lost = 0;
    while lost == 0 {
        assert!(begun.elapsed() < GIVING_UP, "no message waits for a frozen projector");
        let signal = async |name| {
            let system = harness.system.lock().await;
            for replica in system.replicas() {
                if replica.role == Role::Projector {
                    system.signal(replica, name);
                }
            }
        };
        let fault = harness.recovery.fault();
        signal("STOP").await;
        let frozen = Instant::now();
        let sending = somebody.try_send(Method::POST, "/tasks/batch", Some(body.clone()));
        let _ = timeout(FROZEN, sending).await;
        while lost == 0 && frozen.elapsed() < FROZEN {
            sleep(Duration::from_millis(100)).await;
            let system = harness.system.lock().await;
            lost = (system.broker.as_ref().unwrap().purge_projector_queues().await).unwrap_or(0);
        }
        signal("CONT").await;
        drop(fault);
        sleep(RECOVERING).await;
    }
}

/// Creates tasks as one client as fast as the system allows, for this long and until a request was answered. The run
/// checks that all others are still served.
async fn greed(harness: &Harness, lasting: Duration) {
    let somebody = Somebody::join(harness).await;
    let create = json!({"op": "create", "title": "more", "description": "more ".repeat(100)});
    let body = json!({"commands": vec![create; 100]});
    let until = Instant::now() + lasting;
    let requests = (0..GREEDY_REQUESTS).map(async |_| {
        let mut answered = 0;
        let wait = harness.recovery.wait();
        while Instant::now() < until || answered == 0 {
            let sent = somebody.try_send(Method::POST, "/tasks/batch", Some(body.clone()));
            match sent.await {
                Ok(answer) if answer.status == 200 => answered += 1,
                _ => sleep(Duration::from_millis(20)).await,
            }
            if answered == 0 {
                wait.goes_on(|| "no large batch is answered".to_owned());
            }
        }
    });
    join_all(requests).await;
}

/// Reads the whole log from the beginning.
pub(crate) async fn whole_log(harness: &Harness) -> Vec<Entry> {
    const PAGE: usize = 10_000;
    harness
        .recovery
        .persist("the log is read", async || {
            let mut log: Vec<Entry> = Vec::new();
            loop {
                let after = log.last().map_or(0, position);
                let page = harness.stores().store.log_page(after, PAGE).await?;
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
            EventMessage { event, partitions: PARTITIONS, partition, previous }
        })
        .collect();
    let first = dice.random_range(0..messages.len());
    messages.drain(..first);
    messages.truncate(dice.random_range(20..=200));
    messages.extend(messages.clone());
    messages.shuffle(dice);
    harness
        .recovery
        .persist("old messages are published", async || harness.servers().bus.publish(&messages).await)
        .await;
}
