//! A stand-in for a KurrentDB server: it speaks the protocol, keeps the log in memory and can fail on demand. For
//! tests and measurements only. By default it behaves like a real server in these points:
//!
//! 1. A connection has at most 100 streams at once. A client that opens one more waits, without an error.
//! 2. When a client ends its side of a batch append, the stream stays open until another answer is written. If none is
//!    pending, it stays open for ever.
//! 3. An append is answered when it is indexed, up to 20 ms after it was written. The same events again in between are
//!    dropped without a word and answered with a time-out after 2 s; afterwards they are answered as the first time.
//! 4. A refused append of a batch has an answer of its own, with the details of the protocol, and the stream continues.
//!    A node that is not the leader ends the stream with an error that names the leader.
//! 5. An append that is not done within 2 s is answered with a time-out, whatever was asked.
//! 6. Filtered reads and subscriptions examine every event of the server, others' too, and pay for each.
//! 7. A node can stand still: it accepts connections and answers nothing, not even a ping.
//! 8. A node that knows no leader is not ready: it refuses an append and keeps the stream open, and ends a read with
//!    `UNAVAILABLE`. A leader that is cut off from the others does the same once it has noticed. Before that its
//!    appends end with a time-out. It keeps all connections and subscriptions, and sends nothing over the
//!    subscriptions.
//!
//! It is strict where the real one may be lenient: a read cannot start where no record begins.

#![expect(missing_docs, reason = "a server for our own tests")]
#![expect(clippy::disallowed_methods, reason = "a server of its own has tasks, ids and chance of its own")]
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

mod batch;
mod behaviour;
mod convert;
mod faults;
mod log;
mod node;
mod streams;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use kurrentdb_protocol::event_store::client::{
    gossip::gossip_server::GossipServer, streams::streams_server::StreamsServer,
};
use tokio::runtime::{Builder, Runtime};
use tonic::transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming};

pub use self::behaviour::Behaviour;
use self::{
    faults::{Faults, FrozenThread},
    log::{Log, Proposed},
    node::{Cluster, Member, NOBODY, Node, Service},
};

/// The most events that the server reads at a time, and answers that wait for the client.
const PAGE: usize = 32;
/// The largest message it takes.
const MAX_MESSAGE_BYTES: usize = 17 << 20;

/// A server with a log of its own, of one node or several.
pub struct StandIn {
    behaviour: Behaviour,
    log: Arc<Log>,
    faults: Arc<Faults>,
    cluster: Arc<Cluster>,
    nodes: Vec<Running>,
}

struct Running {
    address: SocketAddr,
    frozen: Arc<FrozenThread>,
    /// Its connections end with it.
    runtime: Option<Runtime>,
}

impl StandIn {
    /// Starts one node.
    #[must_use]
    pub fn start() -> Self {
        Self::with(Behaviour::default())
    }

    /// Starts one node that behaves in this way.
    #[must_use]
    pub fn with(behaviour: Behaviour) -> Self {
        Self::cluster(behaviour, 1)
    }

    /// Starts `nodes` nodes, of which the first is the leader.
    #[must_use]
    pub fn cluster(behaviour: Behaviour, nodes: usize) -> Self {
        let mut server = Self {
            log: Arc::new(Log::new(behaviour.clone())),
            behaviour,
            faults: Arc::default(),
            cluster: Arc::default(),
            nodes: Vec::new(),
        };
        let listeners: Vec<TcpListener> =
            (0..nodes).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port")).collect();
        for listener in &listeners {
            let address = listener.local_addr().expect("an address");
            server.members(|members| {
                members.push(Member { address, is_alive: true });
            });
            server.nodes.push(Running { address, frozen: Arc::default(), runtime: None });
        }
        for (node, listener) in listeners.into_iter().enumerate() {
            server.serve(node, listener);
        }
        server
    }

    /// The address of the first node.
    pub fn address(&self) -> SocketAddr {
        self.nodes[0].address
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| node.address).collect()
    }

    /// Closes all connections and refuses new ones.
    pub fn stop(&mut self) {
        for node in 0..self.nodes.len() {
            self.stop_node(node);
        }
    }

    pub fn stop_node(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        node.frozen.set(false);
        if let Some(runtime) = node.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Comes back at the same addresses, with the same log.
    pub fn start_again(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].runtime.is_none() {
                let listener = self.listen_again(node);
                self.serve(node, listener);
            }
        }
    }

    fn listen_again(&self, node: usize) -> TcpListener {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpListener::bind(self.nodes[node].address) {
                Ok(listener) => return listener,
                Err(error) => assert!(Instant::now() < deadline, "cannot listen again: {error}"),
            }
            std::thread::yield_now();
        }
    }

    /// Stops the node as a stopped process: it does not answer.
    pub fn freeze(&self, node: usize) {
        let node = &self.nodes[node];
        node.frozen.set(true);
        let frozen = Arc::clone(&node.frozen);
        if let Some(runtime) = &node.runtime {
            runtime.spawn(async move { frozen.hold() });
        }
    }

    pub fn thaw(&self, node: usize) {
        self.nodes[node].frozen.set(false);
    }

    /// The node that is the leader.
    pub fn leader(&self) -> usize {
        self.cluster.leader.load(Ordering::SeqCst)
    }

    /// Makes `node` the leader, or no node. The others treat the old leader as dead.
    pub fn elect(&self, node: Option<usize>) {
        let before = self.cluster.leader.swap(node.unwrap_or(NOBODY), Ordering::SeqCst);
        self.members(|members| {
            if let Some(member) = members.get_mut(before) {
                member.is_alive = false;
            }
            if let Some(member) = node.and_then(|node| members.get_mut(node)) {
                member.is_alive = true;
            }
        });
    }

    /// Cuts `node` off from the others but not from its clients. It believes its old view for as long as `unnoticed`.
    pub fn cut_off(&self, node: usize, unnoticed: Duration) {
        self.cluster.cut_off(node, unnoticed);
    }

    /// Writes the next `count` appends and closes the connection at once, before they are indexed.
    pub fn lose_answers(&self, count: usize) {
        self.faults.lost_answers.set(count);
    }

    /// Fails the next `count` reads of the log, as for a file that is being replaced.
    pub fn fail_reads(&self, count: usize) {
        self.faults.failed_reads.set(count);
    }

    /// Refuses the next `count` appends because of the size of one event, as newer versions do.
    pub fn refuse_as_too_large(&self, count: usize) {
        self.faults.too_large.set(count);
    }

    /// Answers the next `count` appends with "not ready".
    pub fn refuse_as_not_ready(&self, count: usize) {
        self.faults.not_ready.set(count);
    }

    /// Removes the users of `node`, as for one that was added during an election: it refuses every client.
    pub fn empty(&self, node: usize) {
        self.faults.empty.lock().insert(node);
    }

    /// Denies appends, or reads of the log, to the user.
    pub fn deny(&self, appends: bool, reads: bool) {
        self.faults.denied_appends.store(appends, Ordering::SeqCst);
        self.faults.denied_reads.store(reads, Ordering::SeqCst);
    }

    /// Fails all existing subscriptions.
    pub fn fail_subscriptions(&self) {
        self.faults.subscriptions.send_modify(|epoch| *epoch += 1);
    }

    /// Appends `count` events of `size` bytes by another application.
    pub fn others_append(&self, stream: &str, count: usize, size: usize) {
        let event = Proposed::new("noise", vec![b'x'; size].into(), b"{}".as_slice().into());
        self.log.fill(stream, count, &event);
    }

    /// Appends an event with `metadata` by another application.
    pub fn others_append_with(&self, stream: &str, metadata: &[u8]) {
        let event = Proposed::new("noise", b"{}".as_slice().into(), metadata.to_vec().into());
        self.log.fill(stream, 1, &event);
    }

    /// Removes the last `count` records, as a leader does that comes back with records that were not replicated.
    pub fn lose_tail(&self, count: usize) {
        self.log.lose_tail(count);
    }

    /// Hides the events of `stream` before revision `first`, and removes them from the log as a scavenge does.
    pub fn truncate_stream(&self, stream: &str, first: u64) {
        self.log.truncate_stream(stream, first);
    }

    /// Deletes a stream for good.
    pub fn tombstone(&self, stream: &str) {
        self.log.tombstone(stream);
    }

    /// Empties the log, as on a server that was set up again.
    pub fn forget(&self) {
        self.log.forget();
    }

    /// The number of calls that are being served: streams that were neither ended nor reset.
    pub fn open_calls(&self) -> usize {
        self.faults.open.load(Ordering::SeqCst)
    }

    /// The number of events that filtered reads and subscriptions have examined so far.
    pub fn events_examined(&self) -> u64 {
        self.faults.events_examined.get()
    }

    /// The number of events that reads of the log have sent so far.
    pub fn events_sent(&self) -> u64 {
        self.faults.events_sent.get()
    }

    /// The number of calls so far that read the log, without subscriptions.
    pub fn log_reads(&self) -> u64 {
        self.faults.log_reads.get()
    }

    fn members(&self, change: impl FnOnce(&mut Vec<Member>)) {
        change(&mut self.cluster.members.lock());
    }

    fn serve(&mut self, index: usize, listener: TcpListener) {
        // A separate thread, so that the node can be stopped.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        listener.set_nonblocking(true).expect("a socket");
        let node = Node {
            index,
            cluster: Arc::clone(&self.cluster),
            behaviour: self.behaviour.clone(),
            log: Arc::clone(&self.log),
            faults: Arc::clone(&self.faults),
        };
        runtime.spawn(serve(listener, Arc::new(node)));
        self.nodes[index].runtime = Some(runtime);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn serve(listener: TcpListener, node: Arc<Node>) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let mut server = Server::builder().max_concurrent_streams(node.behaviour.most_streams);
    if let Some((certificate, key)) = &node.behaviour.tls {
        // The vendor's client brings a second cryptography provider, and rustls does not choose between two. If one is
        // installed already, it stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = ServerTlsConfig::new().identity(Identity::from_pem(certificate, key));
        server = server.tls_config(identity).expect("a certificate");
    }
    server
        .add_service(
            StreamsServer::new(Service(Arc::clone(&node))).max_decoding_message_size(MAX_MESSAGE_BYTES),
        )
        .add_service(GossipServer::new(Service(node)))
        .serve_with_incoming(incoming)
        .await
        .expect("a server");
}
