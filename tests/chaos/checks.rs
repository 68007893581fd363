//! What must be true after a run, whatever happened in it.

use std::{collections::BTreeMap, time::Duration};

use events::{Event, RecordedEvent, StreamKind, StreamName, Task, UserId};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    faults::{PARTITIONS, whole_log},
    support::{Person, System, until},
    worker::{Outcome, Worker},
    world::World,
};

/// Waits until all that is in the log has been projected.
pub(crate) async fn projection_reaches_the_head(world: &World) {
    let servers = world.servers();
    let store = servers.store.as_ref();
    until(
        "every checkpoint is at the head",
        Duration::from_secs(60),
        async || {
            // The system may have taken all connections that the server has.
            let Ok(status) = projector::status(store, &servers.read_models, PARTITIONS).await else {
                return false;
            };
            let mut partitions = status.partitions.iter();
            partitions.len() == usize::from(PARTITIONS.get())
                && partitions.all(|partition| status.lag(partition) == 0)
        },
    )
    .await;
}

/// A token of a session that has ended opens nothing, at any gateway and any role: at the latest a few seconds after
/// everything is well again, though caches keep good answers for half a minute.
pub(crate) async fn ended_sessions_are_refused(gateways: &[String], tokens: &[&str]) {
    let http = reqwest::Client::new();
    for token in tokens {
        for gateway in gateways {
            for path in ["/tasks?limit=1", "/auth/me"] {
                until(
                    "a session that has ended is refused",
                    Duration::from_secs(5),
                    async || {
                        let request = http.get(format!("{gateway}{path}")).bearer_auth(token);
                        request.send().await.is_ok_and(|answer| answer.status() == 401)
                    },
                )
                .await;
            }
        }
    }
}

/// The session that changed a password goes on.
pub(crate) async fn session_is_alive(person: &Person) {
    until(
        "the session that changed the password is alive",
        Duration::from_secs(10),
        async || {
            let answer = person.try_send(reqwest::Method::GET, "/auth/me", None, &[]).await;
            match answer.map(|answer| answer.status.as_u16()) {
                Ok(200) => true,
                Ok(401) => panic!("the session that changed the password has ended"),
                _ => false,
            }
        },
    )
    .await;
}

/// Holds the log against what was acknowledged, and the read models against the log, once nobody works on them any
/// more. Returns the length of the log.
pub(crate) async fn check(world: &World, workers: &[Worker]) -> usize {
    let log = whole_log(world).await;
    positions_and_versions_are_dense(&log);
    acknowledged_commands_are_there_once(&log, workers);
    audit_log_equals_the_log(world).await;
    only_the_poison_is_parked(world, &log).await;
    let servers = world.servers();
    let report = projector::verify(servers.store.as_ref(), &servers.read_models)
        .await
        .unwrap();
    assert_eq!(
        report.differences,
        Vec::<String>::new(),
        "the read models are not the fold"
    );
    assert_eq!(report.events, log.len() as u64, "the log has grown by itself");
    log.len()
}

fn positions_and_versions_are_dense(log: &[RecordedEvent]) {
    let mut versions: BTreeMap<&StreamName, u64> = BTreeMap::new();
    for (event, position) in log.iter().zip(1..) {
        assert_eq!(event.position, position, "positions have a gap");
        let version = versions.entry(&event.stream).or_default();
        *version += 1;
        assert_eq!(event.version, *version, "versions of {} have a gap", event.stream);
    }
}

fn acknowledged_commands_are_there_once(log: &[RecordedEvent], workers: &[Worker]) {
    let mut streams: BTreeMap<&StreamName, Vec<&RecordedEvent>> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, Vec<&RecordedEvent>> = BTreeMap::new();
    for event in log {
        streams.entry(&event.stream).or_default().push(event);
        if let Some(key) = &event.metadata.idempotency_key {
            by_key.entry(key).or_default().push(event);
        }
    }
    for worker in workers {
        // The end of what the requests before have left.
        let (mut request, mut before, mut last) = (0, 0, 0);
        for record in &worker.records {
            if record.request > request {
                (request, before) = (record.request, last);
            }
            let left = by_key.remove(record.key.as_str()).unwrap_or_default();
            let whole = || format!("{record:?} left {left:#?}");
            if let (Some(first), Some(end)) = (left.first(), left.last()) {
                assert!(
                    left.iter().zip(first.version..).all(|(event, version)| {
                        event.stream == first.stream
                            && event.version == version
                            && event.metadata.causation_id == first.metadata.causation_id
                    }),
                    "done twice: {}",
                    whole()
                );
                assert!(first.position > before, "out of order: {}", whole());
                last = last.max(end.position);
            }
            match &record.outcome {
                Outcome::Refused => assert!(left.is_empty(), "refused, but done: {}", whole()),
                Outcome::Done { task, events } => {
                    assert!(events.is_none_or(|events| events == left.len()), "{}", whole());
                    if let Some(task) = task {
                        let stream = StreamName::task(task.id);
                        assert_eq!(
                            fold(&streams[&stream], task.version),
                            Some(task.clone()),
                            "acknowledged, but not in the log: {}",
                            whole()
                        );
                        assert!(
                            left.last().is_none_or(|event| event.version == task.version),
                            "{}",
                            whole()
                        );
                    }
                }
            }
        }
    }
    assert!(by_key.is_empty(), "nobody sent these: {by_key:#?}");
}

/// The task after so many versions of its stream, as a client sees it.
fn fold(stream: &[&RecordedEvent], version: u64) -> Option<Task> {
    let mut state = None;
    for event in stream.iter().take_while(|event| event.version <= version) {
        let (Ok(StreamKind::Task(id)), Ok(Event::Task(change))) =
            (event.stream.kind(), Event::try_from(*event))
        else {
            panic!("not of a task: {event:?}");
        };
        state = Task::evolve(state, id, &change, event.version, event.recorded_at);
    }
    state.map(|task| Task {
        owner: UserId(Uuid::nil()),
        ..task
    })
}

async fn audit_log_equals_the_log(world: &World) {
    const SQL: &str = "SELECT count(*) FROM event_store.events e
         FULL JOIN read_models.audit_log a ON a.position = e.position
         WHERE (e.position, e.stream, e.version, e.id, e.type, e.recorded_at, e.metadata::json->>'subject',
                e.metadata::json->>'actor', e.metadata::json->>'correlation_id', e.metadata::json->>'causation_id')
             IS DISTINCT FROM (a.position, a.stream, a.version, a.event_id, a.type, a.recorded_at, a.subject::text,
                a.actor, a.correlation_id, a.causation_id::text)";
    let row = sqlx::query(SQL).fetch_one(&world.servers().pool).await.unwrap();
    assert_eq!(
        row.get::<i64, _>(0),
        0,
        "rows of the audit log are not as in the log"
    );
}

async fn only_the_poison_is_parked(world: &World, log: &[RecordedEvent]) {
    let poisoned = world.poisoned.lock().await;
    let expected: Vec<_> = log
        .iter()
        .filter(|event| poisoned.contains(&event.stream) && event.version > 1)
        .map(|event| (event.position, event.stream.clone(), event.version))
        .collect();
    assert_eq!(expected.len(), poisoned.len() * 2, "the poison is not in the log");
    let parked: Vec<_> = projector::parked(&world.servers().read_models)
        .await
        .unwrap()
        .into_iter()
        .map(|event| (event.position, event.stream, event.version))
        .collect();
    assert_eq!(parked, expected, "something else than the poison is parked");
}

/// No process has panicked, also none that went on.
pub(crate) fn nobody_panicked(system: &System) {
    for replica in system.replicas() {
        let log = system.log_text(replica);
        let lines: Vec<_> = log.lines().collect();
        if let Some(at) = lines.iter().position(|line| line.contains("panicked at")) {
            let around = &lines[at.saturating_sub(10)..lines.len().min(at + 10)];
            panic!("{replica:?}:\n{}", around.join("\n"));
        }
    }
}
