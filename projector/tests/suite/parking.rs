//! Events that cannot be projected.

use bus::InProcessBus;
use bytes::Bytes;
use events::{StreamName, TaskCompleted, TaskRenamed};
use projector::{ParkingError, Retried, discard, parked, retry, retry_position};

use super::{
    ground::Ground,
    relay::Relay,
    writer::{Writer, created, registered, task, user},
};

async fn title(ground: &Ground, id: u128) -> String {
    let sql = format!("SELECT title FROM tasks WHERE id = '{}'", task(id));
    ground.rows(&sql).await[0].text("title").unwrap()
}

pub(crate) async fn an_unreadable_event_parks_its_stream_only(ground: Ground) {
    let bus = InProcessBus::new();
    let running = ground.project(1, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&ground.store), Relay::new(&ground.store, 1));
    let (owner, stream) = (user(1), StreamName::task(task(1)));
    log.task(1, owner, created(owner, "One")).await;
    log.task(2, owner, created(owner, "Two")).await;
    let poison = log
        .append_raw(&stream, owner, "task.teleported", Bytes::from_static(b"{}"))
        .await;
    log.task(2, owner, TaskCompleted {}).await;
    relay.publish(bus.as_ref()).await;
    let later = log
        .task(
            1,
            owner,
            TaskRenamed {
                title: "Later".to_owned(),
            },
        )
        .await;
    log.task(
        2,
        owner,
        TaskRenamed {
            title: "Flows on".to_owned(),
        },
    )
    .await;
    relay.publish(bus.as_ref()).await;
    let report = ground.settled().await;
    assert_eq!(
        (report.audit, report.parked),
        (6, 2),
        "the audit trail has parked events, too"
    );
    assert_eq!(
        (title(&ground, 1).await, title(&ground, 2).await),
        ("One".to_owned(), "Flows on".to_owned())
    );

    let list = parked(&ground.read_models).await.unwrap();
    assert_eq!(
        list.iter().map(|event| event.position).collect::<Vec<_>>(),
        [poison, later]
    );
    assert!(
        list[0].reason.contains("unknown event type `task.teleported`"),
        "{}",
        list[0].reason
    );

    // Another try changes nothing as long as the build is the same.
    let retried = retry(ground.store.as_ref(), &ground.read_models, &stream)
        .await
        .unwrap();
    assert_eq!(
        retried,
        Retried {
            projected: 0,
            parked: 2
        }
    );
    assert_eq!(parked(&ground.read_models).await.unwrap()[0].attempts, 2);
    let refused = discard(&ground.read_models, later).await;
    assert!(
        matches!(refused, Err(ParkingError::NotFirst { first }) if first == poison),
        "{refused:?}"
    );

    // Without the poison the rest can go on, and what comes after it.
    discard(&ground.read_models, poison).await.unwrap();
    let retried = retry_position(ground.store.as_ref(), &ground.read_models, later)
        .await
        .unwrap();
    assert_eq!(
        retried,
        Retried {
            projected: 1,
            parked: 0
        }
    );
    log.task(1, owner, TaskCompleted {}).await;
    relay.publish(bus.as_ref()).await;
    assert_eq!(ground.settled().await.parked, 0);
    assert_eq!(title(&ground, 1).await, "Later");
    let missing = retry(ground.store.as_ref(), &ground.read_models, &stream).await;
    assert!(
        matches!(missing, Err(ParkingError::StreamNotParked(_))),
        "{missing:?}"
    );
    running.stop().await;

    // What was given up on stays given up when everything is projected again.
    ground.run("DELETE FROM tasks").await;
    ground.run("DELETE FROM audit_log").await;
    ground.run("DELETE FROM checkpoints").await;
    let report = ground.catch_up(2).await;
    assert_eq!((report.tasks, report.audit, report.parked), (2, 7, 0));
}

pub(crate) async fn a_refused_row_parks_its_stream_until_retried(ground: Ground) {
    if ground.is_postgres() {
        ground
            .run("ALTER TABLE tasks ADD CONSTRAINT no_poison CHECK (title <> 'poison')")
            .await;
    } else {
        for event in ["INSERT", "UPDATE"] {
            let when = format!("BEFORE {event} ON tasks WHEN NEW.title = 'poison'");
            ground
                .run(&format!(
                    "CREATE TRIGGER no_{event} {when} BEGIN SELECT RAISE(ABORT, 'no poison'); END"
                ))
                .await;
        }
    }
    let mut log = Writer::new(&ground.store);
    let (owner, stream) = (user(1), StreamName::task(task(5)));
    for number in 0..10 {
        log.task(number, owner, created(owner, "Task")).await;
    }
    let poison = log
        .task(
            5,
            owner,
            TaskRenamed {
                title: "poison".to_owned(),
            },
        )
        .await;
    for number in 0..10 {
        log.task(number, owner, TaskCompleted {}).await;
    }
    log.task(
        5,
        owner,
        TaskRenamed {
            title: "Cured".to_owned(),
        },
    )
    .await;
    let running = ground.project(2, InProcessBus::new()).await;
    assert_refused(&ground, poison).await;
    let retried = retry(ground.store.as_ref(), &ground.read_models, &stream)
        .await
        .unwrap();
    assert_eq!(
        retried,
        Retried {
            projected: 0,
            parked: 3
        }
    );
    if ground.is_postgres() {
        ground.run("ALTER TABLE tasks DROP CONSTRAINT no_poison").await;
    } else {
        ground.run("DROP TRIGGER no_INSERT").await;
        ground.run("DROP TRIGGER no_UPDATE").await;
    }
    let retried = retry(ground.store.as_ref(), &ground.read_models, &stream)
        .await
        .unwrap();
    assert_eq!(
        retried,
        Retried {
            projected: 3,
            parked: 0
        }
    );
    let report = ground.settled().await;
    assert_eq!((report.tasks, report.audit, report.parked), (10, 22, 0));
    assert_eq!(title(&ground, 5).await, "Cured");
    running.stop().await;
}

/// The poison alone cannot be projected, which the fold does not know: only the refusing database does.
async fn assert_refused(ground: &Ground, poison: u64) {
    super::ground::eventually("the whole log is projected", async || {
        ground.count("audit_log").await == 22
    })
    .await;
    super::ground::eventually("the stream is parked", async || {
        ground.count("parked_events").await == 3
    })
    .await;
    let list = parked(&ground.read_models).await.unwrap();
    assert_eq!(list[0].position, poison);
    assert!(
        list[0].reason.starts_with("the database refuses it"),
        "{}",
        list[0].reason
    );
    assert_eq!(list[1].reason, "an earlier event of its stream is parked");
    let done = ground.rows("SELECT id FROM tasks WHERE status = 'done'").await;
    assert_eq!(done.len(), 9, "every other stream flows");
}

pub(crate) async fn text_with_nul_is_parked(ground: Ground) {
    let mut log = Writer::new(&ground.store);
    let owner = user(1);
    log.task(1, owner, created(owner, "a\0b")).await;
    log.task(2, owner, created(owner, "Two")).await;
    log.task(
        2,
        owner,
        TaskRenamed {
            title: "\0".to_owned(),
        },
    )
    .await;
    log.account(owner, registered("nul\0@example.org")).await;
    log.append_raw(
        &StreamName::raw("odd\u{7f}"),
        owner,
        "odd.\u{7f}",
        Bytes::from_static(b"{}"),
    )
    .await;
    log.task(3, owner, created(owner, "Three")).await;
    let report = ground.catch_up(1).await;
    assert_eq!(
        (report.tasks, report.accounts, report.audit, report.parked),
        (2, 0, 6, 4)
    );
    let reasons = parked(&ground.read_models).await.unwrap();
    assert!(
        reasons[0].reason.contains("title contains U+0000"),
        "{}",
        reasons[0].reason
    );
    assert!(
        reasons[2].reason.contains("email contains U+0000"),
        "{}",
        reasons[2].reason
    );
}

pub(crate) async fn a_misplaced_event_is_parked(ground: Ground) {
    let mut log = Writer::new(&ground.store);
    let owner = user(1);
    // Not the beginning of a task, someone else's task, another kind of stream.
    log.task(1, owner, TaskCompleted {}).await;
    log.task(2, owner, created(user(2), "Not mine")).await;
    log.append(
        &StreamName::session(super::writer::session(1)),
        owner,
        created(owner, "No session").encode(),
    )
    .await;
    log.task(3, owner, created(owner, "Three")).await;
    let report = ground.catch_up(1).await;
    assert_eq!(
        (report.tasks, report.sessions, report.audit, report.parked),
        (1, 0, 4, 3)
    );
    let reasons: Vec<String> = parked(&ground.read_models)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.reason)
        .collect();
    assert_eq!(
        reasons,
        [
            "its stream does not begin with this type",
            "its subject is not the one whom its stream is about",
            "its type does not belong into its stream"
        ]
    );
}
