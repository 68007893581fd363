//! The projector over PostgreSQL, and behaviour that only PostgreSQL has. Needs a server: `DATABASE_URL`, or
//! postgres@127.0.0.1:5432 without a password.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests fail by panicking")]

#[path = "suite/giving_way.rs"]
mod giving_way;
#[path = "suite/lost_lock.rs"]
mod lost_lock;
#[path = "suite/standing_still.rs"]
mod standing_still;
mod suite;

use bus::InProcessBus;
use events::{AccountDisabled, SessionRefreshed};
use suite::{
    faults::metric,
    fixture::{Fixture, eventually},
    relay::Relay,
    writer::{Writer, created, registered, renamed, started, user},
};

suite!(Fixture::postgres());

suite! { Fixture::postgres();
    standing_still: a_locked_checkpoint_stops_no_other_partition,
        replicas_share_the_partitions_evenly,
        who_cannot_claim_partitions_is_not_ready,
        a_replica_that_stands_still_loses_its_partitions,
        a_replica_that_was_seen_later_than_now_loses_its_partitions,
        what_is_claimed_while_others_are_caught_up_does_not_wait,
        operators_wait_for_nobody_with_locks_in_their_hands,
        readers_do_not_hold_up_a_swap,
        a_frozen_transaction_holds_a_partition_for_seconds_only,
        a_batch_does_not_read_what_was_discarded_of_other_streams;
    giving_way: whoever_cannot_read_the_log_leaves_its_partitions_to_others,
        a_person_is_erased_from_what_a_rebuild_is_writing,
        a_swap_does_not_take_longer_the_more_is_parked,
        nobody_is_forgotten_whose_rows_are_deleted_while_tables_change_places;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_commit_is_tried_again() {
    let fixture = Fixture::postgres().await;
    fixture
        .run("CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$")
        .await;
    fixture
        .run(
            "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit_log DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    let bus = InProcessBus::new();
    let running = fixture.project(2, bus.clone()).await;
    let mut log = Writer::new(&fixture.store);
    for number in 0..10 {
        log.task(number, user(number), created(user(number), "Task")).await;
    }
    Relay::new(&fixture.store, 2).publish(bus.as_ref()).await;
    eventually("commits fail", async || metric(&running, "taskledger_projector_failures_total").await > 2)
        .await;
    assert_eq!(fixture.count("tasks").await, 0);
    fixture.run("DROP TRIGGER fail ON audit_log").await;
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.parked), (10, 0));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_discarded_is_told_also_when_the_rest_cannot_be_counted() {
    let fixture = Fixture::postgres().await;
    for sql in [
        "INSERT INTO parked_events (position, stream, version, type, subject, reason, attempts)
         SELECT number, 'task-1', number, 'task.created', '00000000-0000-0000-0000-000000000000', 'test', 1
         FROM generate_series(1, 2) AS number",
        // What is parked of a stream can be read until another transaction has discarded something of it.
        "CREATE FUNCTION is_untouched(parked TEXT) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
         BEGIN
             IF EXISTS (SELECT 1 FROM discarded_events WHERE stream = parked AND xmin <> pg_current_xact_id()::xid) THEN
                 RAISE EXCEPTION 'not now';
             END IF;
             RETURN TRUE;
         END $$",
        "ALTER TABLE parked_events RENAME TO all_parked_events",
        "CREATE VIEW parked_events AS SELECT * FROM all_parked_events WHERE is_untouched(stream)",
    ] {
        fixture.run(sql).await;
    }
    let discarded = projector::discard(&fixture.read_models, 1).await.unwrap();
    assert_eq!((discarded.event.position, discarded.later), (1, None));
    assert_eq!(fixture.count("all_parked_events").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_connections_lose_nothing() {
    let fixture = Fixture::postgres().await;
    let bus = InProcessBus::new();
    let running = fixture.project(3, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, 3));
    for number in 0..200 {
        let owner = user(number % 9);
        log.task(number, owner, created(owner, "Task")).await;
        relay.publish(bus.as_ref()).await;
        if number % 40 == 39 {
            fixture
                .rows(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()
                         AND query LIKE '%checkpoints%'",
                )
                .await;
        }
    }
    eventually("everything is projected", async || fixture.count("audit_log").await == 200).await;
    assert_eq!(fixture.caught_up().await.tasks, 200);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_columns_of_the_next_release_do_not_disturb_a_projector() {
    let fixture = Fixture::postgres().await;
    let running = fixture.project(1, InProcessBus::new()).await;
    let mut log = Writer::new(&fixture.store);
    let person = user(1);
    log.account(person, registered("person@example.org")).await;
    log.session(1, person, started(person)).await;
    log.task(1, person, created(person, "Task")).await;
    for round in 0..4 {
        if round == 2 {
            for table in ["tasks", "accounts", "sessions", "task_history", "audit_log"] {
                fixture.run(&format!("ALTER TABLE {table} ADD COLUMN later TEXT")).await;
            }
        }
        log.account(person, AccountDisabled::default()).await;
        log.session(1, person, SessionRefreshed { refresh_hash: "secret".into(), client: None, used: None })
            .await;
        log.task(1, person, renamed(format!("Round {round}"))).await;
        fixture.caught_up().await;
    }
    assert_eq!(metric(&running, "taskledger_projector_failures_total").await, 0);
    running.stop().await;
}
