//! Creates logs for measurements.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use event_store::EventStore;
use events::{
    Actor, Encoded, EventId, Metadata, NewEvent, Priority, StreamName, TaskCompleted, TaskCreated, TaskEvent,
    TaskId, TaskRenamed, Timestamp, UserId,
};
use sqlx::{Executor as _, PgConnection};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Number of events of a task.
pub(crate) const LIFE: usize = 3;

/// Appends `tasks` tasks of 1,000 people, each created, renamed and completed, with one event per append. Many
/// writers run concurrently, so that the events of a task are several hundred positions apart.
pub(crate) async fn fill(store: &Arc<dyn EventStore>, tasks: u64) -> anyhow::Result<()> {
    const WRITERS: u64 = 256;
    let people: Arc<Vec<UserId>> = Arc::new((0..1_000).map(|_| UserId(Uuid::now_v7())).collect());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (store, people) = (store.clone(), people.clone());
        let share = tasks / WRITERS + u64::from(writer < tasks % WRITERS);
        writers.spawn(async move {
            for number in 0..share {
                let owner = people[((writer * 7_919 + number) % 1_000) as usize];
                live(store.as_ref(), owner).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(result) = writers.join_next().await {
        result??;
    }
    Ok(())
}

/// Appends per second of `writers` writers, with one event per append and its expected version.
pub(crate) async fn append(
    store: &Arc<dyn EventStore>,
    writers: usize,
    span: Duration,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            let owner = UserId(Uuid::now_v7());
            let mut count = 0;
            while start.elapsed() < span {
                live(store.as_ref(), owner).await?;
                count += LIFE;
            }
            anyhow::Ok(count)
        });
    }
    let mut count = 0;
    while let Some(result) = tasks.join_next().await {
        count += result??;
    }
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

async fn live(store: &dyn EventStore, owner: UserId) -> anyhow::Result<()> {
    let stream = StreamName::task(TaskId(Uuid::now_v7()));
    for (version, event) in (0..).zip(life(owner)) {
        store.append(&stream, version, vec![new_event(owner, &event)]).await?;
    }
    Ok(())
}

/// The events of a task.
pub(crate) fn life(owner: UserId) -> [TaskEvent; LIFE] {
    let created = TaskCreated {
        owner,
        title: "Write the quarterly report".to_owned(),
        description: Some("What has to be done, in a sentence or two, as people write it.".to_owned()),
        priority: Priority::High,
        due: "2030-01-01".parse().ok(),
        tags: vec!["bench".to_owned()],
    };
    let renamed = TaskRenamed { title: "Write the yearly report".to_owned() };
    [created.into(), renamed.into(), TaskCompleted {}.into()]
}

/// An event of a task as the store takes it.
pub(crate) fn new_event(owner: UserId, event: &TaskEvent) -> NewEvent {
    of(owner, event.encode())
}

/// An event about `owner`, by them.
pub(crate) fn of(owner: UserId, encoded: Encoded) -> NewEvent {
    encoded.into_event(
        EventId(Uuid::now_v7()),
        Metadata {
            subject: owner,
            actor: Actor::User(owner),
            correlation_id: Uuid::now_v7().to_string().into(),
            causation_id: Uuid::now_v7(),
            traceparent: None,
            idempotency_key: None,
        },
        Timestamp::from_micros(1_800_000_000_000_000),
    )
}

/// Extends the log on PostgreSQL to `length` events, in rounds of 256 tasks. Nobody else may append meanwhile.
pub(crate) async fn extend(postgres: &mut PgConnection, length: u64) -> anyhow::Result<()> {
    const STEP: u64 = 768_000;
    loop {
        let head = head(postgres).await?;
        if head >= length {
            break;
        }
        extend_once(postgres, length.min(head + STEP)).await?;
    }
    postgres.execute("VACUUM ANALYZE event_store.events").await?;
    Ok(())
}

/// The last position of the log on PostgreSQL.
pub(crate) async fn head(postgres: &mut PgConnection) -> anyhow::Result<u64> {
    let head: i64 = sqlx::query_scalar("SELECT coalesce(max(position), 0) FROM event_store.events")
        .fetch_one(postgres)
        .await?;
    Ok(u64::try_from(head)?)
}

async fn extend_once(postgres: &mut PgConnection, length: u64) -> anyhow::Result<()> {
    let sql = format!(
        r#"
        WITH head AS (SELECT coalesce(max(position), 0) AS position FROM event_store.events),
        places AS (
            SELECT head.position + n AS position, (n - 1) / 768 AS round, (n - 1) % 768 / 256 AS step, (n - 1) % 256 AS place
            FROM head, generate_series(1, {length} - head.position) AS n
        ),
        named AS (
            SELECT position, step,
                lpad(to_hex(1800000000000 + position - step * 256), 12, '0') || '7'
                    || substr(md5('task' || (position - step * 256)), 1, 19) AS task,
                md5('owner' || (round * 256 + place) % 1000)::uuid AS owner
            FROM places
        )
        INSERT INTO event_store.events (position, version, recorded_at, schema_version, id, stream, type, encoding, metadata, data)
        SELECT position, step + 1, 1800000000000000 + position, 1, md5('event' || position)::uuid,
            'task-' || task::uuid,
            CASE step WHEN 0 THEN 'task.created' WHEN 1 THEN 'task.renamed' ELSE 'task.completed' END,
            'json',
            '{{"subject":"' || owner || '","actor":"' || owner || '","correlation_id":"' || md5('c' || position)
                || '","causation_id":"' || md5('d' || position)::uuid || '"}}',
            convert_to(CASE step
                WHEN 0 THEN '{{"owner":"' || owner || '","title":"Task number ' || position
                    || '","description":"What has to be done, in a sentence or two, as people write it.","priority":"high","due":"2030-01-01","tags":["bench"]}}'
                WHEN 1 THEN '{{"title":"Task ' || position || ', renamed"}}'
                ELSE '{{}}' END, 'UTF8')
        FROM named ORDER BY position
        "#
    );
    postgres.execute(sql.as_str()).await?;
    Ok(())
}
