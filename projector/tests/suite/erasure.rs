//! People who were erased.

use std::{collections::BTreeMap, sync::Arc};

use bus::InProcessBus;
use bytes::Bytes;
use event_store::EventStore;
use events::{AccountErased, EndReason, SessionEnded, StreamName, TaskCompleted, TaskDeleted, UserId};
use projector::RebuildError;
use sealing::{SealedStore, SubjectKeys};
use tempfile::TempDir;
use test_support::subject_keys;
use tokio_util::sync::CancellationToken;

use super::{
    fixture::{Fixture, eventually},
    writer::{Writer, created, registered, started, task, user},
};

pub(crate) async fn an_erased_person_leaves_no_rows_and_does_not_come_back(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    for person in [user(1), user(2)] {
        let number = u128::from(person == user(2)) * 10;
        log.account(person, registered("person@example.org")).await;
        log.session(number, person, started(person)).await;
        log.task(number, person, created(person, "Kept")).await;
        log.task(number + 1, person, created(person, "In the trash")).await;
        log.task(number + 1, person, TaskDeleted {}).await;
        log.append_raw(&StreamName::task(task(number)), person, "task.unknown", Bytes::from_static(b"{}"))
            .await;
    }
    let report = fixture.catch_up(2).await;
    assert_eq!((report.tasks, report.accounts, report.sessions, report.parked), (4, 2, 2, 2));

    let person = user(1);
    log.account(person, AccountErased {}).await;
    let report = fixture.catch_up(2).await;
    assert_eq!((report.tasks, report.accounts, report.sessions, report.parked), (2, 1, 1, 1));

    // Events that were still on their way at the erasure.
    log.session(0, person, SessionEnded { reason: EndReason::Erased }).await;
    log.session(2, person, started(person)).await;
    log.task(1, person, TaskCompleted {}).await;
    log.task(2, person, created(person, "Too late")).await;
    for partitions in [2, 3] {
        // With another number of partitions everything is projected again.
        fixture.run("UPDATE checkpoints SET position = 0").await;
        let report = fixture.catch_up(partitions).await;
        assert_eq!((report.tasks, report.accounts, report.sessions, report.parked), (2, 1, 1, 1));
        assert_eq!(report.audit, 17);
    }
    // Request ids may be personal.
    let sql = "SELECT subject, correlation_id FROM audit_log";
    for row in fixture.rows(sql).await {
        let is_theirs = row.uuid("subject").unwrap() == person.0;
        assert_eq!(row.str("correlation_id").unwrap() == "erased", is_theirs);
    }
}

/// The keys of two people are lost. One is restored from a backup, the other person is erased.
pub(crate) async fn the_trail_of_a_person_without_a_key_is_whole(fixture: Fixture) {
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let [kept, lost] = [subject_keys(directories[0].path()).await, subject_keys(directories[1].path()).await];
    let stored = Arc::clone(&fixture.store);
    let by =
        |keys: &SubjectKeys| -> Arc<dyn EventStore> { SealedStore::over(Arc::clone(&stored), keys.clone()) };
    let mut log = Writer::new(&by(&kept));
    let people = [user(1), user(2)];
    for person in people {
        log.account(person, registered("person@example.org")).await;
        log.task(person.0.as_u128(), person, created(person, "Sealed")).await;
    }
    let fixture = fixture.over(by(&lost));
    let report = fixture.catch_up(2).await;
    assert_eq!((report.audit, report.parked), (4, 4), "without keys");
    let ids = "SELECT correlation_id FROM audit_log ORDER BY position";
    let texts = async |fixture: &Fixture| -> Vec<String> {
        let rows = fixture.rows(ids).await;
        rows.iter().map(|row| row.text("correlation_id").unwrap()).collect()
    };
    assert_eq!(texts(&fixture).await, ["erased"; 4]);

    let [first, second] = people;
    lost.destroy(second).await.unwrap();
    log.account(second, AccountErased {}).await;
    let report = fixture.catch_up(2).await;
    assert_eq!((report.audit, report.parked), (5, 2), "one is erased");

    kept.destroy(second).await.unwrap();
    let fixture = fixture.over(by(&kept));
    for stream in [StreamName::account(first), StreamName::task(task(first.0.as_u128()))] {
        assert_eq!(fixture.retry(&stream).await, (1, 0));
    }
    let report = fixture.caught_up().await;
    assert_eq!((report.audit, report.parked), (5, 0), "the other's key is back");
    let expected = ["request-1", "request-2", "erased", "erased", "erased"];
    assert_eq!(texts(&fixture).await, expected);
}

/// Tables whose rows are about nobody.
const ABOUT_NOBODY: [&str; 5] =
    ["_sqlx_migrations", "checkpoints", "partition_leases", "projector_replicas", "unfinished_purges"];
/// Tables that are about people who were erased only.
const ABOUT_THE_ERASED: [&str; 2] = ["erased_subjects", "unfinished_erasures"];
/// Tables that keep the id of an erased person, and nothing else.
const KEEP_THE_ID: [&str; 2] = ["audit_log", "erased_subjects"];
/// A word that stands for all personal data in this test.
const PERSONAL: &str = "quince";

/// For each table of the schema: how many rows contain the id of `person`, and how many contain personal data.
async fn rows_about(fixture: &Fixture, person: UserId) -> BTreeMap<String, (u64, u64)> {
    let tables = if fixture.is_postgres() {
        "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'read_models' AND table_type = 'BASE TABLE'"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    };
    let mut found = BTreeMap::new();
    for row in fixture.rows(tables).await {
        let table = row.text("name").unwrap();
        let columns = if fixture.is_postgres() {
            format!(
                "SELECT column_name::text AS name FROM information_schema.columns \
                 WHERE table_schema = 'read_models' AND table_name = '{table}'"
            )
        } else {
            format!("SELECT name FROM pragma_table_xinfo('{table}')")
        };
        let columns = fixture.rows(&columns).await;
        let texts: Vec<_> = columns
            .iter()
            .map(|column| format!("COALESCE(CAST({} AS TEXT), '')", column.text("name").unwrap()))
            .collect();
        let text = texts.join(" || ' ' || ");
        let count = async |word: &str| {
            let sql = format!("SELECT COUNT(*) AS rows FROM {table} WHERE {text} LIKE '%{word}%'");
            fixture.rows(&sql).await[0].unsigned("rows").unwrap()
        };
        let counts = (count(&person.to_string()).await, count(PERSONAL).await);
        found.insert(table, counts);
    }
    found
}

pub(crate) async fn every_table_forgets_an_erased_person(fixture: Fixture) {
    let person = user(1);
    let mut log = Writer::new(&fixture.store);
    let email = format!("{PERSONAL}@example.org");
    let title = format!("Buy {PERSONAL} jam");
    log.account(person, registered(&email)).await;
    log.session(1, person, started(person)).await;
    log.task(1, person, created(person, &title)).await;
    for number in [2, 3] {
        let stream = StreamName::task(task(number));
        log.task(number, person, created(person, &title)).await;
        let nonsense = Bytes::from(format!("{{\"{PERSONAL}\": 1}}"));
        let position = log.append_raw(&stream, person, "task.prioritized", nonsense).await;
        fixture.catch_up(2).await;
        if number == 2 {
            projector::discard(&fixture.read_models, position).await.unwrap();
        }
    }
    // A reason that quotes the event, as a later release might write.
    for table in ["parked_events", "discarded_events"] {
        fixture.run(&format!("UPDATE {table} SET reason = '{PERSONAL} is no priority'")).await;
    }
    let before = rows_about(&fixture, person).await;
    for (table, (named, personal)) in &before {
        let table = table.as_str();
        if ABOUT_NOBODY.contains(&table) || ABOUT_THE_ERASED.contains(&table) {
            continue;
        }
        // A new table must be filled here, or the second half would prove nothing about it.
        assert!(*named > 0, "this test writes nothing about the person to {table}");
        let keeps_texts = !matches!(table, "audit_log" | "sessions");
        assert_eq!(*personal > 0, keeps_texts, "{table}");
    }

    log.account(person, AccountErased {}).await;
    for _ in 0..2 {
        fixture.catch_up(2).await;
        for (table, (named, personal)) in rows_about(&fixture, person).await {
            assert_eq!(personal, 0, "{table} holds something personal");
            let may_name = KEEP_THE_ID.contains(&table.as_str());
            assert_eq!(named > 0, may_name, "{table} names the person in {named} rows");
        }
        // Everything is projected again.
        fixture.run("UPDATE checkpoints SET position = 0").await;
    }
}

/// Whether a file of the read models contains `word`.
fn files_hold(fixture: &Fixture, word: &str) -> bool {
    let url = fixture.url();
    let live = std::path::Path::new(url.strip_prefix("sqlite:").unwrap());
    let files = std::fs::read_dir(live.parent().unwrap()).unwrap();
    let of_read_models = files
        .map(|file| file.unwrap().path())
        .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with("read-models"));
    // A file may be deleted meanwhile.
    let contents = of_read_models.filter_map(|file| std::fs::read(file).ok());
    contents.into_iter().any(|bytes| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
}

pub(crate) async fn nothing_of_an_erased_person_is_left_aside(fixture: Fixture) {
    let person = user(1);
    let mut log = Writer::new(&fixture.store);
    log.account(person, registered(&format!("{PERSONAL}@example.org"))).await;
    for number in 0..200 {
        let title = format!("{PERSONAL} {}", number * 7_919 % 200);
        log.task(number, person, created(person, &title)).await;
    }
    log.task(200, user(2), created(user(2), "Stays")).await;
    fixture.catch_up(2).await;
    let first = fixture.built(2).await;
    first.swap(&CancellationToken::new()).await.unwrap();
    first.close().await;
    drop(first);
    let aside = format!("SELECT COUNT(*) AS rows FROM read_models_previous.tasks WHERE owner = '{person}'");
    if fixture.is_postgres() {
        assert_eq!(fixture.rows(&aside).await[0].unsigned("rows").unwrap(), 200);
    } else {
        // As a rebuild leaves it that is killed during the swap.
        let url = fixture.url();
        let live = std::path::Path::new(url.strip_prefix("sqlite:").unwrap());
        std::fs::copy(live.with_extension("previous.db"), live.with_extension("previous.db.new")).unwrap();
        assert!(files_hold(&fixture, PERSONAL));
    }

    log.account(person, AccountErased {}).await;
    let running = fixture.project(2, InProcessBus::new()).await;
    eventually("the tables that were put aside forget, too", async || {
        if fixture.is_postgres() {
            fixture.rows(&aside).await[0].unsigned("rows").unwrap() == 0
        } else {
            !files_hold(&fixture, PERSONAL)
        }
    })
    .await;
    running.stop().await;
    let again = fixture.rebuild(2).await;
    match again.rollback().await {
        Ok(_) => assert!(fixture.is_postgres()),
        Err(RebuildError::NoPrevious) => assert!(!fixture.is_postgres()),
        Err(error) => panic!("{error}"),
    }
    again.close().await;
    let report = fixture.catch_up(2).await;
    assert_eq!((report.tasks, report.accounts), (1, 0));
}
