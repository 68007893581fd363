//! The comparison of the tables with the log finds changed rows.

use events::{AccountErased, Encoded, StreamName, TaskCompleted};

use super::{
    faults::metric,
    fixture::{Fixture, eventually},
    writer::{Writer, created, registered, renamed, started, task, user},
};

pub(crate) async fn differences_are_found(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    for number in 0..6 {
        log.task(number, owner, created(owner, "Task")).await;
        log.task(number, owner, TaskCompleted {}).await;
    }
    log.account(owner, registered("person@example.org")).await;
    log.session(1, owner, started(owner)).await;
    log.account(user(2), registered("gone@example.org")).await;
    log.account(user(2), AccountErased {}).await;
    fixture.catch_up(2).await;
    for sql in [
        format!("UPDATE tasks SET title = 'Tampered', status = 'open' WHERE id = '{}'", task(1)),
        format!("DELETE FROM tasks WHERE id = '{}'", task(2)),
        format!("UPDATE tasks SET id = '{}' WHERE id = '{}'", task(99), task(3)),
        "UPDATE accounts SET roles = '[\"admin\"]'".to_owned(),
        "DELETE FROM sessions".to_owned(),
        "DELETE FROM audit_log WHERE position = 2".to_owned(),
        "UPDATE audit_log SET actor = 'system' WHERE position = 3".to_owned(),
        "UPDATE audit_log SET correlation_id = 'erased' WHERE position IN (4, 5)".to_owned(),
        "DELETE FROM erased_subjects".to_owned(),
        "UPDATE task_history SET changes = '[]' WHERE position = 4".to_owned(),
        "DELETE FROM task_history WHERE position IN (5, 6)".to_owned(),
        "UPDATE task_history SET position = 1000 WHERE position = 7".to_owned(),
        "UPDATE task_history SET position = 13 WHERE position = 8".to_owned(),
    ] {
        fixture.run(&sql).await;
    }
    let mut differences = fixture.report().await.differences;
    differences.sort();
    let mut expected = vec![
        format!("accounts differs in row {owner}: roles"),
        "audit_log differs at position 3".to_owned(),
        "audit_log lacks position 2".to_owned(),
        format!("audit_log lacks request ids of subject {owner}, first position 4"),
        format!("erased_subjects lacks subject {}, erased at position 16", user(2)),
        "task_history differs at position 4".to_owned(),
        "task_history has position 13, which should not be there".to_owned(),
        format!("task_history lacks rows of subject {owner}, first position 5"),
        format!("sessions lacks row {}", super::writer::session(1)),
        format!("tasks differs in row {}: title, status", task(1)),
        format!("tasks has row {}, which should not be there", task(99)),
        format!("tasks lacks row {}", task(2)),
        format!("tasks lacks row {}", task(3)),
    ];
    expected.sort();
    assert_eq!(differences, expected);
}

pub(crate) async fn a_sample_finds_differences(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    for number in 0..5 {
        log.task(number, owner, created(owner, "Task")).await;
        log.task(number, owner, TaskCompleted {}).await;
    }
    log.account(owner, registered("person@example.org")).await;
    log.session(1, owner, started(owner)).await;
    log.account(user(2), registered("gone@example.org")).await;
    log.account(user(2), AccountErased {}).await;
    fixture.catch_up(2).await;
    let sample = async |size| fixture.sample(size).await;
    let report = sample(10).await;
    assert_eq!(report.differences, Vec::<String>::new());
    assert_eq!((report.tasks, report.accounts, report.sessions), (5, 2, 1));
    assert!((1..=2).contains(&sample(2).await.tasks));
    for sql in [
        format!("UPDATE tasks SET title = 'Tampered' WHERE id = '{}'", task(1)),
        format!("DELETE FROM tasks WHERE id = '{}'", task(2)),
        format!("UPDATE tasks SET status = 'open', version = 1 WHERE id = '{}'", task(3)),
        "UPDATE accounts SET disabled = TRUE".to_owned(),
    ] {
        fixture.run(&sql).await;
    }
    let mut differences = sample(10).await.differences;
    differences.sort();
    assert_eq!(
        differences,
        [
            format!("accounts differs in row {owner}: disabled"),
            format!("tasks differs in row {}: title", task(1)),
            format!("tasks differs in row {}: it is at version 1, the log at 2", task(3)),
            format!("tasks lacks row {}", task(2)),
        ]
    );
}

/// As after damage that took rows and the trail alike.
pub(crate) async fn a_sample_is_chosen_from_the_log_alone(fixture: Fixture) {
    const EVENTS_OF_A_TASK: usize = 450;
    let mut log = Writer::new(&fixture.store);
    let owner = user(1);
    // A shorter log would be read completely.
    for number in 0..5 {
        log.task(number, owner, created(owner, "Task")).await;
        let renamed: Vec<Encoded> =
            (1..EVENTS_OF_A_TASK).map(|number| renamed(format!("Title {number}")).encode()).collect();
        log.append_all(&StreamName::task(task(number)), owner, renamed).await;
    }
    fixture.catch_up(2).await;
    for table in ["tasks", "audit_log"] {
        fixture.run(&format!("DELETE FROM {table}")).await;
    }
    let differences = fixture.sample(10).await.differences;
    assert!(differences.len() > 1, "only one task is chosen: {differences:?}");
}

pub(crate) async fn a_projector_notices_differences_by_itself(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    for number in 0..3 {
        log.task(number, user(1), created(user(1), "Task")).await;
    }
    let running = fixture.project(2, bus::InProcessBus::new()).await;
    fixture.caught_up().await;
    eventually("a sample is compared", async || {
        metric(&running, "taskledger_projector_sampled_rows_total").await >= 3
    })
    .await;
    assert_eq!(metric(&running, "taskledger_projector_sample_differences").await, 0);
    fixture.run("UPDATE tasks SET title = 'Tampered'").await;
    eventually("the differences are noticed", async || {
        metric(&running, "taskledger_projector_sample_differences").await == 3
    })
    .await;
    running.stop().await;
}

pub(crate) async fn a_sample_finds_rows_of_which_the_log_knows_nothing(fixture: Fixture) {
    let mut log = Writer::new(&fixture.store);
    log.task(1, user(1), created(user(1), "Task")).await;
    fixture.catch_up(1).await;
    let ghost = task(2);
    fixture.run(&format!("UPDATE tasks SET id = '{ghost}'")).await;
    let report = fixture.sample(4).await;
    let mut differences = report.differences;
    differences.sort();
    assert_eq!(
        differences,
        [format!("tasks has row {ghost}, which should not be there"), format!("tasks lacks row {}", task(1)),]
    );
}
