//! The stand-in's batch appends: many appends over one stream, each answered by itself.

use std::sync::{Arc, atomic::Ordering};

use kurrentdb_protocol::event_store::client::streams::{BatchAppendReq, BatchAppendResp, batch_append_resp};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver, UnboundedSender},
    time::sleep,
};
use tonic::{Status, Streaming};

use crate::{
    convert::{
        append, bad_request, batch_answer, deleted, denied, event_too_large, not_handled, success, timed_out,
        too_large, wrong_version,
    },
    log::{Outcome, until},
    node::{NOT_READY, Node, Refusal},
};

enum Message {
    Answer(Result<BatchAppendResp, Status>),
    /// The client has ended its side.
    Closing,
}

/// Serves one stream of appends until it ends; `answers` are sent to the client.
pub(crate) async fn serve(
    node: Arc<Node>,
    requests: Streaming<BatchAppendReq>,
    answers: mpsc::Sender<Result<BatchAppendResp, Status>>,
) {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::select! {
        () = answers.closed() => {}
        () = send(receiver, &answers) => {}
        // The end of this part does not end the stream.
        () = async {
            receive(&node, requests, sender).await;
            std::future::pending().await
        } => {}
    }
}

/// Behaves like the server: after the client has ended its side, the stream ends with the next answer. If no append
/// is pending there is none, and the stream stays open for ever.
async fn send(
    mut messages: UnboundedReceiver<Message>,
    answers: &mpsc::Sender<Result<BatchAppendResp, Status>>,
) {
    let mut is_closing = false;
    while let Some(message) = messages.recv().await {
        match message {
            Message::Closing => is_closing = true,
            Message::Answer(answer) => {
                let is_last = answer.is_err() || is_closing;
                if answers.send(answer).await.is_err() || is_last {
                    return;
                }
            }
        }
    }
    std::future::pending().await
}

async fn receive(
    node: &Arc<Node>,
    mut requests: Streaming<BatchAppendReq>,
    messages: UnboundedSender<Message>,
) {
    while let Ok(Some(request)) = requests.message().await {
        if let Some(Refusal::NotLeader(not_leader)) = node.refusal() {
            let _ = messages.send(Message::Answer(Err(not_leader)));
            continue;
        }
        let correlation_id = request.correlation_id.clone();
        let stream = request.options.as_ref().and_then(|options| options.stream_identifier.clone());
        let done = start(node, request);
        let is_lost = node.faults.lost_answers.take();
        if is_lost {
            let lost = Status::unavailable("the connection was lost");
            let _ = messages.send(Message::Answer(Err(lost)));
        }
        let (node, messages) = (Arc::clone(node), messages.clone());
        tokio::spawn(async move {
            let result = finish(&node, done).await;
            if is_lost {
                return;
            }
            let answer = batch_answer(correlation_id, stream, result);
            let _ = messages.send(Message::Answer(Ok(answer)));
        });
    }
    let _ = messages.send(Message::Closing);
    // The sender waits for more, as the server's does.
    messages.closed().await;
}

enum Started {
    Answer(batch_append_resp::Result),
    Wait(std::time::Instant, batch_append_resp::Result),
    Dropped,
}

/// An append that is not part of a batch.
pub(crate) async fn alone(node: &Node, request: BatchAppendReq) -> batch_append_resp::Result {
    let done = start(node, request);
    finish(node, done).await
}

/// Waits until there is an answer.
async fn finish(node: &Node, started: Started) -> batch_append_resp::Result {
    match started {
        Started::Answer(result) => result,
        Started::Wait(at, result) => {
            sleep(until(at)).await;
            node.log.announce();
            result
        }
        Started::Dropped => {
            sleep(node.behaviour.write_timeout).await;
            timed_out()
        }
    }
}

fn start(node: &Node, request: BatchAppendReq) -> Started {
    if node.faults.denied_appends.load(Ordering::SeqCst) {
        return Started::Answer(denied());
    }
    if node.faults.not_ready.take() || node.refusal().is_some() {
        return Started::Answer(not_handled(NOT_READY));
    }
    if node.is_cut_off() {
        return Started::Dropped;
    }
    if node.faults.too_large.take() {
        return Started::Answer(event_too_large(node.behaviour.max_append_bytes));
    }
    let (name, expected, events) = match append(request) {
        Ok(append) => append,
        Err(reason) => return Started::Answer(bad_request(&reason)),
    };
    Started::Answer(match node.log.append(&name, expected, &events) {
        Outcome::Written { revision, position, indexed_at } => {
            return Started::Wait(indexed_at, success(revision, position));
        }
        Outcome::There { revision, position } => success(revision, position),
        Outcome::NotIndexed => return Started::Dropped,
        Outcome::WrongVersion(current) => wrong_version(current, expected),
        Outcome::TooLarge => too_large(node.behaviour.max_append_bytes),
        Outcome::Deleted => deleted(&name),
    })
}
