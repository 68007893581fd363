//! Laws of decisions, for any history and any command.

use events::{
    Aggregate as _, Description, Due, Priority, Status, Tags, Task, TaskCancelled, TaskCompleted,
    TaskCreated, TaskDeleted, TaskDescribed, TaskEvent, TaskPrioritized, TaskRenamed, TaskReopened,
    TaskRestored, TaskScheduled, TaskStarted, TaskTagged, Timestamp, Title,
};
use proptest::{option, prelude::*, sample::select};

use super::{
    CancelTask, ChangeTask, Command, CompleteTask, Context, CreateTask, DeleteTask, ExpectedVersion,
    ReopenTask, RestoreTask, RevertTask, StartTask, UndoTask, decide,
    scenario::{OWNER, STRANGER, TASK, created, fold},
};

fn status() -> impl Strategy<Value = Status> {
    select(Status::ALL)
}

fn priority() -> impl Strategy<Value = Priority> {
    select(Priority::ALL)
}

fn due() -> impl Strategy<Value = Due> {
    prop_oneof![
        (0..Timestamp::MAX.as_micros()).prop_map(|micros| Due::At(Timestamp::from_micros(micros))),
        select(vec!["1970-01-01", "2024-02-29", "9999-12-31"]).prop_map(|day| day.parse().unwrap()),
    ]
}

// A small alphabet, so that wanted and present values are often equal.
fn short() -> impl Strategy<Value = String> {
    "[abü]{1,2}"
}

fn tag_list() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::hash_set("[abc]", 0..3).prop_map(|tags| tags.into_iter().collect())
}

fn event() -> impl Strategy<Value = TaskEvent> {
    prop_oneof![
        (short(), option::of(short()), priority(), option::of(due()), tag_list()).prop_map(
            |(title, description, priority, due, tags)| {
                TaskCreated { owner: OWNER, title, description, priority, due, tags }.into()
            }
        ),
        short().prop_map(|title| TaskRenamed { title }.into()),
        option::of(short()).prop_map(|description| TaskDescribed { description }.into()),
        priority().prop_map(|priority| TaskPrioritized { priority }.into()),
        option::of(due()).prop_map(|due| TaskScheduled { due }.into()),
        tag_list().prop_map(|tags| TaskTagged { tags }.into()),
        Just(TaskStarted {}.into()),
        Just(TaskCompleted {}.into()),
        Just(TaskCancelled {}.into()),
        Just(TaskReopened {}.into()),
        Just(TaskDeleted {}.into()),
        Just(TaskRestored {}.into()),
    ]
}

fn change() -> impl Strategy<Value = ChangeTask> {
    (
        option::of(short()),
        option::of(option::of(short())),
        option::of(priority()),
        option::of(option::of(due())),
        option::of(tag_list()),
        option::of(status()),
    )
        .prop_map(|(title, description, priority, due, tags, status)| ChangeTask {
            title: title.map(|title| Title::parse(&title).unwrap()),
            description: description.map(|text| text.map(|text| Description::parse(&text).unwrap())),
            priority,
            due,
            tags: tags.map(|tags| Tags::parse(tags.iter().map(String::as_str)).unwrap()),
            status,
        })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (short(), option::of(short()), priority(), option::of(due()), tag_list()).prop_map(
            |(title, description, priority, due, tags)| {
                CreateTask {
                    title: Title::parse(&title).unwrap(),
                    description: description.map(|text| Description::parse(&text).unwrap()),
                    priority,
                    due,
                    tags: Tags::parse(tags.iter().map(String::as_str)).unwrap(),
                }
                .into()
            }
        ),
        change().prop_map(Command::from),
        Just(StartTask.into()),
        Just(CompleteTask.into()),
        Just(CancelTask.into()),
        Just(ReopenTask.into()),
        Just(DeleteTask.into()),
        Just(RestoreTask.into()),
    ]
}

fn context() -> impl Strategy<Value = Context> {
    (
        select(vec![OWNER, OWNER, OWNER, STRANGER]),
        option::weighted(0.2, proptest::collection::vec(1..6_u64, 0..3)),
    )
        .prop_map(|(caller, versions)| Context {
            task: TASK,
            caller,
            expected: versions.map_or(ExpectedVersion::Any, ExpectedVersion::OneOf),
        })
}

/// `state` after `events`.
fn apply(state: Option<Task>, events: &[TaskEvent]) -> Option<Task> {
    let (version, at) =
        state.as_ref().map_or((0, Timestamp::from_micros(0)), |task| (task.version, task.updated_at));
    events
        .iter()
        .zip(version + 1..)
        .fold(state, |state, (event, version)| Task::evolve(state, &TASK, event, version, at.plus_seconds(1)))
}

/// Whether `task` already is as `command` wants it.
fn fulfils(task: &Task, command: &Command) -> bool {
    match command {
        Command::Create(create) => {
            task.title == create.title.as_str()
                && task.description.as_deref() == create.description.as_ref().map(Description::as_str)
                && task.priority == create.priority
                && task.due == create.due
                && task.tags == create.tags.as_slice()
                && task.status == Status::Open
                && task.owner == OWNER
        }
        Command::Change(change) => {
            change.title.as_ref().is_none_or(|title| title.as_str() == task.title)
                && change.description.as_ref().is_none_or(|wanted| {
                    wanted.as_ref().map(Description::as_str) == task.description.as_deref()
                })
                && change.priority.is_none_or(|priority| priority == task.priority)
                && change.due.is_none_or(|due| due == task.due)
                && change.tags.as_ref().is_none_or(|tags| tags.as_slice() == task.tags)
                && change.status.is_none_or(|status| status == task.status)
        }
        Command::Revert(revert) => revert.was.as_ref().is_some_and(|was| {
            let there = Task {
                updated_at: task.updated_at,
                completed_at: task.completed_at,
                deleted_at: task.deleted_at,
                version: task.version,
                ..Task::clone(was)
            };
            *task == there && task.deleted_at.is_some() == was.deleted_at.is_some()
        }),
        Command::Start(_) => task.status == Status::InProgress,
        Command::Complete(_) => task.status == Status::Done && task.completed_at.is_some(),
        Command::Cancel(_) => task.status == Status::Cancelled,
        Command::Reopen(_) => task.status == Status::Open && task.completed_at.is_none(),
        Command::Delete(_) => task.deleted_at.is_some(),
        Command::Restore(_) => task.deleted_at.is_none(),
        Command::Undo(undo) => undo.decide(task).is_ok_and(|events| events.is_empty()),
    }
}

proptest! {
    #[test]
    fn what_is_undone_is_as_before_and_stays_so(
        history in proptest::collection::vec(event(), 1..12),
        begin in any::<prop::sample::Index>(),
        since in proptest::collection::vec(event(), 0..3),
    ) {
        let history = [vec![created()], history].concat();
        let begin = begin.index(history.len());
        let mut undo = UndoTask::default();
        for index in begin..history.len() {
            undo.note(fold(&history[..index]).as_ref(), &fold(&history[..=index]).unwrap());
        }
        let context = Context {
            task: TASK,
            caller: OWNER,
            expected: ExpectedVersion::Any,
        };
        let command = Command::from(undo);
        // Right afterwards an undo always works, except for tasks that were in the trash all the time.
        let (was, is) = (fold(&history[..begin]), fold(&history).unwrap());
        if let Ok(events) = decide(Some(&is), &command, &context) {
            let after = fold(&[history.clone(), events].concat()).unwrap();
            prop_assert!(fulfils(&after, &command));
            // What the events created is in the trash, as they left it.
            let was = was.unwrap_or(Task { deleted_at: Some(is.updated_at), ..is });
            prop_assert_eq!(&after.title, &was.title);
            prop_assert_eq!(&after.tags, &was.tags);
            prop_assert_eq!(after.status, was.status);
            prop_assert_eq!(after.deleted_at.is_some(), was.deleted_at.is_some());
        } else {
            prop_assert!(was.is_some_and(|was| was.deleted_at.is_some() || is.deleted_at.is_some()));
        }
        // After any later events it is undone as a whole or not at all.
        let history = [history, since].concat();
        if let Ok(events) = decide(fold(&history).as_ref(), &command, &context) {
            prop_assert!(fulfils(&fold(&[history, events].concat()).unwrap(), &command));
        }
    }

    /// This also shows that no decision panics.
    #[test]
    fn going_back_and_then_forth_leads_to_where_it_began(
        history in proptest::collection::vec(event(), 0..12),
        back in any::<prop::sample::Index>(),
    ) {
        let mut history = [vec![created()], history].concat();
        let then = back.index(history.len()) + 1;
        let (was, is) = (fold(&history[..then]).unwrap(), fold(&history).unwrap());
        prop_assume!(was.deleted_at.is_none() && is.deleted_at.is_none());
        let context = Context {
            task: TASK,
            caller: OWNER,
            expected: ExpectedVersion::Any,
        };
        for goal in [was, is] {
            let now = fold(&history);
            let command = RevertTask {
                to_version: goal.version,
                was: Some(Box::new(goal.clone())),
            };
            history.extend(decide(now.as_ref(), &command.into(), &context).unwrap());
            let there = fold(&history).unwrap();
            let same = Task {
                updated_at: there.updated_at,
                completed_at: there.completed_at,
                version: there.version,
                ..goal.clone()
            };
            prop_assert_eq!(there.completed_at.is_some(), goal.completed_at.is_some());
            prop_assert_eq!(there, same);
        }
    }

    #[test]
    fn what_is_accepted_comes_true(
        history in proptest::collection::vec(event(), 0..12),
        command in command(),
        context in context(),
    ) {
        let state = fold(&history);
        if let Ok(events) = decide(state.as_ref(), &command, &context) {
            prop_assert!(matches!(command, Command::Create(_)) || context.caller == OWNER);
            let after = apply(state, &events);
            let context = Context { caller: after.as_ref().unwrap().owner, ..context };
            prop_assert!(context.caller != OWNER || fulfils(&after.unwrap(), &command));
        }
    }

    #[test]
    fn asking_again_changes_nothing(
        history in proptest::collection::vec(event(), 0..12),
        command in command(),
    ) {
        let context = Context { task: TASK, caller: OWNER, expected: ExpectedVersion::Any };
        let state = fold(&history);
        if let Ok(events) = decide(state.as_ref(), &command, &context)
            && !matches!(command, Command::Create(_))
        {
            let after = apply(state, &events);
            prop_assert_eq!(decide(after.as_ref(), &command, &context), Ok(vec![]));
        }
    }

    #[test]
    fn what_is_as_wanted_leaves_no_event(
        history in proptest::collection::vec(event(), 0..12),
        command in command(),
    ) {
        let context = Context { task: TASK, caller: OWNER, expected: ExpectedVersion::Any };
        if let Some(task) = fold(&history)
            && !matches!(command, Command::Create(_))
            && let Ok(events) = decide(Some(&task), &command, &context)
        {
            prop_assert_eq!(events.is_empty(), fulfils(&task, &command));
        }
    }

    #[test]
    fn every_event_of_a_change_changes_something(
        history in proptest::collection::vec(event(), 0..12),
        change in change(),
    ) {
        let context = Context { task: TASK, caller: OWNER, expected: ExpectedVersion::Any };
        let mut state = fold(&history);
        if let Ok(events) = decide(state.as_ref(), &change.into(), &context) {
            for event in events {
                let before = state.clone().unwrap();
                state = apply(state, &[event]);
                let after = Task { version: before.version, updated_at: before.updated_at, ..state.clone().unwrap() };
                prop_assert_ne!(before, after);
            }
        }
    }
}
