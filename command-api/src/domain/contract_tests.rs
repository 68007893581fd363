//! Every row of "Tasks: commands" in the HTTP contract (`docs/api.md`), as decisions. Those about reverting and undoing
//! are in `taking_back_tests.rs`.

use events::{
    Description, Priority, Status, Tags, TaskCancelled, TaskCompleted, TaskCreated, TaskDeleted,
    TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed, TaskReopened, TaskRestored, TaskScheduled,
    TaskStarted, TaskTagged,
};

use super::{
    CancelTask, ChangeTask, Command, CompleteTask, CreateTask, DeleteTask, Refusal, ReopenTask, RestoreTask,
    StartTask,
    scenario::{OWNER, STATUSES, STRANGER, TASK, created, given, history_to, revert_to, title},
};

fn deleted() -> Vec<TaskEvent> {
    vec![created(), TaskDeleted {}.into()]
}

fn create() -> CreateTask {
    CreateTask {
        title: title("Buy milk"),
        description: Some(Description::parse("two litres").unwrap()),
        priority: Priority::High,
        due: Some("2026-12-01".parse().unwrap()),
        tags: Tags::parse(["home", "shop"]).unwrap(),
    }
}

/// Every command but the creation.
fn others() -> Vec<Command> {
    vec![
        ChangeTask { title: Some(title("Buy bread")), ..ChangeTask::default() }.into(),
        StartTask.into(),
        CompleteTask.into(),
        CancelTask.into(),
        ReopenTask.into(),
        DeleteTask.into(),
        RestoreTask.into(),
        revert_to(&[created()]).into(),
    ]
}

#[test]
fn a_creation_makes_an_open_task_of_the_caller() {
    given([]).when(create()).then([TaskCreated {
        owner: OWNER,
        title: "Buy milk".into(),
        description: Some("two litres".into()),
        priority: Priority::High,
        due: Some("2026-12-01".parse().unwrap()),
        tags: vec!["home".into(), "shop".into()],
    }
    .into()]);
}

#[test]
fn a_creation_never_meets_a_task() {
    given([created()]).when(create()).then_refused(Refusal::TaskExists { id: TASK });
    given(deleted()).when(create()).then_refused(Refusal::TaskExists { id: TASK });
}

#[test]
fn nothing_happens_to_a_task_that_is_not_there() {
    for command in others() {
        given([]).when(command).then_refused(Refusal::TaskNotFound { id: TASK });
    }
}

#[test]
fn nothing_happens_to_someone_elses_task_whatever_its_state_and_version() {
    for command in others() {
        for history in [vec![created()], deleted()] {
            given(history)
                .asked_by(STRANGER)
                .if_match(&[99])
                .when(command.clone())
                .then_refused(Refusal::NotOwner { id: TASK, owner: OWNER });
        }
    }
}

#[test]
fn a_deleted_task_is_gone_for_all_but_delete_and_restore() {
    for command in others() {
        let when = given(deleted()).when(command.clone());
        match command {
            Command::Delete(_) => when.then_nothing(),
            Command::Restore(_) => when.then([TaskRestored {}.into()]),
            _ => when.then_refused(Refusal::TaskIsDeleted { id: TASK }),
        }
    }
}

#[test]
fn a_deleted_task_is_gone_before_its_version_is_looked_at() {
    given(deleted()).if_match(&[1]).when(StartTask).then_refused(Refusal::TaskIsDeleted { id: TASK });
}

#[test]
fn a_restored_task_stands_where_it_stood() {
    given([created(), TaskCompleted {}.into(), TaskDeleted {}.into(), TaskRestored {}.into()])
        .when(CompleteTask)
        .then_nothing();
}

#[test]
fn restoring_what_is_not_in_the_trash_changes_nothing() {
    given([created()]).when(RestoreTask).then_nothing();
}

#[test]
fn deleting_works_in_every_status() {
    for status in STATUSES {
        given(history_to(status)).when(DeleteTask).then([TaskDeleted {}.into()]);
    }
}

/// The event for a change of status, or the refusal, according to the contract.
fn expected(from: Status, to: Status) -> Result<Option<TaskEvent>, Refusal> {
    use Status::{Cancelled, Done, InProgress, Open};
    let illegal = Err(Refusal::IllegalTransition { from, to });
    match from {
        Open => match to {
            Open => Ok(None),
            InProgress => Ok(Some(TaskStarted {}.into())),
            Done => Ok(Some(TaskCompleted {}.into())),
            Cancelled => Ok(Some(TaskCancelled {}.into())),
        },
        InProgress => match to {
            Open => Ok(Some(TaskReopened {}.into())),
            InProgress => Ok(None),
            Done => Ok(Some(TaskCompleted {}.into())),
            Cancelled => Ok(Some(TaskCancelled {}.into())),
        },
        Done => match to {
            Open => Ok(Some(TaskReopened {}.into())),
            Done => Ok(None),
            InProgress | Cancelled => illegal,
        },
        Cancelled => match to {
            Open => Ok(Some(TaskReopened {}.into())),
            Cancelled => Ok(None),
            InProgress | Done => illegal,
        },
    }
}

#[test]
fn every_pair_of_statuses_follows_the_table_by_verb_and_by_change() {
    for from in STATUSES {
        for to in STATUSES {
            let verb: Command = match to {
                Status::Open => ReopenTask.into(),
                Status::InProgress => StartTask.into(),
                Status::Done => CompleteTask.into(),
                Status::Cancelled => CancelTask.into(),
            };
            let change = ChangeTask { status: Some(to), ..ChangeTask::default() };
            for command in [verb, change.into()] {
                let when = given(history_to(from)).when(command);
                match expected(from, to) {
                    Ok(event) => when.then(event.into_iter().collect::<Vec<_>>()),
                    Err(refusal) => when.then_refused(refusal),
                }
            }
        }
    }
}

#[test]
fn a_change_of_everything_is_one_event_for_each_field() {
    given([created()])
        .when(ChangeTask {
            title: Some(title("Buy bread")),
            description: Some(Some(Description::parse("rye").unwrap())),
            priority: Some(Priority::Urgent),
            due: Some(Some("2026-12-01T09:00:00Z".parse().unwrap())),
            tags: Some(Tags::parse(["shop"]).unwrap()),
            status: Some(Status::Done),
        })
        .then([
            TaskRenamed { title: "Buy bread".into() }.into(),
            TaskDescribed { description: Some("rye".into()) }.into(),
            TaskPrioritized { priority: Priority::Urgent }.into(),
            TaskScheduled { due: Some("2026-12-01T09:00:00Z".parse().unwrap()) }.into(),
            TaskTagged { tags: vec!["shop".into()] }.into(),
            TaskCompleted {}.into(),
        ]);
}

#[test]
fn a_change_can_clear_description_due_and_tags() {
    let full = TaskCreated {
        owner: OWNER,
        title: "Buy milk".into(),
        description: Some("two litres".into()),
        priority: Priority::Normal,
        due: Some("2026-12-01".parse().unwrap()),
        tags: vec!["home".into()],
    };
    let clear = ChangeTask {
        description: Some(None),
        due: Some(None),
        tags: Some(Tags::default()),
        ..ChangeTask::default()
    };
    given([full.into()]).when(clear.clone()).then([
        TaskDescribed { description: None }.into(),
        TaskScheduled { due: None }.into(),
        TaskTagged { tags: vec![] }.into(),
    ]);
    given([created()]).when(clear).then_nothing();
}

#[test]
fn an_empty_description_is_not_none() {
    given([created()])
        .when(ChangeTask {
            description: Some(Some(Description::parse("").unwrap())),
            ..ChangeTask::default()
        })
        .then([TaskDescribed { description: Some(String::new()) }.into()]);
}

#[test]
fn a_change_of_nothing_is_nothing() {
    given([created()]).when(ChangeTask::default()).then_nothing();
    given([created()])
        .when(ChangeTask {
            title: Some(title("Buy milk")),
            priority: Some(Priority::Normal),
            status: Some(Status::Open),
            ..ChangeTask::default()
        })
        .then_nothing();
}

#[test]
fn the_order_of_tags_matters() {
    let tagged = TaskTagged { tags: vec!["a".into(), "b".into()] };
    given([created(), tagged.into()])
        .when(ChangeTask { tags: Some(Tags::parse(["b", "a"]).unwrap()), ..ChangeTask::default() })
        .then([TaskTagged { tags: vec!["b".into(), "a".into()] }.into()]);
}

#[test]
fn a_change_that_is_refused_in_part_does_nothing() {
    given(history_to(Status::Done))
        .when(ChangeTask {
            title: Some(title("Buy bread")),
            status: Some(Status::Cancelled),
            ..ChangeTask::default()
        })
        .then_refused(Refusal::IllegalTransition { from: Status::Done, to: Status::Cancelled });
}

#[test]
fn a_stale_version_is_refused_before_an_illegal_transition() {
    given(history_to(Status::Done))
        .if_match(&[1])
        .when(StartTask)
        .then_refused(Refusal::VersionMismatch { actual: 2 });
    given(history_to(Status::Done))
        .if_match(&[2])
        .when(StartTask)
        .then_refused(Refusal::IllegalTransition { from: Status::Done, to: Status::InProgress });
}

#[test]
fn any_of_several_versions_will_do() {
    given([created()]).if_match(&[7, 1]).when(StartTask).then([TaskStarted {}.into()]);
    given([created()]).if_match(&[]).when(StartTask).then_refused(Refusal::VersionMismatch { actual: 1 });
}
