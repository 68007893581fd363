//! Compares the store on KurrentDB with a bare stream of appends, which uses the same protocol and library, but no
//! deadlines, retries, reconnects or metadata of ours. The server is the stand-in, which adds only the time of a disk
//! flush.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use clap::Args;
use event_store::{EventStore, StoreError};
use events::{Actor, Encoding, EventId, Metadata, NewEvent, StreamName, Timestamp, UserId};
use futures::stream;
use http::uri::PathAndQuery;
use kurrentdb_protocol::event_store::client::{
    StreamIdentifier, Uuid as WireUuid,
    streams::{
        BatchAppendReq, BatchAppendResp,
        batch_append_req::{Options, ProposedMessage, options::ExpectedStreamPosition},
        batch_append_resp::Result as Answer,
    },
    uuid::Value,
};
use kurrentdb_stand_in::{Behaviour, StandIn};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::sleep,
};
use tonic::{Request, Status, client::Grpc, codec::ProstCodec, transport::Endpoint};
use uuid::Uuid;

use crate::print;

/// Minimum ratio of the store's rate to that of the bare stream.
const WANTED: f64 = 0.8;
const BATCH_APPEND: &str = "/event_store.client.streams.Streams/BatchAppend";
const PAYLOAD: &[u8] =
    br#"{"title":"measure something","description":"for as long as it takes","tags":["bench"]}"#;

#[derive(Debug, Args)]
pub(crate) struct KurrentDb {
    /// Seconds for each figure
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Conflicts on one stream, one after the other
    #[arg(long, default_value_t = 10_000)]
    conflicts: usize,
}

/// Appends an event of `PAYLOAD` at a version, and returns whether there was a conflict.
trait Append: Clone + Send + Sync + 'static {
    fn append(&self, stream: &str, version: u64) -> impl Future<Output = anyhow::Result<bool>> + Send;
}

impl KurrentDb {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let span = Duration::from_secs(self.seconds);
        print("appends a second on the stand-in             store       bare  ratio  wanted");
        for disk in [1, 5] {
            for every_third in [false, true] {
                for writers in [1, 16, 64] {
                    let server = server(Duration::from_millis(disk));
                    let ours = rate(&Ours::open(&server).await?, writers, every_third, span).await?;
                    let bare = rate(&Bare::open(&server).await?, writers, every_third, span).await?;
                    let conflicts = if every_third { ", each third a conflict" } else { "" };
                    print(&format!(
                        "{:<42} {ours:>8.0} {bare:>10.0} {:>6.2} {WANTED:>7}",
                        format!("{disk} ms, {writers} writers{conflicts}"),
                        ours / bare
                    ));
                }
            }
        }
        self.hot_stream().await
    }

    /// Many conflicts on one stream must not cause errors, delays or leaks.
    async fn hot_stream(&self) -> anyhow::Result<()> {
        let server = server(Duration::from_millis(1));
        let store = Ours::open(&server).await?;
        ensure!(!store.append("hot", 0).await?, "the first append is no conflict");
        let (start, mut slowest) = (Instant::now(), Duration::ZERO);
        for _ in 0..self.conflicts {
            let asked = Instant::now();
            ensure!(store.append("hot", 0).await?, "an append at a version that is past");
            slowest = slowest.max(asked.elapsed());
        }
        let took = start.elapsed();
        drop(store);
        let deadline = Instant::now() + Duration::from_secs(5);
        while server.open_calls() > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(10)).await;
        }
        print(&format!(
            "{} conflicts on one stream, one after the other: {:.0}/s, the slowest {} ms, {} streams left open",
            self.conflicts,
            self.conflicts as f64 / took.as_secs_f64(),
            slowest.as_millis(),
            server.open_calls()
        ));
        ensure!(server.open_calls() == 0, "streams stay open");
        Ok(())
    }
}

fn server(disk: Duration) -> StandIn {
    StandIn::with(Behaviour { disk, longest_indexing: Duration::ZERO, ..Behaviour::default() })
}

/// Answers per second, conflicts included, of `writers` writers with streams of their own.
async fn rate(store: &impl Append, writers: usize, every_third: bool, span: Duration) -> anyhow::Result<f64> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..writers {
        let (store, name) = (store.clone(), format!("task-{}", Uuid::now_v7()));
        tasks.spawn(async move {
            let (mut version, mut answers) = (0, 0);
            while start.elapsed() < span {
                let is_wrong = every_third && answers % 3 == 2;
                let at = if is_wrong { version + 1 } else { version };
                ensure!(store.append(&name, at).await? == is_wrong, "another answer than expected");
                version += u64::from(!is_wrong);
                answers += 1;
            }
            Ok(answers)
        });
    }
    let mut answers = 0;
    while let Some(result) = tasks.join_next().await {
        answers += result??;
    }
    Ok(answers as f64 / start.elapsed().as_secs_f64())
}

#[derive(Clone)]
struct Ours(Arc<dyn EventStore>);

impl Ours {
    async fn open(server: &StandIn) -> anyhow::Result<Self> {
        let url = format!("kurrentdb://{}?tls=false", server.address());
        Ok(Self(event_store::open(&url, 1).await?))
    }
}

impl Append for Ours {
    async fn append(&self, stream: &str, version: u64) -> anyhow::Result<bool> {
        let event = NewEvent {
            id: EventId(Uuid::now_v7()),
            kind: "task.created".to_owned(),
            schema_version: 1,
            encoding: Encoding::Json,
            data: PAYLOAD.into(),
            metadata: Metadata {
                subject: UserId(Uuid::now_v7()),
                actor: Actor::System,
                correlation_id: "bench".into(),
                causation_id: Uuid::now_v7(),
                traceparent: None,
                idempotency_key: None,
            },
            recorded_at: Timestamp::from_micros(1_780_000_000_123_456),
        };
        match self.0.append(&StreamName::raw(stream), version, vec![event]).await {
            Ok(_) => Ok(false),
            Err(StoreError::Conflict { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

type Waiting = Arc<Mutex<HashMap<String, oneshot::Sender<Answer>>>>;

#[derive(Clone)]
struct Bare {
    requests: mpsc::Sender<BatchAppendReq>,
    waiting: Waiting,
}

impl Bare {
    async fn open(server: &StandIn) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(format!("http://{}", server.address()))?
            .tcp_nodelay(true)
            .connect()
            .await?;
        let (requests, mut queue) = mpsc::channel(64);
        let waiting = Waiting::default();
        let answered = Arc::clone(&waiting);
        tokio::spawn(async move {
            let mut grpc = Grpc::new(channel);
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let queue = Request::new(stream::poll_fn(move |context| queue.poll_recv(context)));
            let path = PathAndQuery::from_static(BATCH_APPEND);
            let answers = grpc.streaming(queue, path, ProstCodec::default()).await?;
            let mut answers = answers.into_inner();
            while let Some(answer) = answers.message().await? {
                let BatchAppendResp {
                    correlation_id: Some(WireUuid { value: Some(Value::String(id)) }),
                    result: Some(result),
                    ..
                } = answer
                else {
                    continue;
                };
                if let Some(waits) = answered.lock().remove(&id) {
                    let _ = waits.send(result);
                }
            }
            Ok::<_, Status>(())
        });
        Ok(Self { requests, waiting })
    }
}

fn wire_id() -> (String, Option<WireUuid>) {
    let id = Uuid::now_v7().to_string();
    let value = Some(Value::String(id.clone()));
    (id, Some(WireUuid { value }))
}

impl Append for Bare {
    async fn append(&self, stream: &str, version: u64) -> anyhow::Result<bool> {
        let (id, correlation_id) = wire_id();
        let (sender, answer) = oneshot::channel();
        self.waiting.lock().insert(id, sender);
        let request = BatchAppendReq {
            correlation_id,
            options: Some(Options {
                stream_identifier: Some(StreamIdentifier { stream_name: stream.to_owned().into() }),
                expected_stream_position: Some(match version.checked_sub(1) {
                    Some(revision) => ExpectedStreamPosition::StreamPosition(revision),
                    None => ExpectedStreamPosition::NoStream(()),
                }),
                deadline_option: None,
            }),
            proposed_messages: vec![ProposedMessage {
                id: wire_id().1,
                metadata: HashMap::from([
                    ("type".to_owned(), "task.created".to_owned()),
                    ("content-type".to_owned(), "application/octet-stream".to_owned()),
                ]),
                custom_metadata: Default::default(),
                data: PAYLOAD.into(),
            }],
            is_final: true,
        };
        self.requests.send(request).await.context("the stream has ended")?;
        Ok(matches!(answer.await?, Answer::Error(_)))
    }
}
