//! The rows of "Tasks: commands" in the HTTP contract (`docs/api.md`) about reverting and undoing, as decisions.

use events::{
    Status, TaskCompleted, TaskDeleted, TaskEvent, TaskRenamed, TaskReopened, TaskRestored, TaskStarted,
    TaskTagged,
};

use super::{
    Refusal, RevertTask, UndoTask,
    scenario::{OWNER, STATUSES, STRANGER, TASK, created, fold, given, history_to, revert_to},
};

#[test]
fn a_task_is_brought_back_field_by_field() {
    let renamed = TaskRenamed { title: "Buy bread".into() };
    let tagged = TaskTagged { tags: vec!["home".into()] };
    let history = [created(), renamed.into(), tagged.into(), TaskCompleted {}.into()];
    given(history.clone()).when(revert_to(&history[..1])).then([
        TaskRenamed { title: "Buy milk".into() }.into(),
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
            let context = super::Context { task: TASK, caller: OWNER, expected: super::ExpectedVersion::Any };
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
    given(history.clone()).when(revert_to(&history[..2])).then([TaskDeleted {}.into()]);
    let was = revert_to(&history[..1]);
    history.push(TaskDeleted {}.into());
    given(history).when(was).then_refused(Refusal::TaskIsDeleted { id: TASK });
}

#[test]
fn a_task_is_not_brought_back_to_what_it_never_was() {
    let nowhere = |to_version| RevertTask { to_version, was: None };
    given([created()]).when(nowhere(2)).then_refused(Refusal::NoSuchVersion { version: 2 });
    let ahead = revert_to(&[created(), TaskStarted {}.into()]);
    given([created()]).when(ahead).then_refused(Refusal::NoSuchVersion { version: 2 });
}

/// A command that undoes the events of `history` from `from` to `to`, counted from 0, including the last one.
fn undo_of(history: &[TaskEvent], from: usize, to: usize) -> UndoTask {
    let mut undo = UndoTask::default();
    for index in from..=to {
        undo.note(fold(&history[..index]).as_ref(), &fold(&history[..=index]).unwrap());
    }
    undo
}

fn renamed(title: &str) -> TaskEvent {
    TaskRenamed { title: title.into() }.into()
}

#[test]
fn what_events_did_is_taken_back_and_what_came_after_them_stays() {
    let tagged = TaskTagged { tags: vec!["home".into()] };
    let history = [created(), renamed("Buy bread"), TaskCompleted {}.into(), tagged.into()];
    let undo = undo_of(&history, 1, 2);
    let back = [renamed("Buy milk"), TaskReopened {}.into()];
    given(history.clone()).when(undo.clone()).then(back.clone());
    // Undoing again changes nothing.
    given([&history[..], &back].concat()).when(undo).then_nothing();
    // A field that the same request changed and changed back is unchanged.
    let there_and_back = [created(), renamed("a"), renamed("Buy milk"), renamed("b")];
    given(there_and_back.clone()).when(undo_of(&there_and_back, 1, 2)).then_nothing();
}

#[test]
fn what_was_changed_again_since_is_not_taken_back() {
    let history = [created(), renamed("Buy bread"), TaskStarted {}.into(), renamed("Buy jam")];
    given(history.clone()).when(undo_of(&history, 1, 2)).then_refused(Refusal::ChangedSince);
    given(history.clone()).when(undo_of(&history, 2, 2)).then([TaskReopened {}.into()]);
    given(history.clone()).when(undo_of(&history, 0, 0)).then_refused(Refusal::ChangedSince);
}

#[test]
fn a_creation_is_taken_back_into_the_trash_and_a_deletion_out_of_it() {
    let history = [created(), TaskDeleted {}.into()];
    given([created()]).when(undo_of(&history, 0, 0)).then([TaskDeleted {}.into()]);
    given(history.clone()).when(undo_of(&history, 0, 0)).then_nothing();
    given(history.clone()).when(undo_of(&history, 1, 1)).then([TaskRestored {}.into()]);
    let restored = [&history[..], &[TaskRestored {}.into()]].concat();
    given(restored.clone()).when(undo_of(&restored, 2, 2)).then([TaskDeleted {}.into()]);
    given(restored.clone()).when(undo_of(&restored, 1, 1)).then_nothing();
}

#[test]
fn what_a_request_created_and_then_changed_is_taken_back_as_a_whole() {
    let history = [created(), renamed("Buy bread"), TaskStarted {}.into()];
    given(history.clone()).when(undo_of(&history, 0, 2)).then([TaskDeleted {}.into()]);
    // In the trash there is nothing left to take back.
    let trashed = [&history[..], &[TaskDeleted {}.into()]].concat();
    given(trashed).when(undo_of(&history, 0, 2)).then_nothing();
    // What others changed stays, also if they did so between two changes of the request.
    let since = [&history[..], &[renamed("Buy jam")]].concat();
    given(since).when(undo_of(&history, 0, 2)).then_refused(Refusal::ChangedSince);
    let mut undo = undo_of(&history, 0, 0);
    undo.note(fold(&history[..2]).as_ref(), &fold(&history).unwrap());
    given(history).when(undo).then_refused(Refusal::ChangedSince);
}

#[test]
fn in_the_trash_nothing_is_taken_back_but_the_way_there() {
    let history = [created(), renamed("Buy bread"), TaskDeleted {}.into()];
    given(history.clone()).when(undo_of(&history, 1, 1)).then_refused(Refusal::TaskIsDeleted { id: TASK });
    given(history.clone()).when(undo_of(&history, 1, 2)).then([TaskRestored {}.into(), renamed("Buy milk")]);
    given(history.clone())
        .asked_by(STRANGER)
        .when(undo_of(&history, 1, 2))
        .then_refused(Refusal::NotOwner { id: TASK, owner: OWNER });
}

#[test]
fn what_was_changed_again_is_in_the_trash_like_everything_else() {
    let is_deleted = Refusal::TaskIsDeleted { id: TASK };
    let history = [created(), renamed("Buy bread"), renamed("Buy jam"), TaskDeleted {}.into()];
    given(history.clone()).when(undo_of(&history, 1, 1)).then_refused(is_deleted);
    given(history.clone()).when(undo_of(&history, 2, 2)).then_refused(is_deleted);
    // The request that changed it first also put it there.
    let mut undo = undo_of(&history, 1, 1);
    undo.note(fold(&history[..3]).as_ref(), &fold(&history).unwrap());
    given(history).when(undo).then_refused(Refusal::ChangedSince);
}
