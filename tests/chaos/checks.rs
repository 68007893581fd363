//! The checks after a run, which must hold whatever happened in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use api_types::Task;
use event_store::{Entry, position};
use events::{Aggregate as _, ERASED, Event, RecordedEvent, StreamKind, StreamName, UserId};
use futures::future::join_all;

use crate::{
    faults::{PARTITIONS, whole_log},
    harness::Harness,
    order::positions_follow_the_acknowledgements,
    support::{Person, System, until},
    worker::{Outcome, Worker},
};

/// Number of requests that reach both replicas of a role almost certainly.
pub(crate) const REPLICAS_TRIED: usize = 6;

/// Waits until every process is ready. Processes that could not start without a server are started again.
pub(crate) async fn everybody_is_ready(harness: &Harness) {
    harness
        .recovery
        .until("every process is ready", async || {
            let mut system = harness.system.lock().await;
            system.revive();
            system.is_ready().await
        })
        .await;
}

/// Waits until all of the log has been projected.
pub(crate) async fn projection_reaches_the_head(harness: &Harness) {
    let stores = harness.stores();
    let store = stores.store.as_ref();
    harness
        .recovery
        .until("every checkpoint is at the head", async || {
            // The system may have used up the server's connections.
            let Ok(status) = projector::status(store, &stores.read_models, PARTITIONS).await else {
                return false;
            };
            let mut partitions = status.partitions.iter();
            partitions.len() == usize::from(PARTITIONS.get())
                && partitions.all(|partition| status.lag(partition) == 0)
        })
        .await;
}

/// Checks that every gateway and every role refuses the tokens of ended sessions, a few seconds after all faults at
/// the latest, though answers are cached for 30 seconds.
pub(crate) async fn ended_sessions_are_refused(harness: &Harness, gateways: &[String], tokens: &[&str]) {
    const SOON: Duration = Duration::from_secs(5);
    let http = &reqwest::Client::new();
    let begun = Instant::now();
    let refused_everywhere = tokens.iter().map(async |token| {
        for gateway in gateways {
            for path in ["/tasks?limit=1", "/auth/me"] {
                let url = &format!("{gateway}{path}");
                let is_refused = async || {
                    for _ in 0..REPLICAS_TRIED {
                        // An answer may take long, and says how it was when the request was sent.
                        let is_late = begun.elapsed() > SOON;
                        let answer = http.get(url).bearer_auth(token).send().await;
                        match answer.map(|answer| answer.status().as_u16()) {
                            Ok(401) => {}
                            Ok(200) if is_late => {
                                panic!("a session that has ended is let in: {url}")
                            }
                            // Another answer says nothing of the session.
                            _ => return false,
                        }
                    }
                    true
                };
                let what = "a session that has ended is refused";
                harness.recovery.until(what, is_refused).await;
            }
        }
    });
    join_all(refused_everywhere).await;
}

/// Checks that the session that changed a password still works.
pub(crate) async fn session_is_alive(person: &Person) {
    until("the session that changed the password is alive", Duration::from_secs(10), async || {
        let answer = person.try_send(reqwest::Method::GET, "/auth/me", None, &[]).await;
        match answer.map(|answer| answer.status.as_u16()) {
            Ok(200) => true,
            Ok(401) => panic!("the session that changed the password has ended"),
            _ => false,
        }
    })
    .await;
}

/// Compares the log with what was acknowledged, and the read models with the log, once nobody writes any more.
/// Returns the length of the log.
pub(crate) async fn check(harness: &Harness, workers: &[Worker]) -> usize {
    let log = whole_log(harness).await;
    let is_dense = harness.stores().store.positions_are_dense();
    positions_and_versions_are_in_order(&log, is_dense);
    acknowledged_commands_are_there_once(&readable(&log), workers);
    let records = workers.iter().flat_map(|worker| &worker.records);
    let acknowledged = records.map(|record| (record.key.as_str(), record.period));
    positions_follow_the_acknowledgements(&readable(&log), acknowledged);
    audit_log_equals_the_log(harness, &log).await;
    only_the_poison_is_parked(harness, &log).await;
    let events = read_models_are_the_fold(harness).await;
    assert_eq!(events, log.len() as u64, "the log has grown by itself");
    log.len()
}

/// Compares the read models with the fold of the log. Returns the length of the log.
pub(crate) async fn read_models_are_the_fold(harness: &Harness) -> u64 {
    let stores = harness.stores();
    let report = projector::verify(stores.store.as_ref(), &stores.read_models).await.unwrap();
    assert_eq!(report.differences, Vec::<String>::new(), "the read models are not the fold");
    report.events
}

/// The events of the log without unreadable records.
pub(crate) fn readable(log: &[Entry]) -> Vec<&RecordedEvent> {
    log.iter().flatten().collect()
}

/// The stream of a record and its version there.
fn place(entry: &Entry) -> (&StreamName, u64) {
    match entry {
        Ok(event) => (&event.stream, event.version),
        Err(unreadable) => (&unreadable.stream, unreadable.version),
    }
}

pub(crate) fn positions_and_versions_are_dense(log: &[Entry]) {
    positions_and_versions_are_in_order(log, true);
}

fn positions_and_versions_are_in_order(log: &[Entry], is_dense: bool) {
    let mut before = 0;
    let mut versions: BTreeMap<&StreamName, u64> = BTreeMap::new();
    for (entry, expected) in log.iter().zip(1..) {
        if is_dense {
            assert_eq!(position(entry), expected, "positions have a gap");
        }
        assert!(position(entry) > before, "positions are out of order");
        before = position(entry);
        let (stream, version) = place(entry);
        let last = versions.entry(stream).or_default();
        *last += 1;
        assert_eq!(version, *last, "versions of {stream} have a gap");
    }
}

fn acknowledged_commands_are_there_once(log: &[&RecordedEvent], workers: &[Worker]) {
    let mut streams: BTreeMap<&StreamName, Vec<&RecordedEvent>> = BTreeMap::new();
    let mut by_key: BTreeMap<&str, Vec<&RecordedEvent>> = BTreeMap::new();
    for event in log.iter().copied() {
        streams.entry(&event.stream).or_default().push(event);
        if let Some(key) = &event.metadata.idempotency_key {
            by_key.entry(key).or_default().push(event);
        }
    }
    for worker in workers {
        // `before` is where the earlier requests end.
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
                        assert!(left.last().is_none_or(|event| event.version == task.version), "{}", whole());
                    }
                }
            }
        }
    }
    assert!(by_key.is_empty(), "nobody sent these: {by_key:#?}");
}

/// The task after `version` events of its stream, as a client sees it.
pub(crate) fn fold(stream: &[&RecordedEvent], version: u64) -> Option<Task> {
    let mut state: Option<events::Task> = None;
    for event in stream.iter().take_while(|event| event.version <= version) {
        let (Ok(StreamKind::Task(id)), Ok(Event::Task(change))) =
            (event.stream.kind(), Event::try_from(*event))
        else {
            panic!("not of a task: {event:?}");
        };
        state = events::Task::evolve(state, &id, &change, event.version, event.recorded_at);
    }
    state.as_ref().map(Task::from)
}

/// Checks that the audit log has all readable events of the log and no others.
pub(crate) async fn audit_log_equals_the_log(harness: &Harness, log: &[Entry]) {
    const SQL: &str = "SELECT position, stream, version, event_id, type, recorded_at, subject, actor, correlation_id, causation_id
         FROM audit_log ORDER BY position";
    let erased: BTreeSet<UserId> = readable(log)
        .into_iter()
        .filter(|event| event.kind == "account.erased")
        .map(|event| event.metadata.subject)
        .collect();
    let expected = readable(log).into_iter().map(|event| {
        let metadata = &event.metadata;
        // Events of people who were erased have no request ids in the audit log.
        let correlation_id = match erased.contains(&metadata.subject) {
            true => ERASED,
            false => &metadata.correlation_id,
        };
        format!(
            "{} {} {} {} {} {} {} {} {correlation_id} {}",
            event.position,
            event.stream,
            event.version,
            event.id.0,
            event.kind,
            event.recorded_at.as_micros(),
            metadata.subject,
            metadata.actor,
            metadata.causation_id
        )
    });
    let rows = harness.stores().read_models.fetch_all(SQL, &[]).await.unwrap();
    let found = rows.iter().map(|row| {
        let text = |column: usize| row.text(column).unwrap();
        let (integer, uuid) =
            (|column: usize| row.integer(column).unwrap(), |column: usize| row.uuid(column).unwrap());
        format!(
            "{} {} {} {} {} {} {} {} {} {}",
            integer(0),
            text(1),
            integer(2),
            uuid(3),
            text(4),
            integer(5),
            uuid(6),
            text(7),
            text(8),
            uuid(9)
        )
    });
    let (expected, found): (BTreeSet<_>, BTreeSet<_>) = (expected.collect(), found.collect());
    let different: Vec<_> = expected.symmetric_difference(&found).collect();
    assert!(different.is_empty(), "rows of the audit log are not as in the log: {different:#?}");
}

/// Checks that a rebuild repairs unreadable rows and projects the events that were parked because of them.
pub(crate) async fn damaged_rows_are_made_anew(harness: &Harness) {
    if harness.poisoned.lock().await.rows.is_empty() {
        return;
    }
    only_the_poison_is_parked(harness, &whole_log(harness).await).await;
    let code = tool(&*harness.system.lock().await, &["projection", "rebuild", "--yes"]).await;
    assert_eq!(code, 0, "the read models are not made again");
    harness.poisoned.lock().await.rows.clear();
    projection_reaches_the_head(harness).await;
}

async fn only_the_poison_is_parked(harness: &Harness, log: &[Entry]) {
    let poisoned = harness.poisoned.lock().await;
    let unreadable = log.iter().filter(|entry| entry.is_err()).count();
    assert_eq!(unreadable, poisoned.without_envelope, "records that nobody has poisoned cannot be read");
    let expected: Vec<_> = log
        .iter()
        .filter_map(|entry| {
            let (stream, version) = place(entry);
            let parked = poisoned.parks(stream, version);
            parked.then(|| (position(entry), stream.clone(), version))
        })
        .collect();
    let (mut parked, mut after) = (Vec::new(), 0);
    loop {
        let page = projector::parked(&harness.stores().read_models, after).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.position;
        parked.extend(page.into_iter().map(|event| (event.position, event.stream, event.version)));
    }
    assert_eq!(parked, expected, "something else than the poison is parked");
}

/// Runs a command and returns its exit code. Prints its output if the code is above 1.
pub(crate) async fn tool(system: &System, arguments: &[&str]) -> i32 {
    let mut command = system.tool(arguments);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let code = output.status.code().unwrap();
    if code > 1 {
        eprintln!("{arguments:?}: {output:?}");
    }
    code
}

/// Checks that no process has panicked, even if it went on.
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
