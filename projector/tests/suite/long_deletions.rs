//! More rows of an erased person, or of a purged task, than one transaction deletes.

use bus::InProcessBus;
use events::{AccountErased, TaskDeleted, TaskPurged, UserId};

use super::{
    fixture::{Fixture, eventually},
    writer::{Writer, created, registered, task, user},
};

/// Rows that the transaction which projects an event does not delete at once.
const MANY: u64 = 12_000;

/// On PostgreSQL no statement may have as many rows from now on.
async fn refuse_many(fixture: &Fixture) {
    let function = format!(
        "CREATE FUNCTION refuse_many() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF (SELECT COUNT(*) FROM rows) >= {MANY} THEN RAISE EXCEPTION 'too many rows at once'; END IF;
             RETURN NULL;
         END $$"
    );
    fixture.run(&function).await;
    for change in ["DELETE ON task_history", "UPDATE ON audit_log"] {
        fixture
            .run(&format!(
                "CREATE TRIGGER refuse_many AFTER {change} REFERENCING OLD TABLE AS rows
                 FOR EACH STATEMENT EXECUTE FUNCTION refuse_many()"
            ))
            .await;
    }
}

/// Rows of events beyond the end of the log, so that nobody compares them with it.
async fn many_rows(fixture: &Fixture, person: UserId, number: u128) {
    let task = task(number).0;
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {MANY})"
    );
    for sql in [
        format!(
            "{numbers} INSERT INTO audit_log (position, stream, version, event_id, type, subject, actor, correlation_id,
                 causation_id, recorded_at)
             SELECT 1000000 + n, 'task-many', n, '{task}', 'task.renamed', '{person}', 'system', 'personal', '{task}', n / 7
             FROM numbers"
        ),
        format!(
            "{numbers} INSERT INTO task_history (position, task, owner, version, event_id, type, actor, correlation_id,
                 recorded_at, changes)
             SELECT 1000000 + n, '{task}', '{person}', n + 10, '{task}', 'task.renamed', 'system', 'personal', n, '[]'
             FROM numbers"
        ),
    ] {
        fixture.run(&sql).await;
    }
}

async fn nothing_is_unfinished(fixture: &Fixture) -> bool {
    fixture.count("unfinished_erasures").await + fixture.count("unfinished_purges").await == 0
}

pub(crate) async fn however_much_a_person_leaves_it_goes(fixture: Fixture) {
    let running = fixture.project(1, InProcessBus::new()).await;
    let mut log = Writer::new(&fixture.store);
    for person in [user(1), user(2)] {
        log.account(person, registered("person@example.org")).await;
    }
    log.task(1, user(1), created(user(1), "Kept")).await;
    fixture.caught_up().await;
    many_rows(&fixture, user(1), 1).await;
    if fixture.is_postgres() {
        refuse_many(&fixture).await;
    }
    log.account(user(1), AccountErased {}).await;
    log.task(2, user(2), created(user(2), "Kept")).await;
    let report = fixture.caught_up().await;
    assert_eq!((report.tasks, report.accounts), (1, 1));
    eventually("nothing is unfinished", async || {
        fixture.count("erased_subjects").await == 1 && nothing_is_unfinished(&fixture).await
    })
    .await;
    assert_eq!(fixture.count("task_history").await, 1);
    let left = format!("audit_log WHERE subject = '{}' AND correlation_id <> 'erased'", user(1));
    assert_eq!(fixture.count(&left).await, 0);
    assert_eq!(fixture.count("audit_log").await, MANY + 5);
    fixture.run("DELETE FROM audit_log WHERE position > 1000000").await;
    fixture.caught_up().await;
    running.stop().await;
}

pub(crate) async fn however_long_the_history_of_a_purged_task_is_it_goes(fixture: Fixture) {
    let running = fixture.project(1, InProcessBus::new()).await;
    let mut log = Writer::new(&fixture.store);
    log.task(1, user(1), created(user(1), "Kept")).await;
    log.task(1, user(1), TaskDeleted {}).await;
    fixture.caught_up().await;
    many_rows(&fixture, user(1), 1).await;
    // They are of events before the purge.
    fixture.run("UPDATE task_history SET position = position - 2000000 WHERE position > 1000000").await;
    if fixture.is_postgres() {
        refuse_many(&fixture).await;
    }
    log.task(1, user(1), TaskPurged {}).await;
    log.task(2, user(1), created(user(1), "Kept")).await;
    fixture.caught_up().await;
    eventually("one row is left of it", async || {
        fixture.count("task_history").await == 2 && nothing_is_unfinished(&fixture).await
    })
    .await;
    running.stop().await;
}
