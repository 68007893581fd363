//! The accept loop: timeouts, a cap on connections, and an end that lets requests in flight finish.

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
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
    body::TimedBody,
    connection::{Activity, BusyBody, Patience, Socket},
    start_error::StartError,
};

/// The head of a request may take this many bytes.
const MAX_HEAD: usize = 64 * 1024;

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
/// `options.grace` later. Requests carry their peer as `ConnectInfo<SocketAddr>`.
pub async fn serve(listener: TcpListener, router: Router, options: ServerOptions, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(options.max_connections));
    let connections = TaskTracker::new();
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
                let connection = connection(stream, peer, router.clone(), options, stop.clone());
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
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    options: ServerOptions,
    stop: CancellationToken,
) {
    // Answers are written whole: waiting for more to send only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "cannot set TCP_NODELAY");
    }
    let patience = Patience {
        head: options.header_timeout,
        idle: options.idle_timeout,
        write: options.stall_timeout,
    };
    let activity = Activity::new();
    let socket = Socket::new(stream, patience, activity.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let busy = activity.busy(request.body());
        let activity = activity.clone();
        let mut request = request.map(|body| {
            Body::new(TimedBody::new(
                body,
                activity.clone(),
                options.stall_timeout,
                options.body_timeout,
            ))
        });
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.clone();
        async move {
            let Ok(mut response) = router.oneshot(request).await;
            if !activity.can_go_on().await {
                // Said in time, or the client would lose its next request.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            Ok::<Response<BusyBody>, Infallible>(response.map(|body| BusyBody::new(body, busy)))
        }
    });
    let mut connection = pin!(
        hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None) // `Socket` does it, and tells idle connections from slow ones
            .max_buf_size(MAX_HEAD)
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
