//! Every row of "Tasks: commands" in the HTTP contract (`docs/api.md`), as decisions.

use events::{
    Description, Priority, Status, Tags, TaskCancelled, TaskCompleted, TaskCreated, TaskDeleted,
    TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed, TaskReopened, TaskRestored, TaskScheduled,
    TaskStarted, TaskTagged,
};

use super::{
    CancelTask, ChangeTask, Command, CompleteTask, CreateTask, DeleteTask, Refusal, ReopenTask, RestoreTask,
    RevertTask, StartTask, UndoTask,
    scenario::{OWNER, STRANGER, TASK, created, fold, given, history_to, title},
};

const STATUSES: [Status; 4] = [Status::Open, Status::InProgress, Status::Done, Status::Cancelled];

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
        ChangeTask {
            title: Some(title("Buy bread")),
            ..ChangeTask::default()
        }
        .into(),
        StartTask.into(),
        CompleteTask.into(),
        CancelTask.into(),
        ReopenTask.into(),
        DeleteTask.into(),
        RestoreTask.into(),
        revert_to(&[created()]).into(),
    ]
}

/// A command to bring the task back to the end of this history.
fn revert_to(history: &[TaskEvent]) -> RevertTask {
    RevertTask {
        to_version: history.len() as u64,
        was: fold(history).map(Box::new),
    }
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
    given([created()])
        .when(create())
        .then_refused(Refusal::TaskExists { id: TASK });
    given(deleted())
        .when(create())
        .then_refused(Refusal::TaskExists { id: TASK });
}

#[test]
fn nothing_happens_to_a_task_that_is_not_there() {
    for command in others() {
        given([])
            .when(command)
            .then_refused(Refusal::TaskNotFound { id: TASK });
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
                .then_refused(Refusal::NotOwner {
                    id: TASK,
                    owner: OWNER,
                });
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
    given(deleted())
        .if_match(&[1])
        .when(StartTask)
        .then_refused(Refusal::TaskIsDeleted { id: TASK });
}

#[test]
fn a_restored_task_stands_where_it_stood() {
    given([
        created(),
        TaskCompleted {}.into(),
        TaskDeleted {}.into(),
        TaskRestored {}.into(),
    ])
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
        given(history_to(status))
            .when(DeleteTask)
            .then([TaskDeleted {}.into()]);
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
            let change = ChangeTask {
                status: Some(to),
                ..ChangeTask::default()
            };
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
            TaskRenamed {
                title: "Buy bread".into(),
            }
            .into(),
            TaskDescribed {
                description: Some("rye".into()),
            }
            .into(),
            TaskPrioritized {
                priority: Priority::Urgent,
            }
            .into(),
            TaskScheduled {
                due: Some("2026-12-01T09:00:00Z".parse().unwrap()),
            }
            .into(),
            TaskTagged {
                tags: vec!["shop".into()],
            }
            .into(),
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
        .then([TaskDescribed {
            description: Some(String::new()),
        }
        .into()]);
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
    let tagged = TaskTagged {
        tags: vec!["a".into(), "b".into()],
    };
    given([created(), tagged.into()])
        .when(ChangeTask {
            tags: Some(Tags::parse(["b", "a"]).unwrap()),
            ..ChangeTask::default()
        })
        .then([TaskTagged {
            tags: vec!["b".into(), "a".into()],
        }
        .into()]);
}

#[test]
fn a_change_that_is_refused_in_part_does_nothing() {
    given(history_to(Status::Done))
        .when(ChangeTask {
            title: Some(title("Buy bread")),
            status: Some(Status::Cancelled),
            ..ChangeTask::default()
        })
        .then_refused(Refusal::IllegalTransition {
            from: Status::Done,
            to: Status::Cancelled,
        });
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
        .then_refused(Refusal::IllegalTransition {
            from: Status::Done,
            to: Status::InProgress,
        });
}

#[test]
fn any_of_several_versions_will_do() {
    given([created()])
        .if_match(&[7, 1])
        .when(StartTask)
        .then([TaskStarted {}.into()]);
    given([created()])
        .if_match(&[])
        .when(StartTask)
        .then_refused(Refusal::VersionMismatch { actual: 1 });
}

#[test]
fn a_task_is_brought_back_field_by_field() {
    let renamed = TaskRenamed {
        title: "Buy bread".into(),
    };
    let tagged = TaskTagged {
        tags: vec!["home".into()],
    };
    let history = [created(), renamed.into(), tagged.into(), TaskCompleted {}.into()];
    given(history.clone()).when(revert_to(&history[..1])).then([
        TaskRenamed {
            title: "Buy milk".into(),
        }
        .into(),
        TaskTagged { tags: vec![] }.into(),
        TaskReopened {}.into(),
    ]);
    given(history.clone())
        .when(revert_to(&history[..2]))
        .then([TaskTagged { tags: vec![] }.into(), TaskReopened {}.into()]);
    given(history.clone()).when(revert_to(&history)).then_nothing();
}

#[test]
fn a_task_is_brought_back_to_every_status_from_every_other() {
    for from in STATUSES {
        for to in STATUSES {
            let (mut history, was) = (history_to(to), history_to(to));
            if from != to && to != Status::Open {
                history.push(TaskReopened {}.into());
            }
            history.extend(history_to(from).into_iter().skip(1).filter(|_| from != to));
            let context = super::Context {
                task: TASK,
                caller: OWNER,
                expected: super::ExpectedVersion::Any,
            };
            let state = fold(&history);
            let events = super::decide(state.as_ref(), &revert_to(&was).into(), &context).unwrap();
            let after = fold(&[history, events].concat()).unwrap();
            assert_eq!(after.status, to, "from {from:?}");
        }
    }
}

#[test]
fn a_task_is_brought_back_into_the_trash_and_never_out_of_it() {
    let mut history = vec![created(), TaskDeleted {}.into(), TaskRestored {}.into()];
    given(history.clone())
        .when(revert_to(&history[..2]))
        .then([TaskDeleted {}.into()]);
    let was = revert_to(&history[..1]);
    history.push(TaskDeleted {}.into());
    given(history)
        .when(was)
        .then_refused(Refusal::TaskIsDeleted { id: TASK });
}

#[test]
fn a_task_is_not_brought_back_to_what_it_never_was() {
    let nowhere = |to_version| RevertTask {
        to_version,
        was: None,
    };
    given([created()])
        .when(nowhere(2))
        .then_refused(Refusal::NoSuchVersion { version: 2 });
    let ahead = revert_to(&[created(), TaskStarted {}.into()]);
    given([created()])
        .when(ahead)
        .then_refused(Refusal::NoSuchVersion { version: 2 });
}

/// A command that undoes the events of `history` from `from` to `to`, counted from 0, including the last one.
fn undo_of(history: &[TaskEvent], from: usize, to: usize) -> UndoTask {
    let mut undo = UndoTask::default();
    for index in from..=to {
        undo.note(
            fold(&history[..index]).as_ref(),
            &fold(&history[..=index]).unwrap(),
        );
    }
    undo
}

fn renamed(title: &str) -> TaskEvent {
    TaskRenamed { title: title.into() }.into()
}

#[test]
fn what_events_did_is_taken_back_and_what_came_after_them_stays() {
    let tagged = TaskTagged {
        tags: vec!["home".into()],
    };
    let history = [
        created(),
        renamed("Buy bread"),
        TaskCompleted {}.into(),
        tagged.into(),
    ];
    let undo = undo_of(&history, 1, 2);
    let back = [renamed("Buy milk"), TaskReopened {}.into()];
    given(history.clone()).when(undo.clone()).then(back.clone());
    // Undoing again changes nothing.
    given([&history[..], &back].concat()).when(undo).then_nothing();
    // A field that the same request changed and changed back is unchanged.
    let there_and_back = [created(), renamed("a"), renamed("Buy milk"), renamed("b")];
    given(there_and_back.clone())
        .when(undo_of(&there_and_back, 1, 2))
        .then_nothing();
}

#[test]
fn what_was_changed_again_since_is_not_taken_back() {
    let history = [
        created(),
        renamed("Buy bread"),
        TaskStarted {}.into(),
        renamed("Buy jam"),
    ];
    given(history.clone())
        .when(undo_of(&history, 1, 2))
        .then_refused(Refusal::ChangedSince);
    given(history.clone())
        .when(undo_of(&history, 2, 2))
        .then([TaskReopened {}.into()]);
    given(history.clone())
        .when(undo_of(&history, 0, 0))
        .then_refused(Refusal::ChangedSince);
}

#[test]
fn a_creation_is_taken_back_into_the_trash_and_a_deletion_out_of_it() {
    let history = [created(), TaskDeleted {}.into()];
    given([created()])
        .when(undo_of(&history, 0, 0))
        .then([TaskDeleted {}.into()]);
    given(history.clone())
        .when(undo_of(&history, 0, 0))
        .then_nothing();
    given(history.clone())
        .when(undo_of(&history, 1, 1))
        .then([TaskRestored {}.into()]);
    let restored = [&history[..], &[TaskRestored {}.into()]].concat();
    given(restored.clone())
        .when(undo_of(&restored, 2, 2))
        .then([TaskDeleted {}.into()]);
    given(restored.clone())
        .when(undo_of(&restored, 1, 1))
        .then_nothing();
}

#[test]
fn in_the_trash_nothing_is_taken_back_but_the_way_there() {
    let history = [created(), renamed("Buy bread"), TaskDeleted {}.into()];
    given(history.clone())
        .when(undo_of(&history, 1, 1))
        .then_refused(Refusal::TaskIsDeleted { id: TASK });
    given(history.clone())
        .when(undo_of(&history, 1, 2))
        .then([TaskRestored {}.into(), renamed("Buy milk")]);
    given(history.clone())
        .asked_by(STRANGER)
        .when(undo_of(&history, 1, 2))
        .then_refused(Refusal::NotOwner {
            id: TASK,
            owner: OWNER,
        });
}
