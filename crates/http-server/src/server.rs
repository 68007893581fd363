//! The accept loop: timeouts, a cap on connections, and an end that lets requests in flight finish.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use runtime::{StartError, process_metrics};
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    activity::Activity,
    connection::{Shared, connection},
    connection_limit::ConnectionLimit,
    head::Refusal,
    load::Load,
    options::ServerOptions,
    workers::Workers,
};

/// The most connections for which there is no place and that are told so at the same time. Others are closed without a word.
const REFUSED_AT_ONCE: usize = 128;
/// How long a connection for which there is no place may take to ask for anything.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// Between two lines in the log about connections that cannot be accepted.
const COMPLAIN_AGAIN: Duration = Duration::from_secs(10);

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
    let (places, grace, workers) = (
        ConnectionLimit::new(&options),
        options.grace,
        options.workers.clone(),
    );
    let refused_at_once = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
    let connections = TaskTracker::new();
    let shared = Shared {
        router,
        load: Load::new(&options),
        options,
        commands: TaskTracker::new(),
        stop: stop.clone(),
        failed_handshakes: process_metrics().counter_vec(
            "taskledger_tls_handshake_failures_total",
            "Connections on which there was no agreement on TLS.",
            &["reason"],
        ),
    };
    let mut impatient = shared.clone();
    impatient.options.header_timeout = REFUSED_WITHIN;
    impatient.options.stall_timeout = REFUSED_WITHIN;
    let (shared, impatient) = (Arc::new(shared), Arc::new(impatient));
    let cut = CancellationToken::new();
    let mut complained: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a client that left before it was accepted.
                if complained.is_none_or(|at| at.elapsed() > COMPLAIN_AGAIN) {
                    complained = Some(Instant::now());
                    tracing::warn!(error = %error, "cannot accept a connection");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let activity = Activity::new();
        let cut = cut.clone();
        if let Some(place) = places.take(peer.ip(), &activity) {
            let shared = Arc::clone(&shared);
            let serve = move |stream| async move {
                tokio::select! {
                    () = connection(stream, peer, activity, shared) => {}
                    () = cut.cancelled() => {}
                    () = place.close.cancelled() => {}
                }
            };
            match workers.as_ref().and_then(Workers::assign) {
                Some(worker) => worker.spawn(&connections, stream, serve),
                None => drop(connections.spawn(serve(stream))),
            }
        } else if let Ok(turn) = Arc::clone(&refused_at_once).try_acquire_owned() {
            activity.turn_away(Refusal::Overloaded);
            let connection = connection(stream, peer, activity, Arc::clone(&impatient));
            connections.spawn(async move {
                tokio::select! {
                    () = connection => {}
                    () = cut.cancelled() => {}
                }
                drop(turn);
            });
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(grace, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut off requests that did not finish in time"
        );
        cut.cancel();
        connections.wait().await;
    }
    // Also those whose client has gone, or was cut off.
    shared.commands.close();
    if tokio::time::timeout(grace, shared.commands.wait()).await.is_err() {
        tracing::warn!(
            commands = shared.commands.len(),
            "left behind commands that did not finish in time"
        );
    }
}
