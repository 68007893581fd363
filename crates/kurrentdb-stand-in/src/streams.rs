//! The stand-in's reads and subscriptions.

#![expect(clippy::result_large_err, reason = "a status is what tonic wants")]

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kurrentdb_protocol::event_store::client::streams::{
    AppendReq, AppendResp, BatchAppendReq, BatchAppendResp, ReadReq, ReadResp, batch_append_resp,
    read_req::options::{CountOption, StreamOption, UuidOption, stream_options::RevisionOption},
    read_resp::{self, CaughtUp, Checkpoint, StreamNotFound, SubscriptionConfirmation},
    streams_server::Streams,
};
use tokio::{sync::mpsc, time::sleep};
use tonic::{Request, Response, Status, Streaming, codegen::tokio_stream::wrappers::ReceiverStream};
use uuid::Uuid;

use crate::{
    PAGE, batch,
    convert::{Keep, answer, append_answer, as_batch, bounded, event, filter, name, start, without_position},
    faults::OpenCall,
    log::{Record, StreamRead},
    node::{Node, Service, denied},
};

type Answers<T> = mpsc::Sender<Result<T, Status>>;

/// The shortest sleep: sleeping is exact to about a millisecond, so the cost of examining is collected up to this.
const MIN_SLEEP: Duration = Duration::from_millis(2);

impl Service {
    /// Sends what `serve` produces, until it returns or the client resets the stream.
    fn respond<T, F>(
        &self,
        serve: impl FnOnce(Arc<Node>, Answers<T>) -> F,
    ) -> Response<BoxStream<'static, Result<T, Status>>>
    where
        T: Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (sender, answers) = mpsc::channel(PAGE);
        tokio::spawn(serve(Arc::clone(&self.0), sender));
        let open = OpenCall::new(&self.0.faults.open);
        let answers = ReceiverStream::new(answers).map(move |answer| {
            let _is_open = &open;
            answer
        });
        Response::new(answers.boxed())
    }
}

#[tonic::async_trait]
impl Streams for Service {
    type ReadStream = BoxStream<'static, Result<ReadResp, Status>>;
    type BatchAppendStream = BoxStream<'static, Result<BatchAppendResp, Status>>;

    async fn read(&self, request: Request<ReadReq>) -> Result<Response<Self::ReadStream>, Status> {
        self.0.authenticate(request.metadata())?;
        if request.metadata().contains_key("requires-leader") {
            self.0.refused()?;
        }
        let options = request.into_inner().options.ok_or_else(|| Status::invalid_argument("no options"))?;
        let ids = options.uuid_option.ok_or_else(|| Status::invalid_argument("no form of ids"))?;
        let backwards = options.read_direction == 1;
        let (keep, window) = filter(options.filter_option)?;
        let reading = match (options.stream_option, options.count_option) {
            (_, Some(CountOption::Count(0))) => {
                return Err(Status::invalid_argument("count must be positive"));
            }
            (Some(StreamOption::Stream(options)), Some(CountOption::Count(count))) => {
                let name = name(options.stream_identifier.clone())?;
                let count = bounded(count);
                let read = match options.revision_option {
                    Some(RevisionOption::Revision(revision))
                        if i64::try_from(revision).is_ok() && !backwards =>
                    {
                        self.0.log.stream(&name, revision, count)
                    }
                    Some(RevisionOption::Start(_)) if !backwards => self.0.log.stream(&name, 0, count),
                    Some(RevisionOption::End(_)) if backwards => self.0.log.stream_backwards(&name, count),
                    _ => return Err(Status::invalid_argument("revision out of range")),
                };
                return Ok(self.respond(|node, answers| async move {
                    let not_found = StreamNotFound { stream_identifier: options.stream_identifier };
                    let _ = of_stream(&node, read, &name, not_found, &ids, &answers).await;
                }));
            }
            (Some(StreamOption::All(_)), _) if self.0.faults.denied_reads.load(Ordering::SeqCst) => {
                return Err(denied());
            }
            (Some(StreamOption::All(_)), Some(CountOption::Count(_)))
                if self.0.faults.failed_reads.take() =>
            {
                return Err(Status::unknown("Unexpected ReadAllResult: Error"));
            }
            (Some(StreamOption::All(options)), Some(CountOption::Count(count))) => {
                self.0.faults.log_reads.add(1);
                let (from, left) = (start(options)?, bounded(count));
                Reading { from, left, backwards, keep, window, ids }
            }
            (Some(StreamOption::All(options)), Some(CountOption::Subscription(_))) => {
                let from = start(options)?.ok_or_else(|| Status::unimplemented("not in the stand-in"))?;
                return Ok(self.respond(|node, answers| async move {
                    let mut failed = node.faults.subscriptions.subscribe();
                    tokio::select! {
                        _ = failed.changed() => {
                            let _ = answers.send(Err(Status::unavailable("the server is shutting down"))).await;
                        }
                        _ = follow(&node, from, &keep, window, &ids, &answers) => {}
                        () = answers.closed() => {}
                    }
                }));
            }
            _ => return Err(Status::unimplemented("not in the stand-in")),
        };
        Ok(self.respond(|node, answers| async move {
            tokio::select! {
                () = answers.closed() => {}
                _ = read_all(&node, reading, &answers) => {}
            }
        }))
    }

    /// Only the vendor's client appends in this way, and only appends that are accepted.
    async fn append(&self, request: Request<Streaming<AppendReq>>) -> Result<Response<AppendResp>, Status> {
        self.0.authenticate(request.metadata())?;
        self.0.refused()?;
        let request = as_batch(request.into_inner()).await?;
        match batch::alone(&self.0, request).await {
            batch_append_resp::Result::Success(success) => Ok(Response::new(append_answer(success)?)),
            batch_append_resp::Result::Error(error) => Err(Status::unimplemented(error.message)),
        }
    }

    async fn batch_append(
        &self,
        request: Request<Streaming<BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        self.0.authenticate(request.metadata())?;
        let requests = request.into_inner();
        let mut answers = self.respond(|node, answers| batch::serve(node, requests, answers)).into_inner();
        // The server sends nothing, not even headers, before the first answer.
        let first = answers.next().await;
        Ok(Response::new(stream::iter(first).chain(answers).boxed()))
    }
}

/// The client does not want answers any more.
struct Gone;

async fn send(answers: &Answers<ReadResp>, answer: ReadResp) -> Result<(), Gone> {
    answers.send(Ok(answer)).await.map_err(|_| Gone)
}

async fn of_stream(
    node: &Node,
    read: StreamRead,
    name: &str,
    not_found: StreamNotFound,
    ids: &UuidOption,
    answers: &Answers<ReadResp>,
) -> Result<(), Gone> {
    match read {
        StreamRead::Records(records) => {
            for record in records {
                let mut event = event(&record, Some(ids));
                if !node.behaviour.says_positions {
                    without_position(&mut event);
                }
                send(answers, event).await?;
            }
            Ok(())
        }
        StreamRead::NotFound => send(answers, answer(read_resp::Content::StreamNotFound(not_found))).await,
        StreamRead::Deleted => {
            let mut status = Status::failed_precondition(format!("Event stream '{name}' is deleted."));
            let exception = "stream-deleted".parse().expect("plain text");
            status.metadata_mut().insert("exception", exception);
            answers.send(Err(status)).await.map_err(|_| Gone)
        }
    }
}

struct Reading {
    /// `None` means the end.
    from: Option<u64>,
    left: usize,
    backwards: bool,
    keep: Keep,
    window: usize,
    ids: UuidOption,
}

/// Reads the log page by page.
async fn read_all(node: &Node, reading: Reading, answers: &Answers<ReadResp>) -> Result<(), Gone> {
    let Reading { mut from, mut left, backwards, keep, window, ids } = reading;
    let mut cost = Cost::new(node);
    loop {
        let count = if keep.is_filter() { window } else { left.min(PAGE) };
        let page = match (from, backwards) {
            (from, true) => node.log.backwards(from, count),
            (Some(from), false) => match node.log.forwards(from, count) {
                Ok(page) => page,
                Err(reason) => return answers.send(Err(Status::unknown(reason))).await.map_err(|_| Gone),
            },
            (None, false) => Vec::new(),
        };
        if keep.is_filter() {
            cost.examined(page.len()).await;
        }
        for record in page.iter().filter(|record| keep.allows(record)) {
            send(answers, event(record, Some(&ids))).await?;
            node.faults.events_sent.add(1);
            left -= 1;
            if left == 0 {
                return Ok(());
            }
        }
        match page.last() {
            Some(last) if backwards => from = Some(last.position),
            Some(last) => from = Some(next(node, last)),
            None => return Ok(()),
        }
    }
}

/// The position after `record`.
fn next(node: &Node, record: &Record) -> u64 {
    node.log
        .forwards(record.position, 2)
        .ok()
        .and_then(|page| page.get(1).map(|next| next.position))
        .unwrap_or(record.position + 1_000_000_000)
}

/// The cost of examining events in filtered reads.
struct Cost<'a> {
    node: &'a Node,
    owed: Duration,
}

impl<'a> Cost<'a> {
    fn new(node: &'a Node) -> Self {
        Self { node, owed: Duration::ZERO }
    }

    async fn examined(&mut self, events: usize) {
        self.node.faults.events_examined.add(events);
        self.owed += self.node.behaviour.examining * u32::try_from(events).unwrap_or(u32::MAX);
        if self.owed >= MIN_SLEEP {
            sleep(std::mem::take(&mut self.owed)).await;
        }
    }
}

/// Sends the events after `position`, with a checkpoint now and then.
async fn follow(
    node: &Node,
    mut position: u64,
    keep: &Keep,
    window: usize,
    ids: &UuidOption,
    answers: &Answers<ReadResp>,
) -> Result<(), Gone> {
    let mut length = node.log.length();
    let mut cost = Cost::new(node);
    let confirmation = SubscriptionConfirmation { subscription_id: Uuid::new_v4().to_string() };
    send(answers, answer(read_resp::Content::Confirmation(confirmation))).await?;
    let mut is_live = false;
    loop {
        // Whether the node is the leader is not checked again, so that a subscription of one that is cut off is
        // silent.
        node.hears_others().await;
        length.mark_unchanged();
        let page = match node.log.forwards(position, window) {
            Ok(page) => page,
            Err(_) => {
                let status = Status::invalid_argument("Trying to read from an invalid position.");
                return answers.send(Err(status)).await.map_err(|_| Gone);
            }
        };
        let new: Vec<_> = page.iter().filter(|record| record.position > position).collect();
        cost.examined(new.len()).await;
        for record in &new {
            if keep.allows(record) {
                send(answers, event(record, Some(ids))).await?;
            }
        }
        if let Some(last) = new.last() {
            position = last.position;
            let checkpoint =
                Checkpoint { commit_position: position, prepare_position: position, timestamp: None };
            send(answers, answer(read_resp::Content::Checkpoint(checkpoint))).await?;
            continue;
        }
        if !is_live {
            is_live = true;
            send(answers, answer(read_resp::Content::CaughtUp(CaughtUp::default()))).await?;
        }
        if length.changed().await.is_err() {
            return Err(Gone);
        }
    }
}
