//! The accept loop: timeouts, a cap on connections, and an end that lets requests in flight finish.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use runtime::StartError;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    connection::{Shared, connection},
    options::ServerOptions,
};

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
