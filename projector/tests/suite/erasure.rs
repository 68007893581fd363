//! People who were erased.

use bytes::Bytes;
use events::{AccountErased, EndReason, SessionEnded, StreamName, TaskCompleted, TaskDeleted};

use super::{
    ground::Ground,
    writer::{Writer, created, registered, started, task, user},
};

pub(crate) async fn an_erased_person_leaves_no_rows_and_does_not_come_back(ground: Ground) {
    let mut log = Writer::new(&ground.store);
    for person in [user(1), user(2)] {
        let number = u128::from(person == user(2)) * 10;
        log.account(person, registered("person@example.org")).await;
        log.session(number, person, started(person)).await;
        log.task(number, person, created(person, "Kept")).await;
        log.task(number + 1, person, created(person, "In the trash"))
            .await;
        log.task(number + 1, person, TaskDeleted {}).await;
        log.append_raw(
            &StreamName::task(task(number)),
            person,
            "task.unknown",
            Bytes::from_static(b"{}"),
        )
        .await;
    }
    let report = ground.catch_up(2).await;
    assert_eq!(
        (report.tasks, report.accounts, report.sessions, report.parked),
        (4, 2, 2, 2)
    );

    let person = user(1);
    log.account(person, AccountErased {}).await;
    let report = ground.catch_up(2).await;
    assert_eq!(
        (report.tasks, report.accounts, report.sessions, report.parked),
        (2, 1, 1, 1)
    );

    // Whatever was still on its way when they left.
    log.session(
        0,
        person,
        SessionEnded {
            reason: EndReason::Erased,
        },
    )
    .await;
    log.session(2, person, started(person)).await;
    log.task(1, person, TaskCompleted {}).await;
    log.task(2, person, created(person, "Too late")).await;
    for partitions in [2, 3] {
        // With another number of partitions everything is read again.
        ground.run("UPDATE checkpoints SET position = 0").await;
        let report = ground.catch_up(partitions).await;
        assert_eq!(
            (report.tasks, report.accounts, report.sessions, report.parked),
            (2, 1, 1, 1)
        );
        assert_eq!(report.audit, 17);
    }
}
