//! The log loses its last events under load: alone, as when only the log is restored, or with the whole database, as
//! when a server is restored from a backup or a standby without its tail takes over. Everything that kept data
//! derived from the lost events has to notice, and every later acknowledgement holds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection, Row as _};
use url::Url;

use crate::{
    authors::{Author, Loss, what_counts_is_there},
    checks::{self, readable, tool},
    faults::whole_log,
    harness::Harness,
    lost_states::LostStates,
    support::{Deployment, Person, Replica, Role, System, postgres_url},
};

/// Seeds without `CHAOS_SEEDS`: one for the log alone, and one for the whole database.
const SHORT_RUN: [u64; 2] = [1, 2];
const PEOPLE: usize = 4;
/// How long nobody can reach the log while it loses its tail, as when a standby is promoted. States in memory are
/// trusted for two and a half seconds without a look at the log.
const FAILOVER: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_tail_is_noticed_and_put_right_on_postgres_and_rabbitmq() {
    for seed in crate::seeds(&SHORT_RUN) {
        let _alone = crate::ALONE.lock().await;
        let started = Instant::now();
        let harness = Harness::new(System::launched(Deployment::Servers, 2).await);
        let report = crate::guarded(&harness, run(seed, &harness)).await;
        match report {
            Ok(report) => eprintln!("seed {seed}: {:.1} s, {report}", started.elapsed().as_secs_f64()),
            Err(violation) => {
                eprintln!("seed {seed} violates the contract when the log loses its tail");
                std::panic::resume_unwind(violation);
            }
        }
    }
}

async fn run(seed: u64, harness: &Harness) -> String {
    let dice = &mut StdRng::seed_from_u64(seed);
    let launched = Instant::now();
    checks::everybody_is_ready(harness).await;
    harness.recovery.calibrate(launched.elapsed());
    harness.prepare().await;
    let system = harness.system.lock().await;
    let base = system.base.clone();
    let mut fronts = system.bases.clone();
    drop(system);
    fronts.extend(harness.command_apis().await);
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(Person::join(&base, &format!("author{number}")).await);
    }
    let states = LostStates::create(harness, Person::join(&base, "misled").await).await;
    let floor = harness.stores().store.head().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut authors = tokio::task::JoinSet::new();
    for (number, person) in (0_u64..).zip(people) {
        let dice = StdRng::seed_from_u64(seed << 16 | 3 << 8 | number);
        let author = Author::new(person, fronts.clone(), harness.recovery.clone(), dice);
        authors.spawn(author.work(Arc::clone(&stop)));
    }
    let reviving = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            harness.system.lock().await.revive();
        }
    };
    let happening = async {
        let loss = if seed.is_multiple_of(2) {
            whole_database_goes_back(harness, dice, floor, &states).await
        } else {
            only_the_log_loses(harness, dice, floor, &states).await
        };
        // Load goes on with the tasks that still exist.
        let load = tokio::time::sleep(Duration::from_millis(dice.random_range(500..3_000)));
        tokio::join!(load, states.nobody_uses_them());
        loss
    };
    let loss = tokio::select! {
        loss = happening => loss,
        () = reviving => unreachable!("goes on for ever"),
    };
    stop.store(true, Ordering::Relaxed);
    let authors = authors.join_all().await;
    checks::everybody_is_ready(harness).await;
    checks::projection_reaches_the_head(harness).await;
    join_all(authors.iter().map(Author::reads_are_answered)).await;
    let system = &mut *harness.system.lock().await;
    if seed.is_multiple_of(2) {
        begin_a_new_audit_tree_if_need_be(system).await;
    }
    assert_eq!(tool(system, &["restore", "check"]).await, 0, "something disagrees with the log");
    system.terminate_all();
    let log = whole_log(harness).await;
    checks::positions_and_versions_are_dense(&log);
    checks::audit_log_equals_the_log(harness, &log).await;
    checks::read_models_are_the_fold(harness).await;
    checks::nobody_panicked(system);
    let counted = authors.iter().flat_map(|author| &author.acknowledged);
    let after = counted.filter(|done| done.period.sent > loss.at).count();
    assert!(loss.events > 0, "nothing was lost");
    assert!(after >= PEOPLE, "nothing was acknowledged after the loss");
    what_counts_is_there(&readable(&log), &authors, &loss);
    format!("lost {} events at {}, {after} commands acknowledged afterwards", loss.events, loss.cut)
}

/// Has an operator begin a new audit tree if the last signed checkpoint is beyond the log. It is remembered beside
/// the keys, which are not part of a database backup. All other parts recover by themselves.
async fn begin_a_new_audit_tree_if_need_be(system: &System) {
    let mut asking = system.tool(&["restore", "check", "--json"]);
    let answer = tokio::task::spawn_blocking(move || asking.output()).await.unwrap().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap();
    for empty in ["checkpoints", "discarded_events", "relay_progress"] {
        assert_eq!(found[empty], serde_json::json!([]), "{empty} disagree with the log");
    }
    if !found["audit_tree"].is_null() {
        assert_eq!(tool(system, &["restore", "check", "--repair"]).await, 0, "{found}");
    }
}

/// Removes the tail of the log alone. The read models are ahead of it until an operator repairs them.
async fn only_the_log_loses(harness: &Harness, dice: &mut StdRng, floor: u64, states: &LostStates) -> Loss {
    tokio::time::sleep(Duration::from_millis(dice.random_range(1_000..2_000))).await;
    let stopped = dice.random_bool(0.3);
    if stopped {
        // Messages that the stopped projector has not consumed wait in the queues, and their events are lost.
        harness.system.lock().await.signal(PROJECTORS[0], "STOP");
    }
    let least = dice.random_range(1..=60);
    let lost = states.give_states_to_lose().await;
    let loss = harness
        .recovery
        .persist("the log loses its tail", async || lose_tail(harness, floor, least, lost).await)
        .await;
    if stopped {
        harness.system.lock().await.signal(PROJECTORS[0], "CONT");
    }
    everybody_notices(harness).await;
    let before = foreign_checkpoints(harness).await;
    tokio::time::sleep(Duration::from_millis(dice.random_range(0..2_000))).await;
    let system = harness.system.lock().await;
    assert_eq!(foreign_checkpoints(harness).await, before, "projected over another history of the log");
    assert_eq!(tool(&system, &["restore", "check"]).await, 1, "what disagrees is found");
    assert_eq!(tool(&system, &["restore", "check", "--repair"]).await, 0, "it cannot be put right");
    loss
}

/// Deletes the last events, at least `least` of those after `floor` and all from position `lost` on, in one transaction
/// that ends all other sessions, and lets nobody in for a while. Fails unless events were lost and the read models are
/// ahead of the log afterwards.
async fn lose_tail(harness: &Harness, floor: u64, least: i64, lost: u64) -> sqlx::Result<Loss> {
    let database = database_name(harness).await;
    let mut server = PgConnection::connect(&postgres_url()).await?;
    let mut transaction = harness.servers().pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('taskledger.event_store', 0))")
        .execute(&mut *transaction)
        .await?;
    let deleted = sqlx::query(
        "DELETE FROM event_store.events
         WHERE position >= $3 OR position > GREATEST((SELECT max(position) FROM event_store.events) - $1, $2)",
    )
    .bind(least)
    .bind(floor.cast_signed())
    .bind(lost.cast_signed())
    .execute(&mut *transaction)
    .await?;
    let row = sqlx::query(
        "SELECT max(position), EXISTS (
             SELECT FROM read_models.checkpoints c WHERE c.position > (SELECT max(position) FROM event_store.events)
         ) FROM event_store.events",
    )
    .fetch_one(&mut *transaction)
    .await?;
    if deleted.rows_affected() == 0 || !row.get::<bool, _>(1) {
        return Err(sqlx::Error::RowNotFound);
    }
    let _fault = harness.recovery.fault();
    allow_connections(&mut server, &database, false).await?;
    // Every connection to the former server ends with it.
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()",
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let loss = Loss {
        at: Instant::now(),
        cut: row.get::<i64, _>(0).cast_unsigned(),
        events: deleted.rows_affected(),
    };
    tokio::time::sleep(FAILOVER).await;
    allow_connections(&mut server, &database, true).await?;
    server.close().await?;
    Ok(loss)
}

async fn database_name(harness: &Harness) -> String {
    let url = Url::parse(&harness.system.lock().await.database_url("")).unwrap();
    url.path().trim_start_matches('/').to_owned()
}

async fn allow_connections(server: &mut PgConnection, database: &str, allowed: bool) -> sqlx::Result<()> {
    let sql = format!("ALTER DATABASE {database} ALLOW_CONNECTIONS {allowed}");
    sqlx::raw_sql(&sql).execute(server).await.map(drop)
}

const PROJECTORS: [Replica; 2] = replicas(Role::Projector);
const QUERY_APIS: [Replica; 2] = replicas(Role::QueryApi);

const fn replicas(role: Role) -> [Replica; 2] {
    [Replica { role, number: 0 }, Replica { role, number: 1 }]
}

/// Checks that projectors stop and report the loss, and so do query APIs, which cannot tell what is projected, and a
/// command API that has appended lost events.
async fn everybody_notices(harness: &Harness) {
    harness
        .recovery
        .persist("everybody notices that the log has lost its tail", async || {
            let unaware = who_has_not_noticed(harness).await;
            match unaware.is_empty() {
                true => Ok(()),
                false => Err(format!("not yet {}", unaware.join(", "))),
            }
        })
        .await;
}

async fn who_has_not_noticed(harness: &Harness) -> Vec<String> {
    let system = harness.system.lock().await;
    let says = |replica, sentence| system.log_text(replica).contains(sentence);
    let mut unaware = Vec::new();
    for replica in PROJECTORS.into_iter().chain(QUERY_APIS) {
        if !says(replica, "taskledger restore check --repair") {
            unaware.push(format!("{replica:?}"));
        }
    }
    for projector in PROJECTORS {
        let metrics = system.admin_text(projector, "/metrics").await;
        let metric = "taskledger_projector_log_mismatch";
        let mismatch = metrics.lines().find(|line| line.starts_with(metric));
        if mismatch.is_none_or(|line| line.ends_with(" 0")) {
            unaware.push(format!("the metric of {projector:?}"));
        }
    }
    let lost = "the log has lost events that it had";
    if !replicas(Role::CommandApi).into_iter().any(|replica| says(replica, lost)) {
        unaware.push("every command API".to_owned());
    }
    if system.is_ready().await {
        unaware.push("readiness".to_owned());
    }
    unaware
}

/// The checkpoints that name an event which the log does not have.
async fn foreign_checkpoints(harness: &Harness) -> Vec<(u64, u64)> {
    let stores = harness.stores();
    harness
        .recovery
        .persist("checkpoints are compared with the log", async || {
            let foreign = projector::foreign_checkpoints(&*stores.store, &stores.read_models).await?;
            Ok::<_, projector::VerifyError>(
                foreign.iter().map(|foreign| (foreign.partition, foreign.point.position)).collect(),
            )
        })
        .await
}

/// Takes a backup of the database, and later replaces the database with it.
async fn whole_database_goes_back(
    harness: &Harness,
    dice: &mut StdRng,
    floor: u64,
    states: &LostStates,
) -> Loss {
    let database = database_name(harness).await;
    let backup = format!("{database}_backup");
    tokio::time::sleep(Duration::from_millis(dice.random_range(1_000..2_000))).await;
    let copy = format!("CREATE DATABASE {backup} TEMPLATE {database}");
    alone_with(harness, &database, &[&copy], Duration::ZERO).await;
    let mut url = Url::parse(&harness.system.lock().await.database_url("")).unwrap();
    url.set_path(&backup);
    let mut connection = PgConnection::connect(url.as_str()).await.unwrap();
    let row =
        sqlx::query("SELECT max(position) FROM event_store.events").fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let cut = row.get::<i64, _>(0).cast_unsigned();
    assert!(cut >= floor, "the backup has everybody's account");
    states.give_states_to_lose().await;
    tokio::time::sleep(Duration::from_millis(dice.random_range(500..3_000))).await;
    let mut head = 0;
    harness
        .recovery
        .until("there are events to lose", async || {
            head = harness.stores().store.head().await.unwrap_or(0);
            head > cut
        })
        .await;
    let drop_it = format!("DROP DATABASE {database} WITH (FORCE)");
    let put_back = format!("ALTER DATABASE {backup} RENAME TO {database}");
    alone_with(harness, &database, &[&drop_it, &put_back], FAILOVER).await;
    Loss { at: Instant::now(), cut, events: head - cut }
}

/// Runs statements while nothing is connected to `database`, and lets nobody in for some time afterwards.
async fn alone_with(harness: &Harness, database: &str, statements: &[&str], outage: Duration) {
    let _fault = harness.recovery.fault();
    let mut server = PgConnection::connect(&postgres_url()).await.unwrap();
    allow_connections(&mut server, database, false).await.unwrap();
    for statement in statements {
        harness
            .recovery
            .persist(statement, async || {
                let end = format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
                );
                sqlx::raw_sql(&end).execute(&mut server).await?;
                sqlx::raw_sql(statement).execute(&mut server).await
            })
            .await;
    }
    tokio::time::sleep(outage).await;
    allow_connections(&mut server, database, true).await.unwrap();
    server.close().await.unwrap();
}
