//! The checks after a run, which must hold whatever happened in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use api_types::Task;
use event_store::{Entry, position};
use events::{ERASED, Event, RecordedEvent, StreamKind, StreamName, UserId};
use futures::future::join_all;

use crate::{
    faults::{PARTITIONS, whole_log},
    harness::Harness,
    support::{Person, System, until},
    worker::{Outcome, Worker},
};

/// Number of requests that reach both replicas of a role almost certainly.
pub(crate) const REPLICAS_TRIED: usize = 6;

/// Waits until every process is ready. Processes that could not start without a server are started again.
pub(crate) async fn everybody_is_ready(harness: &Harness) {
    until("every process is ready", Duration::from_secs(60), async || {
        let mut system = harness.system.lock().await;
        system.revive();
        system.is_ready().await
    })
    .await;
}

/// Waits until all of the log has been projected.
pub(crate) async fn projection_reaches_the_head(harness: &Harness) {
    let servers = harness.servers();
    let store = servers.store.as_ref();
    until(
        "every checkpoint is at the head",
        Duration::from_secs(60),
        async || {
            // The system may have used up the server's connections.
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

/// Checks that every gateway and every role refuses the tokens of ended sessions, a few seconds after all faults at
/// the latest, though answers are cached for 30 seconds.
pub(crate) async fn ended_sessions_are_refused(gateways: &[String], tokens: &[&str]) {
    let http = &reqwest::Client::new();
    let is_refused = async |url: &str, token: &str| {
        let answer = http.get(url).bearer_auth(token).send().await;
        answer.is_ok_and(|answer| answer.status() == 401)
    };
    let refused_everywhere = tokens.iter().map(async |token| {
        for gateway in gateways {
            for path in ["/tasks?limit=1", "/auth/me"] {
                let url = format!("{gateway}{path}");
                let what = "a session that has ended is refused";
                until(what, Duration::from_secs(5), async || {
                    for _ in 0..REPLICAS_TRIED {
                        if !is_refused(&url, token).await {
                            return false;
                        }
                    }
                    true
                })
                .await;
            }
        }
    });
    join_all(refused_everywhere).await;
}

/// Checks that the session that changed a password still works.
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

/// Compares the log with what was acknowledged, and the read models with the log, once nobody writes any more.
/// Returns the length of the log.
pub(crate) async fn check(harness: &Harness, workers: &[Worker]) -> usize {
    let log = whole_log(harness).await;
    let is_dense = harness.servers().store.positions_are_dense();
    positions_and_versions_are_in_order(&log, is_dense);
    acknowledged_commands_are_there_once(&readable(&log), workers);
    audit_log_equals_the_log(harness, &log).await;
    only_the_poison_is_parked(harness, &log).await;
    let events = read_models_are_the_fold(harness).await;
    assert_eq!(events, log.len() as u64, "the log has grown by itself");
    log.len()
}

/// Compares the read models with the fold of the log. Returns the length of the log.
pub(crate) async fn read_models_are_the_fold(harness: &Harness) -> u64 {
    let servers = harness.servers();
    let report = projector::verify(servers.store.as_ref(), &servers.read_models)
        .await
        .unwrap();
    assert_eq!(
        report.differences,
        Vec::<String>::new(),
        "the read models are not the fold"
    );
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

/// The task after `version` events of its stream, as a client sees it.
pub(crate) fn fold(stream: &[&RecordedEvent], version: u64) -> Option<Task> {
    let mut state: Option<events::Task> = None;
    for event in stream.iter().take_while(|event| event.version <= version) {
        let (Ok(StreamKind::Task(id)), Ok(Event::Task(change))) =
            (event.stream.kind(), Event::try_from(*event))
        else {
            panic!("not of a task: {event:?}");
        };
        state = events::Task::evolve(state, id, &change, event.version, event.recorded_at);
    }
    state.as_ref().map(Task::from)
}

/// Checks that the audit log has all readable events of the log and no others.
pub(crate) async fn audit_log_equals_the_log(harness: &Harness, log: &[Entry]) {
    const SQL: &str = "SELECT format('%s of the log, %s of the audit log', e, a) FROM chaos.opened_events e
         FULL JOIN read_models.audit_log a ON a.position = e.position
         WHERE (e.position, e.stream, e.version, e.id, e.type, e.recorded_at, e.metadata::json->>'subject',
                e.metadata::json->>'actor', e.metadata::json->>'correlation_id', e.metadata::json->>'causation_id')
             IS DISTINCT FROM (a.position, a.stream, a.version, a.event_id, a.type, a.recorded_at, a.subject::text,
                a.actor, a.correlation_id, a.causation_id::text)";
    copy_to_postgres(harness, log).await;
    let different: Vec<String> = sqlx::query_scalar(SQL)
        .fetch_all(&harness.servers().pool)
        .await
        .unwrap();
    assert!(
        different.is_empty(),
        "rows of the audit log are not as in the log: {different:#?}"
    );
}

/// Copies the log with opened events to a table, where the database can compare it.
async fn copy_to_postgres(harness: &Harness, log: &[Entry]) {
    let pool = &harness.servers().pool;
    let table = "DROP TABLE IF EXISTS chaos.opened_events;
        CREATE TABLE chaos.opened_events (
            position BIGINT, stream TEXT, version BIGINT, id UUID, type TEXT, recorded_at BIGINT, metadata TEXT)";
    sqlx::raw_sql(table).execute(pool).await.unwrap();
    let erased: BTreeSet<UserId> = readable(log)
        .into_iter()
        .filter(|event| event.kind == "account.erased")
        .map(|event| event.metadata.subject)
        .collect();
    let (mut numbers, mut texts, mut ids) =
        ([const { Vec::new() }; 3], [const { Vec::new() }; 3], Vec::new());
    for event in readable(log) {
        numbers[0].push(event.position.cast_signed());
        numbers[1].push(event.version.cast_signed());
        numbers[2].push(event.recorded_at.as_micros());
        texts[0].push(event.stream.to_string());
        texts[1].push(event.kind.clone());
        let mut metadata = event.metadata.clone();
        if erased.contains(&metadata.subject) {
            // Events of people who were erased have no request ids in the audit log.
            metadata.correlation_id = ERASED.into();
        }
        texts[2].push(serde_json::to_string(&metadata).unwrap());
        ids.push(event.id.0);
    }
    let sql = "INSERT INTO chaos.opened_events (position, version, recorded_at, stream, type, metadata, id)
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::uuid[])";
    let [positions, versions, times] = numbers;
    let [streams, types, metadata] = texts;
    sqlx::query(sql)
        .bind(positions)
        .bind(versions)
        .bind(times)
        .bind(streams)
        .bind(types)
        .bind(metadata)
        .bind(ids)
        .execute(pool)
        .await
        .unwrap();
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
    assert_eq!(
        unreadable, poisoned.without_envelope,
        "records that nobody has poisoned cannot be read"
    );
    let expected: Vec<_> = log
        .iter()
        .filter_map(|entry| {
            let (stream, version) = place(entry);
            let parked = poisoned.parks(stream, version);
            parked.then(|| (position(entry), stream.clone(), version))
        })
        .collect();
    let parked: Vec<_> = projector::parked(&harness.servers().read_models)
        .await
        .unwrap()
        .into_iter()
        .map(|event| (event.position, event.stream, event.version))
        .collect();
    assert_eq!(parked, expected, "something else than the poison is parked");
}

/// Runs a command and returns its exit code. Prints its output if the code is above 1.
pub(crate) async fn tool(system: &System, arguments: &[&str]) -> i32 {
    let mut command = system.tool(arguments);
    let output = tokio::task::spawn_blocking(move || command.output())
        .await
        .unwrap()
        .unwrap();
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
