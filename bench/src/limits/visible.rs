//! Compares the time from a command's acknowledgement until a query shows it, at 500 commands per second, with the
//! unavoidable part: a message that is published, confirmed and consumed over the same RabbitMQ, and one commit.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use hdrhistogram::Histogram;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use parking_lot::Mutex;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, interval_at},
};
use uuid::Uuid;

use super::ratio::{Ratio, Rounds, Wanted};
use crate::{
    client::Person,
    load, servers,
    system::{Deployment, System},
};

/// Number of people, or of hand-written publishers, which send at [`PACE`] each and 500 per second together.
const SENDERS: u32 = 50;
const PACE: Duration = Duration::from_millis(100);
/// Number of queues, which is the projector's number of partitions.
const QUEUES: u32 = 4;

/// Number of messages that are delivered before they are acknowledged, as for the projector.
const AT_ONCE: u16 = 64;

type Latencies = Arc<Mutex<Histogram<u64>>>;

pub(super) async fn run(rounds: Rounds, binary: &Path) -> Result<()> {
    let span = rounds.span * 3;
    let mut ratio = Ratio::default();
    for _ in 0..rounds.count {
        let limit = by_hand(span).await?;
        let system = System::start(Deployment::Servers, binary).await?;
        let people = load::join(&system.front(), SENDERS as usize).await?;
        ratio.add(visible(&system, &people, span).await?, limit);
        drop(people);
        system.stop().await?;
    }
    ratio.report("acknowledged to visible, p99 | a message and a commit", "ms", Wanted::AtMost(1.5));
    Ok(())
}

async fn visible(system: &System, people: &[Arc<Person>], span: Duration) -> Result<f64> {
    let latencies = latencies()?;
    let mut workers = JoinSet::new();
    let (begin, end) = (Instant::now(), Instant::now() + span);
    for (number, person) in (0..).zip(people) {
        let writer = person.at(&system.address("command-api")).await?;
        let reader = person.at(&system.address("query-api")).await?;
        let latencies = latencies.clone();
        workers.spawn(async move {
            let mut ticks = ticks(begin, number);
            loop {
                ticks.tick().await;
                if Instant::now() >= end {
                    return anyhow::Ok(());
                }
                record(&latencies, load::create_and_see(&writer, &reader).await?)?;
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker??;
    }
    p99(&latencies, span)
}

/// The ticks of a publisher. Those of all publishers are spread evenly.
fn ticks(begin: Instant, number: u32) -> tokio::time::Interval {
    let mut ticks = interval_at((begin + PACE / SENDERS * number).into(), PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn by_hand(span: Duration) -> Result<f64> {
    let database = servers::Database::create().await?;
    let mut postgres = PgConnection::connect(&database.url).await?;
    postgres.execute("CREATE TABLE messages (id uuid PRIMARY KEY)").await?;
    postgres.close().await?;
    let connection = Connection::connect(&servers::amqp_url(), ConnectionProperties::default()).await?;
    let begin = Instant::now();
    let latencies = latencies()?;
    let queues: Vec<String> = (0..QUEUES).map(|_| format!("bench-{}", Uuid::now_v7())).collect();
    let mut consumers = Vec::new();
    for queue in &queues {
        consumers.push(consumer(queue, &database.url, begin, latencies.clone()).await?);
    }
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut publishers = JoinSet::new();
    for number in 0..SENDERS {
        let (channel, queue) = (channel.clone(), queues[(number % QUEUES) as usize].clone());
        publishers.spawn(publish(channel, queue, number, begin, span));
    }
    while let Some(publisher) = publishers.join_next().await {
        publisher??;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    for consumer in consumers {
        ensure!(!consumer.is_finished(), "a consumer has failed");
        consumer.abort();
    }
    for queue in queues {
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    }
    connection.close(200, "done".into()).await?;
    database.drop().await?;
    p99(&latencies, span)
}

async fn publish(channel: Channel, queue: String, number: u32, begin: Instant, span: Duration) -> Result<()> {
    let mut ticks = ticks(begin, number);
    loop {
        ticks.tick().await;
        if begin.elapsed() >= span {
            return Ok(());
        }
        // The payload has the time of sending, and the size of an event's payload.
        let mut payload = begin.elapsed().as_nanos().to_le_bytes().to_vec();
        payload.resize(300, b' ');
        channel
            .basic_publish(
                "".into(),
                queue.as_str().into(),
                BasicPublishOptions::default(),
                &payload,
                BasicProperties::default().with_delivery_mode(2),
            )
            .await?
            .await?;
    }
}

/// Takes the messages that have arrived, commits a row for each in one transaction, and records the time since each was
/// sent.
async fn consumer(
    queue: &str,
    url: &str,
    begin: Instant,
    latencies: Latencies,
) -> Result<JoinHandle<Result<()>>> {
    let connection = Connection::connect(&servers::amqp_url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut kind = FieldTable::default();
    kind.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), options, kind).await?;
    channel.basic_qos(AT_ONCE, BasicQosOptions::default()).await?;
    let messages = channel
        .basic_consume(queue.into(), "bench".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let mut batches = messages.ready_chunks(AT_ONCE.into());
    let mut postgres = PgConnection::connect(url).await?;
    Ok(tokio::spawn(async move {
        // The connection is kept as long as its channel is used.
        let _connection = connection;
        while let Some(batch) = batches.next().await {
            let batch = batch.into_iter().collect::<Result<Vec<_>, _>>()?;
            sqlx::query("INSERT INTO messages (id) SELECT unnest($1::uuid[])")
                .bind(batch.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
                .execute(&mut postgres)
                .await?;
            for message in &batch {
                let sent = message.data.first_chunk().map(|bytes| u128::from_le_bytes(*bytes));
                let sent = Duration::from_nanos(u64::try_from(sent.context("no time")?)?);
                record(&latencies, begin + sent)?;
            }
            if let Some(last) = batch.last() {
                last.ack(BasicAckOptions { multiple: true }).await?;
            }
        }
        Ok(())
    }))
}

fn latencies() -> Result<Latencies> {
    Ok(Arc::new(Mutex::new(Histogram::new(3)?)))
}

fn record(latencies: &Latencies, since: Instant) -> Result<()> {
    let micros = u64::try_from(since.elapsed().as_micros())?;
    latencies.lock().record(micros)?;
    Ok(())
}

/// The 99th percentile in milliseconds. Fails if the load was below the planned rate, since the latency would be that
/// of another load.
fn p99(latencies: &Latencies, span: Duration) -> Result<f64> {
    let latencies = latencies.lock();
    let rate = latencies.len() as f64 / span.as_secs_f64();
    ensure!(rate > 450.0, "only {rate:.0} a second instead of 500");
    Ok(latencies.value_at_quantile(0.99) as f64 / 1_000.0)
}
