//! One stream of appends: many are under way at once, and each is answered by its id. A refusal is the answer to one
//! append and does not end the stream. When the stream ends, all appends under way get an error that leaves their
//! result open.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::stream;
use kurrentdb_protocol::event_store::client::streams::{BatchAppendReq, batch_append_resp::Result as Answer};
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::timeout,
};
use uuid::Uuid;

use super::{
    calls::{self, wire_id},
    connection::{Connection, Node},
    failure::Failure,
};

/// The server answers within its own deadline of two seconds, at least with a time-out.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// The most appends that wait to be sent.
const QUEUE: usize = 64;

/// A stream of appends. Dropping it resets it.
pub(super) struct BatchStream {
    pub(super) node: Node,
    requests: mpsc::Sender<BatchAppendReq>,
    waiting: Arc<Mutex<Waiting>>,
    reader: AbortHandle,
}

#[derive(Default)]
struct Waiting {
    by_id: HashMap<Uuid, oneshot::Sender<Result<Answer, Failure>>>,
    /// Why there will be no more answers.
    ended: Option<Failure>,
}

impl BatchStream {
    /// Opens a stream. An error shows only with the first answer.
    pub(super) fn open(connection: &Connection, node: Node) -> Self {
        let (requests, mut queue) = mpsc::channel(QUEUE);
        let waiting = Arc::<Mutex<Waiting>>::default();
        let queue = stream::poll_fn(move |context| queue.poll_recv(context));
        let reading = read(node.clone(), connection.request(queue), Arc::clone(&waiting));
        Self { node, requests, waiting, reader: runtime::spawn("answers to appends", reading).abort_handle() }
    }

    /// Sends `request`, with an id of its own, and waits for its answer.
    pub(super) async fn append(&self, mut request: BatchAppendReq) -> Result<Answer, Failure> {
        let id = runtime::new_id();
        request.correlation_id = Some(wire_id(id));
        let (sender, answer) = oneshot::channel();
        let registered = {
            let mut waiting = self.waiting.lock();
            if let Some(failure) = &waiting.ended {
                return Err(failure.clone());
            }
            waiting.by_id.insert(id, sender);
            Registered { id, waiting: &self.waiting }
        };
        let asking = async {
            // If the connection takes no requests any more, the reader has the reason.
            let _ = self.requests.send(request).await;
            answer
                .await
                .unwrap_or_else(|_| Err(Failure::Connection("the stream of appends has ended".to_owned())))
        };
        let answer = timeout(ANSWER_TIMEOUT, asking).await.unwrap_or(Err(Failure::Late));
        drop(registered);
        answer
    }
}

impl Drop for BatchStream {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// An append that waits for its answer, until this is dropped.
struct Registered<'a> {
    id: Uuid,
    waiting: &'a Mutex<Waiting>,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.waiting.lock().by_id.remove(&self.id);
    }
}

/// Distributes the answers until the stream ends.
async fn read(
    node: Node,
    requests: tonic::Request<impl stream::Stream<Item = BatchAppendReq> + Send + 'static>,
    waiting: Arc<Mutex<Waiting>>,
) {
    let reading = async {
        let mut answers = calls::batch_append(node.channel, requests).await?;
        while let Some(response) = answers.message().await? {
            let waits = calls::id(response.correlation_id).and_then(|id| waiting.lock().by_id.remove(&id));
            if let (Some(waits), Some(result)) = (waits, response.result) {
                let _ = waits.send(Ok(result));
            }
        }
        Err(Failure::Connection("the server has ended the stream of appends".to_owned()))
    };
    let failure = match reading.await {
        Ok(never) => never,
        Err(failure) => failure,
    };
    let mut waiting = waiting.lock();
    for (_, waits) in waiting.by_id.drain() {
        let _ = waits.send(Err(failure.clone()));
    }
    waiting.ended = Some(failure);
}
