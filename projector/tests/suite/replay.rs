//! The law of the projector: for any way in which the log reaches it, all at once or live, with messages lost,
//! repeated and reordered, the rows are the same.

use std::sync::Arc;

use bus::{Bus, EventMessage, InProcessBus};
use events::{
    AccountDisabled, AccountEnabled, AccountErased, AccountRenamed, EndReason, Priority, SessionEnded,
    SessionRefreshed, StreamName, TaskCancelled, TaskCompleted, TaskDeleted, TaskDescribed, TaskPrioritized,
    TaskReopened, TaskRestored, TaskScheduled, TaskStarted, TaskTagged,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};

use super::{
    fixture::Fixture,
    relay::Relay,
    writer::{Writer, created, registered, renamed, started, task, user},
};

const PEOPLE: u128 = 4;

/// An event of one of few people; one that is not possible yet begins a stream instead.
#[derive(Debug, Clone)]
struct Incident {
    person: u128,
    thing: u128,
    what: u8,
}

/// The fate of a message on the bus.
#[derive(Debug, Clone, Copy)]
enum Delivery {
    Arrives,
    IsLost,
    ComesTwice,
    ComesLate,
}

#[derive(Debug, Clone)]
struct History {
    incidents: Vec<Incident>,
    deliveries: Vec<Delivery>,
    /// The numbers of events after which the relay publishes.
    cuts: Vec<usize>,
    partitions: u16,
}

fn history() -> impl Strategy<Value = History> {
    let incident =
        (0..PEOPLE, 0..5_u128, 0..100_u8).prop_map(|(person, thing, what)| Incident { person, thing, what });
    let delivery = prop_oneof![
        6 => Just(Delivery::Arrives),
        1 => Just(Delivery::IsLost),
        1 => Just(Delivery::ComesTwice),
        1 => Just(Delivery::ComesLate),
    ];
    (
        prop::collection::vec(incident, 1..150),
        prop::collection::vec(delivery, 150),
        prop::collection::vec(1..30_usize, 150),
        1..6_u16,
    )
        .prop_map(|(incidents, deliveries, cuts, partitions)| History {
            incidents,
            deliveries,
            cuts,
            partitions,
        })
}

pub(crate) async fn replay_equals_live(fixture: Fixture) {
    let cases = if fixture.is_postgres() { 4 } else { 12 };
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..cases {
        let history = history().new_tree(&mut runner).unwrap().current();
        let live = fixture.fresh_log().await;
        play_live(&live, &history).await;
        let replayed = live.fresh_read_models().await;
        replayed.catch_up(history.partitions % 4 + 1).await;
        assert_eq!(rows(&live).await, rows(&replayed).await, "{history:?}");
    }
}

async fn play_live(fixture: &Fixture, history: &History) {
    let bus = InProcessBus::new();
    let running = fixture.project(history.partitions, bus.clone()).await;
    let (mut log, mut relay) = (Writer::new(&fixture.store), Relay::new(&fixture.store, history.partitions));
    let mut cuts = history.cuts.iter();
    let mut left = cuts.next().copied().unwrap_or(1);
    let mut late = Vec::new();
    let mut begun = std::collections::HashSet::new();
    for incident in &history.incidents {
        happen(&mut log, &mut begun, incident).await;
        left -= 1;
        if left == 0 {
            left = cuts.next().copied().unwrap_or(1);
            publish(&bus, relay.messages().await, &history.deliveries, &mut late).await;
        }
    }
    publish(&bus, relay.messages().await, &history.deliveries, &mut late).await;
    fixture.caught_up().await;
    running.stop().await;
}

async fn publish(
    bus: &Arc<InProcessBus>,
    messages: Vec<EventMessage>,
    deliveries: &[Delivery],
    late: &mut Vec<EventMessage>,
) {
    let mut sent = Vec::new();
    let overtaken = std::mem::take(late);
    for message in messages {
        match deliveries[usize::try_from(message.event.position).unwrap() % deliveries.len()] {
            Delivery::Arrives => sent.push(message),
            Delivery::IsLost => {}
            Delivery::ComesTwice => sent.extend([message.clone(), message]),
            Delivery::ComesLate => late.push(message),
        }
    }
    sent.extend(overtaken);
    bus.publish(&sent).await.unwrap();
}

async fn happen(
    log: &mut Writer,
    begun: &mut std::collections::HashSet<StreamName>,
    incident: &Incident,
) -> u64 {
    let Incident { person, thing, what } = *incident;
    let (owner, id) = (user(person), person * 100 + thing);
    let title = || format!("Title {what}");
    match what {
        0 => log.account(owner, AccountErased {}).await,
        1..10 if begun.insert(StreamName::account(owner)) => {
            log.account(owner, registered("a@example.org")).await
        }
        1..4 => log.account(owner, AccountRenamed { display_name: Some(title()) }).await,
        4..7 => log.account(owner, AccountDisabled::default()).await,
        7..10 => log.account(owner, AccountEnabled::default()).await,
        10..25 if begun.insert(StreamName::session(super::writer::session(id))) => {
            log.session(id, owner, started(owner)).await
        }
        10..20 => {
            log.session(
                id,
                owner,
                SessionRefreshed { refresh_hash: title().into(), client: None, used: None },
            )
            .await
        }
        20..25 => log.session(id, owner, SessionEnded { reason: EndReason::Logout }).await,
        25..27 => log.append_raw(&StreamName::task(task(id)), owner, "task.unknown", "{}".into()).await,
        _ if begun.insert(StreamName::task(task(id))) => log.task(id, owner, created(owner, &title())).await,
        27..35 => log.task(id, owner, renamed(title())).await,
        35..42 => log.task(id, owner, TaskDescribed { description: Some(title()) }).await,
        42..48 => log.task(id, owner, TaskPrioritized { priority: Priority::High }).await,
        48..54 => log.task(id, owner, TaskScheduled { due: "2031-01-01".parse().ok() }).await,
        54..60 => log.task(id, owner, TaskTagged { tags: vec![title(), "b".to_owned()] }).await,
        60..66 => log.task(id, owner, TaskStarted {}).await,
        66..73 => log.task(id, owner, TaskCompleted {}).await,
        73..79 => log.task(id, owner, TaskCancelled {}).await,
        79..86 => log.task(id, owner, TaskReopened {}).await,
        86..93 => log.task(id, owner, TaskDeleted {}).await,
        _ => log.task(id, owner, TaskRestored {}).await,
    }
}

/// Every row of every table that is computed from the log, as text.
async fn rows(fixture: &Fixture) -> Vec<String> {
    let mut all = Vec::new();
    for (table, order, columns) in [
        (
            "tasks",
            "id",
            "id owner title title_sort description status priority due due_at overdue_at tags tag_list grams search_text created_at updated_at completed_at deleted_at version position",
        ),
        ("accounts", "id", "id email display_name roles disabled created_at updated_at version position"),
        (
            "sessions",
            "id",
            "id account started_at last_refreshed_at expires_at ip user_agent ended_at end_reason version position",
        ),
        (
            "audit_log",
            "position",
            "position stream version event_id type subject actor correlation_id causation_id recorded_at",
        ),
        (
            "task_history",
            "position",
            "position task owner version event_id type actor correlation_id recorded_at changes state",
        ),
        ("parked_events", "position", "position stream version type subject"),
        ("erased_subjects", "subject", "subject position"),
    ] {
        let texts: Vec<String> =
            columns.split(' ').map(|column| format!("COALESCE(CAST({column} AS TEXT), '-')")).collect();
        let sql = format!("SELECT {} AS line FROM {table} ORDER BY {order}", texts.join(" || '|' || "));
        for row in fixture.rows(&sql).await {
            all.push(format!("{table}: {}", row.text("line").unwrap()));
        }
    }
    all
}
