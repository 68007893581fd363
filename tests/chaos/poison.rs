//! Unreadable records and rows of every kind. They are written with SQL, since the store refuses most of them.

use std::collections::BTreeMap;

use events::{
    Actor, Metadata, Priority, StreamName, TaskCompleted, TaskCreated, TaskEvent, TaskId, TaskRenamed, UserId,
};
use serde_json::json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::harness::Harness;

/// The kinds of unreadable data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// The payload does not match its type.
    Payload,
    /// The type is unknown.
    Type,
    /// The schema version is newer than this build knows.
    SchemaVersion,
    /// The encoding of the payload is unknown.
    Encoding,
    /// The metadata is not JSON.
    Metadata,
    /// The metadata is JSON without the required members.
    EmptyMetadata,
    /// A row of the read models.
    Row(Damage),
}

/// Values that the projector never writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    TaskStatus,
    TaskPriority,
    TaskTags,
    TaskDue,
    AccountRoles,
    SessionEnd,
}

impl Unreadable {
    pub(crate) const ALL: [Self; 12] = [
        Self::Payload,
        Self::Type,
        Self::SchemaVersion,
        Self::Encoding,
        Self::Metadata,
        Self::EmptyMetadata,
        Self::Row(Damage::TaskStatus),
        Self::Row(Damage::TaskPriority),
        Self::Row(Damage::TaskTags),
        Self::Row(Damage::TaskDue),
        Self::Row(Damage::AccountRoles),
        Self::Row(Damage::SessionEnd),
    ];

    /// Returns whether the envelope of such a record is unreadable too.
    const fn has_no_envelope(self) -> bool {
        matches!(self, Self::Encoding | Self::Metadata | Self::EmptyMetadata)
    }
}

impl Damage {
    const fn sql(self) -> &'static str {
        match self {
            Self::TaskStatus => "UPDATE read_models.tasks SET status = 'paused'",
            Self::TaskPriority => "UPDATE read_models.tasks SET priority = 9",
            Self::TaskTags => "UPDATE read_models.tasks SET tags = 'none'",
            Self::TaskDue => "UPDATE read_models.tasks SET due = 'some day'",
            Self::AccountRoles => "UPDATE read_models.accounts SET roles = '[\"emperor\"]'",
            Self::SessionEnd => "UPDATE read_models.sessions SET ended_at = 0, end_reason = 'boredom'",
        }
    }
}

/// Streams that cannot be projected beyond a version.
#[derive(Default)]
pub(crate) struct Poisoned {
    /// Streams with an unreadable record, and the version before it.
    pub(crate) records: BTreeMap<StreamName, u64>,
    /// Number of records without a readable envelope.
    pub(crate) without_envelope: usize,
    /// Streams with an unreadable row, and the version of the row.
    pub(crate) rows: BTreeMap<StreamName, u64>,
}

impl Poisoned {
    /// Returns whether the event must be parked.
    pub(crate) fn parks(&self, stream: &StreamName, version: u64) -> bool {
        let mut last_readable = self.records.get(stream).into_iter().chain(self.rows.get(stream));
        last_readable.any(|last| version > *last)
    }
}

/// Makes something of this kind unreadable that belongs to `person`.
pub(crate) async fn poison(harness: &Harness, person: usize, kind: Unreadable) {
    let (person, tag) = &harness.people.get().unwrap()[person];
    let task = TaskId(Uuid::now_v7());
    let stream = StreamName::task(task);
    let title = format!("{tag} poison");
    let created = TaskCreated {
        owner: *person,
        title: title.clone(),
        description: None,
        priority: Priority::Normal,
        due: None,
        tags: Vec::new(),
    };
    let created = record(*person, created.into());
    let mut renamed = record(*person, TaskRenamed { title }.into());
    let completed = record(*person, TaskCompleted {}.into());
    let Unreadable::Row(damage) = kind else {
        renamed.spoil(kind);
        let mut poisoned = harness.poisoned.lock().await;
        poisoned.records.insert(stream.clone(), 1);
        poisoned.without_envelope += usize::from(kind.has_no_envelope());
        drop(poisoned);
        return append(harness, &stream, 0, &[created, renamed, completed]).await;
    };
    append(harness, &stream, 0, &[created]).await;
    let (stream, version) = match damage {
        Damage::AccountRoles => {
            (StreamName::account(*person), harm(harness, damage, "id = $1", person.0).await.1)
        }
        Damage::SessionEnd => {
            let latest = "id = (SELECT id FROM read_models.sessions WHERE account = $1 AND ended_at IS NULL
                 ORDER BY last_refreshed_at DESC LIMIT 1)";
            let (session, version) = harm(harness, damage, latest, person.0).await;
            (StreamName::session(events::SessionId(session)), version)
        }
        _ => (stream, harm(harness, damage, "id = $1", task.0).await.1),
    };
    let mut poisoned = harness.poisoned.lock().await;
    poisoned.rows.entry(stream.clone()).or_insert(version);
    drop(poisoned);
    if stream == StreamName::task(task) {
        append(harness, &stream, 1, &[renamed, completed]).await;
    }
}

/// Damages the row once it exists, while no projector writes. Returns its id and its version.
async fn harm(harness: &Harness, damage: Damage, condition: &str, id: Uuid) -> (Uuid, u64) {
    let sql = format!("{} WHERE {condition} RETURNING id, version", damage.sql());
    harness
        .recovery
        .persist("a row is damaged", async || {
            let mut transaction = harness.servers().pool.begin().await?;
            // Every projector's transaction begins with its checkpoint, so this lock stops all.
            sqlx::query("SELECT FROM read_models.checkpoints ORDER BY partitions, partition FOR UPDATE")
                .execute(&mut *transaction)
                .await?;
            let row = sqlx::query(&sql).bind(id).fetch_one(&mut *transaction).await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>((row.get("id"), row.get::<i64, _>("version").unsigned_abs()))
        })
        .await
}

/// A row of the log with any content.
#[derive(Clone)]
pub(crate) struct Record {
    id: Uuid,
    kind: String,
    schema_version: i32,
    encoding: String,
    data: Vec<u8>,
    metadata: String,
}

impl Record {
    fn spoil(&mut self, kind: Unreadable) {
        match kind {
            Unreadable::Payload => self.data = br#"{"title": 7}"#.to_vec(),
            Unreadable::Type => self.kind = "task.painted".to_owned(),
            Unreadable::SchemaVersion => self.schema_version = 99,
            Unreadable::Encoding => self.encoding = "morse".to_owned(),
            Unreadable::Metadata => self.metadata = "nothing".to_owned(),
            Unreadable::EmptyMetadata => self.metadata = "{}".to_owned(),
            Unreadable::Row(_) => {}
        }
    }
}

/// A record of an unknown type.
pub(crate) fn unknown(person: UserId) -> Record {
    let mut record = record(person, TaskCompleted {}.into());
    record.spoil(Unreadable::Type);
    record
}

fn record(person: UserId, event: TaskEvent) -> Record {
    let encoded = event.encode();
    let metadata = Metadata {
        subject: person,
        actor: Actor::User(person),
        correlation_id: "poison".into(),
        causation_id: Uuid::now_v7(),
        traceparent: None,
        idempotency_key: None,
    };
    Record {
        id: Uuid::now_v7(),
        kind: encoded.kind.to_owned(),
        schema_version: encoded.schema_version.into(),
        encoding: encoded.encoding.as_str().to_owned(),
        data: encoded.data.to_vec(),
        metadata: json!(metadata).to_string(),
    }
}

/// Appends as the store does, after `version`. If the stream is longer already, an earlier attempt succeeded.
pub(crate) async fn append(harness: &Harness, stream: &StreamName, version: i64, records: &[Record]) {
    const SQL: &str = "SELECT append_events(ARRAY[$1::text], ARRAY[1], ARRAY[$2::bigint], ARRAY[$3::integer], array_fill(1, ARRAY[$3]),
             (SELECT array_agg(place) FROM generate_series(1, $3) AS place), array_fill($1::text, ARRAY[$3]),
             $4, $5, $6, $7, $8, $9, array_fill(1780000000000000, ARRAY[$3]))";
    let count = i32::try_from(records.len()).unwrap();
    let all = |value: fn(&Record) -> String| records.iter().map(value).collect::<Vec<_>>();
    harness
        .recovery
        .persist("records are appended with SQL", async || {
            let mut transaction = harness.servers().pool.begin().await?;
            let connection: &mut PgConnection = &mut transaction;
            sqlx::query("SET LOCAL search_path = event_store").execute(&mut *connection).await?;
            sqlx::query(SQL)
                .bind(stream.as_str())
                .bind(version)
                .bind(count)
                .bind(records.iter().map(|record| record.id).collect::<Vec<_>>())
                .bind(all(|record| record.kind.clone()))
                .bind(records.iter().map(|record| record.schema_version).collect::<Vec<_>>())
                .bind(all(|record| record.encoding.clone()))
                .bind(records.iter().map(|record| record.data.clone()).collect::<Vec<_>>())
                .bind(all(|record| record.metadata.clone()))
                .execute(connection)
                .await?;
            transaction.commit().await
        })
        .await;
}
