//! The accept loop: timeouts, a cap on connections, and an end that lets requests in flight finish.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo, response::IntoResponse};
use http::{HeaderValue, Request, Response, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{
    activity::{Activity, BusyBody, Patience},
    body::TimedBody,
    head::MAX_HEAD,
    problem::Problem,
    shell::Refused,
    socket::{Peer, Socket},
    start_error::StartError,
};

/// How a server treats its connections.
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// For the head of a request to arrive.
    pub header_timeout: Duration,
    /// For the next request on a connection.
    pub idle_timeout: Duration,
    /// For the next bytes of a body, and for the client to take the next bytes of an answer.
    pub stall_timeout: Duration,
    /// For a whole body.
    pub body_timeout: Duration,
    /// For the client to take a whole answer; time in which this side had nothing to send does not count.
    pub answer_timeout: Duration,
    /// Connections at once; more wait to be accepted.
    pub max_connections: usize,
    /// For requests in flight to finish once the server is told to stop.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            stall_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(300),
            answer_timeout: Duration::from_secs(300),
            max_connections: 10_000,
            grace: Duration::from_secs(10),
        }
    }
}

/// Takes the address.
///
/// # Errors
/// With a sentence that says what to do about it.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| StartError::cannot_listen(address, error))
}

/// Serves `router` until `stop` is cancelled and the requests in flight have been answered, at most
/// `options.grace` later; commands whose clients have gone get as long again. Requests carry their peer as `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, options: ServerOptions, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(options.max_connections));
    let connections = TaskTracker::new();
    let shared = Shared {
        router,
        options,
        commands: TaskTracker::new(),
        stop: stop.clone(),
    };
    let cut = CancellationToken::new();
    loop {
        let accepted = async {
            // The semaphore is never closed.
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = connection(stream, peer, shared.clone());
                let cut = cut.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = connection => {}
                        () = cut.cancelled() => {}
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // Out of file descriptors, or a client that left before it was accepted.
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(options.grace, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = connections.len(),
            "cut off requests that did not finish in time"
        );
        cut.cancel();
        connections.wait().await;
    }
    // Also those whose client has gone, or was cut off.
    shared.commands.close();
    if tokio::time::timeout(options.grace, shared.commands.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            commands = shared.commands.len(),
            "left behind commands that did not finish in time"
        );
    }
}

/// What all connections of a server share.
#[derive(Clone)]
struct Shared {
    router: Router,
    options: ServerOptions,
    /// Requests that change something. Each runs in a task of its own, to its end, whether its client stays or not.
    commands: TaskTracker,
    stop: CancellationToken,
}

async fn connection(stream: TcpStream, peer: SocketAddr, shared: Shared) {
    // Answers are written whole: waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "cannot set TCP_NODELAY");
    }
    let Shared { options, stop, .. } = shared.clone();
    let patience = Patience {
        head: options.header_timeout,
        idle: options.idle_timeout,
        write: options.stall_timeout,
        answer: options.answer_timeout,
    };
    let activity = Activity::new();
    let socket = Socket::new(stream, patience, activity.clone());
    let client = socket.peer();
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = activity.busy(request.body());
        let activity = activity.clone();
        let (shared, client) = (shared.clone(), client.clone());
        let awaited = request.headers().contains_key(header::EXPECT);
        let mut request = request.map(|body| {
            Body::new(TimedBody::new(
                body,
                activity.clone(),
                awaited,
                options.stall_timeout,
                options.body_timeout,
            ))
        });
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(refusal) = activity.take_refusal() {
            request.extensions_mut().insert(Refused(refusal));
        }
        async move {
            let mut response = shared.answer(request, &client).await?;
            if !activity.can_go_on().await {
                // Said in time, or the client would lose its next request.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<Response<BusyBody>, HungUp>(response.map(|body| BusyBody::new(body, busy)))
        }
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None) // `Socket` does it, and tells idle connections from slow ones
            .half_close(true) // a client that asks no more may still wait for its answers
            .max_buf_size(2 * MAX_HEAD) // more than any head that `Socket` lets pass
            .serve_connection(TokioIo::new(socket), service)
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

/// Nobody is there any more to take the answer to a read.
#[derive(Debug, thiserror::Error)]
#[error("the client has hung up")]
struct HungUp;

impl Shared {
    /// Reads end when their client hangs up; what may change something runs to its end.
    async fn answer(&self, request: Request<Body>, client: &Peer) -> Result<Response<Body>, HungUp> {
        let is_read = request.method().is_safe();
        let answering = self.router.clone().oneshot(request);
        if is_read {
            tokio::select! {
                Ok(response) = answering => Ok(response),
                () = client.hung_up() => Err(HungUp),
            }
        } else {
            match self.commands.spawn(answering).await {
                Ok(Ok(response)) => Ok(response),
                Err(error) => {
                    tracing::error!(error = %error, "a request ended without an answer");
                    Ok(Problem::internal().into_response())
                }
            }
        }
    }
}
