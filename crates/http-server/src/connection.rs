//! One connection: its requests one after another, and their ends.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    body::{Body, HttpBody},
    extract::ConnectInfo,
    response::IntoResponse,
};
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use prometheus::IntCounterVec;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    activity::{Activity, Timeouts},
    answer_body::{AnswerBody, EndOfWait},
    body::TimedBody,
    head::Refusal,
    load::Load,
    options::ServerOptions,
    request_load::{RequestLoad, is_event_stream},
    service::HttpService,
    socket::{Peer, Socket},
    transport::Transport,
};

/// Among the extensions of a request that came over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls;

/// The parts that all connections of a server share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) service: HttpService,
    pub(crate) options: ServerOptions,
    /// Requests that may change something. Each runs in a separate task to its end, even if its client disconnects.
    pub(crate) commands: TaskTracker,
    pub(crate) stop: CancellationToken,
    pub(crate) load: Load,
    /// TLS handshakes that have failed, by reason.
    pub(crate) failed_handshakes: IntCounterVec,
}

/// Serves the requests of one connection, to its end.
pub(crate) async fn connection(stream: TcpStream, peer: SocketAddr, activity: Activity, shared: Arc<Shared>) {
    // Answers are written as a whole, so waiting for more data only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "cannot set TCP_NODELAY");
    }
    let options = &shared.options;
    let timeouts = Timeouts {
        head: options.header_timeout,
        idle: options.idle_timeout,
        write: options.stall_timeout,
        answer: options.answer_timeout,
    };
    let Some(transport) = shared.transport(stream, peer).await else {
        return;
    };
    let is_tls = transport.is_tls();
    if options.tls.is_some() && !is_tls {
        activity.turn_away(Refusal::NotEncrypted);
    }
    let limits = options.head_limits;
    // A token of its own: each poll of the connection locks it, and the server's is everybody's.
    let stop = shared.stop.child_token();
    let (stall, total) = (options.stall_timeout, options.body_timeout);
    let mut socket = Socket::new(transport, limits, timeouts, activity.clone());
    let client = socket.peer();
    // hyper takes its buffers before it reads. A connection on which nothing comes needs none of them.
    let begun = tokio::select! {
        begun = socket.first_head() => begun,
        () = stop.cancelled() => Ok(()),
    };
    if let Err(error) = begun {
        tracing::debug!(error = %error, client.address = %peer, "a connection ended before its first request");
        return;
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = activity.busy(request.body().is_end_stream());
        let is_read = request.method().is_safe();
        let (at_work, has_room) = shared.load.begin();
        let activity = activity.clone();
        let (shared, client) = (Arc::clone(&shared), client.clone());
        let awaited = request.headers().contains_key(header::EXPECT);
        let mut request = request.map(|body| {
            Body::new(TimedBody::new(body, activity.clone(), awaited, stall, total, Arc::clone(&at_work)))
        });
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(RequestLoad::new(Arc::clone(&at_work)));
        if is_tls {
            request.extensions_mut().insert(OverTls);
        }
        if let Some(refusal) = activity.take_refusal() {
            request.extensions_mut().insert(refusal);
        } else if !has_room {
            request.extensions_mut().insert(Refusal::Overloaded);
        }
        let answering = shared.service.answer(request);
        async move {
            let mut response = shared.complete(answering, is_read, &client).await?;
            if !activity.can_go_on().await {
                // Announced in time, or the client would lose its next request.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            if is_read {
                at_work.may_be_cut_off(&activity);
            }
            let end_of_wait = end_of_wait(client, &response, shared);
            Ok::<Response<AnswerBody>, HungUp>(
                response.map(|body| AnswerBody::new(body, is_read, end_of_wait, busy, at_work)),
            )
        }
    });
    // Boxed, so that a connection has no place for it while it waits.
    let mut connection = Box::pin(
        hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None) // `Socket` does it, and tells idle connections from slow ones
            .half_close(true) // a client that asks no more may still wait for its answers
            .max_headers(limits.fields)
            .max_buf_size(2 * limits.bytes) // more than any head that `Socket` lets pass
            .serve_connection(TokioIo::new(socket), service),
    );
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, client.address = %peer, "a connection broke off");
    }
}

/// Ends when nobody waits for the next part of an answer. Who follows a stream of events has no reason to close their
/// side before its end, and it ends when the server stops; of other answers a client may take the rest after that.
fn end_of_wait(client: Peer, response: &Response<Body>, shared: Arc<Shared>) -> EndOfWait {
    let is_event_stream = is_event_stream(response);
    Box::pin(async move {
        if is_event_stream {
            tokio::select! {
                () = shared.stop.cancelled() => return Ok(()),
                () = client.closed() => {}
            }
        } else {
            client.closed().await;
            client.reset().await;
        }
        Err(io::ErrorKind::ConnectionReset.into())
    })
}

/// The client of a read has gone.
#[derive(Debug, thiserror::Error)]
#[error("the client has hung up")]
struct HungUp;

impl Shared {
    /// Sets up TCP or TLS; `None` if the client does not complete the handshake in time. Like every wait for a
    /// client, this one ends when its place is needed.
    async fn transport(&self, stream: TcpStream, peer: SocketAddr) -> Option<Transport> {
        let Some(tls) = &self.options.tls else {
            return Some(Transport::plain(stream));
        };
        let accepted = tokio::select! {
            accepted = timeout(self.options.header_timeout, Transport::accept(stream, tls)) => accepted,
            () = self.stop.cancelled() => return None,
        };
        let (reason, error) = match accepted {
            Ok(Ok(transport)) => return Some(transport),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => ("hung_up", error),
            Ok(Err(error)) => ("failed", error),
            Err(_) => ("timed_out", io::ErrorKind::TimedOut.into()),
        };
        self.failed_handshakes.with_label_values(&[reason]).inc();
        tracing::debug!(error = %error, client.address = %peer, "no agreement on TLS");
        None
    }

    /// Reads end when their client hangs up; what may change something runs to its end.
    async fn complete(
        &self,
        answering: impl Future<Output = Response<Body>> + Send + 'static,
        is_read: bool,
        client: &Peer,
    ) -> Result<Response<Body>, HungUp> {
        if is_read {
            tokio::select! {
                response = answering => Ok(response),
                () = client.hung_up() => Err(HungUp),
            }
        } else {
            match self.commands.spawn(answering).await {
                Ok(response) => Ok(response),
                Err(error) => {
                    tracing::error!(error = %error, "a request ended without an answer");
                    Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response())
                }
            }
        }
    }
}
