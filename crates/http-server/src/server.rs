//! The accept loop: timeouts, a limit of connections, and a graceful shutdown.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use runtime::{StartError, process_metrics};
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    activity::Activity,
    connection::{Shared, connection},
    connection_limit::{ConnectionLimit, Place},
    connection_metrics::ConnectionMetrics,
    head::Refusal,
    load::Load,
    options::ServerOptions,
    service::HttpService,
    workers::Workers,
};

/// The most refused connections that get an answer at the same time. Others are closed without one.
const REFUSED_AT_ONCE: usize = 128;
/// How long a refused connection may take to send its request.
const REFUSED_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause between two log lines about connections that cannot be accepted.
const COMPLAIN_INTERVAL: Duration = Duration::from_secs(10);
/// How long a connection that has given up its place may find a request that has arrived before.
const LAST_LOOK: Duration = Duration::from_millis(1);
/// The pause between two looks whether a connection without a place has answered its last request.
const ANSWERED_INTERVAL: Duration = Duration::from_millis(50);

/// Binds the address.
///
/// # Errors
/// A sentence with the remedy.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::cannot_listen(address, error))
}

/// Serves `service` until `stop` is cancelled and the requests in flight have been answered, at most `options.grace`
/// later; commands whose clients have gone get the same time again. Requests have their peer as
/// `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    service: impl Into<HttpService>,
    options: ServerOptions,
    stop: CancellationToken,
) {
    let metrics = ConnectionMetrics::new();
    let (places, grace, workers) =
        (ConnectionLimit::new(&options, metrics.clone()), options.grace, options.workers.clone());
    let refused_at_once = Arc::new(Semaphore::new(REFUSED_AT_ONCE));
    let connections = TaskTracker::new();
    let shared = Shared {
        service: service.into(),
        load: Load::new(&options, metrics),
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
    impatient.options.header_timeout = REFUSED_TIMEOUT;
    impatient.options.stall_timeout = REFUSED_TIMEOUT;
    let (shared, impatient) = (Arc::new(shared), Arc::new(impatient));
    let cut = CancellationToken::new();
    let mut complained: Option<Instant> = None;
    loop {
        let accepting = async {
            places.displaced_are_closed().await;
            listener.accept().await
        };
        let accepted = tokio::select! {
            accepted = accepting => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // There are no file descriptors left, or the client left before it was accepted.
                if complained.is_none_or(|at| at.elapsed() > COMPLAIN_INTERVAL) {
                    complained = Some(Instant::now());
                    tracing::warn!(error = %error, "cannot accept a connection");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let activity = Activity::new();
        // A token of its own: each poll of a connection locks it, and the other one is everybody's.
        let cut = cut.child_token();
        if let Some(place) = places.take(peer.ip(), &activity) {
            let shared = Arc::clone(&shared);
            let serve = move |stream| async move {
                let seen = activity.clone();
                tokio::select! {
                    biased;
                    () = connection(stream, peer, activity, shared) => {}
                    () = cut.cancelled() => {}
                    () = displaced(&place, &seen) => {}
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
        tracing::warn!(connections = connections.len(), "cut off requests that did not finish in time");
        cut.cancel();
        connections.wait().await;
    }
    // Including requests whose client has gone.
    shared.commands.close();
    if tokio::time::timeout(grace, shared.commands.wait()).await.is_err() {
        tracing::warn!(commands = shared.commands.len(), "left behind commands that did not finish in time");
    }
}

/// Ends when the place of a connection was given to another and no request is being served on it. One may have arrived
/// just then: it is the last one.
async fn displaced(place: &Place, activity: &Activity) {
    place.close.cancelled().await;
    activity.end_with_answer();
    // A timer ends only after the runtime has asked the system what is there already, and the connection is polled
    // first.
    tokio::time::sleep(LAST_LOOK).await;
    while activity.waiting_since().is_none() {
        tokio::time::sleep(ANSWERED_INTERVAL).await;
    }
}
