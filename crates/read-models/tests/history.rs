//! Laws of the history of a task, for any events in any order.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use events::{
    Aggregate as _, Due, Priority, Task, TaskCancelled, TaskCompleted, TaskCreated, TaskDeleted,
    TaskDescribed, TaskEvent, TaskId, TaskPrioritized, TaskRenamed, TaskReopened, TaskRestored,
    TaskScheduled, TaskStarted, TaskTagged, Timestamp, UserId,
};
use proptest::{collection, option, prelude::*, sample::select};
use read_models::TaskChange;
use uuid::Uuid;

const TASK: TaskId = TaskId(Uuid::from_u128(1));

fn text() -> impl Strategy<Value = String> {
    select(vec!["", "one", "two", "\"drei\"\n"]).prop_map(str::to_owned)
}

fn tags() -> impl Strategy<Value = Vec<String>> {
    collection::vec(text(), 0..3)
}

fn priority() -> impl Strategy<Value = Priority> {
    select(Priority::ALL)
}

fn due() -> impl Strategy<Value = Option<Due>> {
    option::of(select(vec!["2026-12-01", "2026-12-01T09:00:00.000001Z"]).prop_map(|due| due.parse().unwrap()))
}

fn created() -> impl Strategy<Value = TaskEvent> {
    (text(), option::of(text()), priority(), due(), tags()).prop_map(
        |(title, description, priority, due, tags)| {
            TaskCreated { owner: UserId(Uuid::nil()), title, description, priority, due, tags }.into()
        },
    )
}

fn event() -> impl Strategy<Value = TaskEvent> {
    prop_oneof![
        1 => created(),
        2 => text().prop_map(|title| TaskRenamed { title }.into()),
        2 => option::of(text()).prop_map(|description| TaskDescribed { description }.into()),
        2 => priority().prop_map(|priority| TaskPrioritized { priority }.into()),
        2 => due().prop_map(|due| TaskScheduled { due }.into()),
        2 => tags().prop_map(|tags| TaskTagged { tags }.into()),
        6 => select(vec![
            TaskEvent::from(TaskStarted {}),
            TaskCompleted {}.into(),
            TaskCancelled {}.into(),
            TaskReopened {}.into(),
            TaskDeleted {}.into(),
            TaskRestored {}.into(),
        ]),
    ]
}

/// Every state of a task, the first first.
fn states(first: TaskEvent, events: Vec<TaskEvent>) -> Vec<Task> {
    let mut states: Vec<Task> = Vec::new();
    for (event, version) in std::iter::once(first).chain(events).zip(1_u32..) {
        let before = states.last().cloned();
        let at = Timestamp::from_micros(i64::from(version) * 1_000);
        states.extend(Task::evolve(before, &TASK, &event, version.into(), at));
    }
    states
}

/// What the column `state` holds for two tasks, as earlier releases have written it. `verify` compares the bytes.
const STORED: [&str; 2] = [
    r#"{"id":"00000000-0000-0000-0000-000000000001","title":"one","description":null,"status":"in_progress","priority":"high","due":"2026-12-01","tags":["two"],"created_at":"1970-01-01T00:00:00.001Z","updated_at":"1970-01-01T00:00:00.002Z","completed_at":null,"deleted_at":null,"version":2}"#,
    r#"{"id":"00000000-0000-0000-0000-000000000001","title":"\"drei\"\n","description":"zwölf","status":"done","priority":"normal","due":"2026-12-01T09:00:00.000001Z","tags":[],"created_at":"1970-01-01T00:00:00.001Z","updated_at":"1970-01-01T00:00:00.003Z","completed_at":"1970-01-01T00:00:00.002Z","deleted_at":"1970-01-01T00:00:00.003Z","version":3}"#,
];

#[test]
fn a_state_has_the_bytes_that_rows_hold_and_not_its_owner() {
    let high = TaskCreated {
        owner: UserId(Uuid::from_u128(2)),
        title: "one".to_owned(),
        description: None,
        priority: Priority::High,
        due: Some("2026-12-01".parse().unwrap()),
        tags: vec!["two".to_owned()],
    };
    let normal = TaskCreated {
        title: "\"drei\"\n".to_owned(),
        description: Some("zwölf".to_owned()),
        priority: Priority::Normal,
        due: Some("2026-12-01T09:00:00.000001Z".parse().unwrap()),
        tags: Vec::new(),
        ..high.clone()
    };
    let histories =
        [(high, vec![TaskStarted {}.into()]), (normal, vec![TaskCompleted {}.into(), TaskDeleted {}.into()])];
    for ((created, events), stored) in histories.into_iter().zip(STORED) {
        let mut state = states(created.into(), events).pop().unwrap();
        assert_eq!(serde_json::to_string(&state).unwrap(), stored);
        state.owner = UserId::NOBODY;
        assert_eq!(serde_json::from_str::<Task>(stored).unwrap(), state);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_changes_applied_in_order_give_every_state(first in created(), events in collection::vec(event(), 0..30)) {
        let states = states(first, events);
        let mut past = Task::blank(TASK, states[0].created_at);
        let mut before = None;
        for state in &states {
            let written = serde_json::to_string(&TaskChange::between(before, state)).unwrap();
            let changes = serde_json::from_str(&written).unwrap();
            past = TaskChange::apply(changes, past, state.version, state.updated_at);
            prop_assert_eq!(&past, state);
            before = Some(state);
        }
    }

    #[test]
    fn each_change_begins_with_what_the_one_before_it_led_to(first in created(), events in collection::vec(event(), 0..30)) {
        let states = states(first, events);
        let mut shown = serde_json::to_value(&states[0]).unwrap();
        for pair in states.windows(2) {
            for change in TaskChange::between(Some(&pair[0]), &pair[1]) {
                let change = serde_json::to_value(change).unwrap();
                let field = change["field"].as_str().unwrap();
                prop_assert_eq!(&shown[field], &change["from"]);
                prop_assert_ne!(&change["from"], &change["to"]);
                shown[field] = change["to"].clone();
            }
        }
        let last = serde_json::to_value(states.last().unwrap()).unwrap();
        for field in ["title", "description", "status", "priority", "due", "tags", "completed_at", "deleted_at"] {
            prop_assert_eq!(&shown[field], &last[field]);
        }
    }

    #[test]
    fn a_state_read_back_is_the_state(first in created(), events in collection::vec(event(), 0..10)) {
        for state in states(first, events) {
            let written = serde_json::to_string(&state).unwrap();
            prop_assert_eq!(serde_json::from_str::<Task>(&written).unwrap(), state);
        }
    }
}
