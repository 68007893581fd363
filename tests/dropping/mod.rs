//! Payloads of streams that ended long ago are removed from the log after they have been exported.

mod files;
mod whole;

use std::time::Duration;

use database::{Database, Schema};
use event_store::EventStore;
use events::{
    Actor, EndReason, Event, EventId, Metadata, NewEvent, Priority, SecretHash, SessionEnded, SessionId,
    SessionRefreshed, SessionStarted, StreamName, TaskCreated, TaskDeleted, TaskId, TaskPurged, Timestamp,
    UserId,
};
use serde_json::Value;
use uuid::Uuid;

use crate::support::{System, until};

const TIMEOUT: Duration = Duration::from_secs(60);
/// Number of old sessions of three events each. They make several batches, so that a kill falls between two of them.
const SESSIONS: usize = 1_500;
/// The time of all old events.
const LONG_AGO: &str = "2025-03-01T12:00:00Z";
const BEFORE: &str = "2025-06-01T00:00:00Z";

fn event(subject: UserId, event: &Event, at: &str) -> NewEvent {
    event.encode().into_event(
        EventId(Uuid::now_v7()),
        Metadata {
            subject,
            actor: Actor::User(subject),
            correlation_id: Uuid::now_v7().to_string().into(),
            causation_id: Uuid::now_v7(),
            traceparent: None,
            idempotency_key: None,
        },
        at.parse().unwrap(),
    )
}

/// Appends an old session with client addresses that are no longer needed.
async fn old_session(log: &dyn EventStore, account: UserId, ends: bool, at: &str) -> StreamName {
    let stream = StreamName::session(SessionId(Uuid::now_v7()));
    let long_ago: Timestamp = at.parse().unwrap();
    let started = SessionStarted {
        account,
        refresh_hash: SecretHash::from("old-refresh-hash"),
        expires_at: long_ago.plus_seconds(7 * 24 * 60 * 60),
        ip: Some("192.0.2.77".to_owned()),
        user_agent: Some("Old browser ".repeat(20)),
        methods: [events::AuthenticationMethod::Pwd].into(),
        idle_seconds: None,
    };
    let refreshed = SessionRefreshed {
        refresh_hash: SecretHash::from("old-refresh-hash"),
        client: Some("old-client".to_owned()),
        used: None,
    };
    let reason = EndReason::Logout;
    let mut events = vec![Event::Session(started.into()), Event::Session(refreshed.clone().into())];
    events.push(match ends {
        true => Event::Session(SessionEnded { reason }.into()),
        false => Event::Session(refreshed.into()),
    });
    let events = events.iter().map(|it| event(account, it, at)).collect();
    log.append(&stream, 0, events).await.unwrap();
    stream
}

/// Appends an old task that was purged from the trash.
async fn old_task(log: &dyn EventStore, owner: UserId) -> TaskId {
    let id = TaskId(Uuid::now_v7());
    let created = TaskCreated {
        owner,
        title: "Old title".to_owned(),
        description: None,
        priority: Priority::Urgent,
        due: None,
        tags: Vec::new(),
    };
    let events =
        [Event::Task(created.into()), Event::Task(TaskDeleted {}.into()), Event::Task(TaskPurged {}.into())];
    let events = events.iter().map(|it| event(owner, it, LONG_AGO)).collect();
    log.append(&StreamName::task(id), 0, events).await.unwrap();
    id
}

/// A system with many streams that ended long ago, and the proofs that an auditor has kept.
struct Old {
    system: System,
    database: Database,
    files: tempfile::TempDir,
    key: String,
}

impl Old {
    async fn of(system: System) -> Self {
        let database = Database::connect(&system.store_url(), Schema::EventStore, 1).await.unwrap();
        Self { database, files: tempfile::tempdir().unwrap(), key: String::new(), system }
    }

    fn path(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> String {
        let (code, said) = self.system.outcome(arguments);
        assert_eq!(code, 0, "{arguments:?} {said}");
        said
    }

    fn drop(&self, file: &str) -> Vec<String> {
        let arguments = ["events", "drop", "--ended-before", BEFORE, "--by", "grace", "--export"];
        let arguments = arguments.iter().map(ToString::to_string);
        arguments.chain([self.path(file)]).collect()
    }

    #[track_caller]
    fn run_drop(&self, file: &str) -> String {
        let arguments = self.drop(file);
        self.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The number of payloads dropped from the log.
    async fn dropped(&self) -> u64 {
        let sql = "SELECT COUNT(*) AS events FROM events WHERE data_sha256 IS NOT NULL";
        let row = self.database.fetch_optional(sql, &[]).await.unwrap().unwrap();
        row.unsigned("events").unwrap()
    }

    /// Kills the command as soon as it has dropped something. It deletes rows after each part of the events, and so
    /// cannot go on to the second part while the read models are locked.
    async fn kill_in_the_middle(&self, file: &str) {
        let read_models = self.system.read_models().await;
        let mut lock = read_models.begin().await.unwrap();
        if read_models.is_postgres() {
            for sql in
                ["SET LOCAL idle_in_transaction_session_timeout = 0", "LOCK TABLE sessions IN SHARE MODE"]
            {
                lock.execute(sql, &[]).await.unwrap();
            }
        }
        let arguments = self.drop(file);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = self.system.tool(&arguments).spawn().unwrap();
        until("something is dropped", TIMEOUT, async || {
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            self.dropped().await > 0
        })
        .await;
        child.kill().unwrap();
        child.wait().unwrap();
        lock.commit().await.unwrap();
    }

    fn verify(&self, arguments: &[&str]) -> Value {
        let checkpoint = self.path("checkpoint");
        let common = ["audit", "verify", "--json", "--key", &self.key, "--checkpoint", &checkpoint];
        let output = self.system.tool(&[&common, arguments].concat()).output().unwrap();
        assert!(output.stdout.ends_with(b"}\n"), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}
