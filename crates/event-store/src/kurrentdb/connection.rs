//! The way to the leader: finding it, keeping a connection to it, and leaving it when it fails.

use std::{fmt, sync::Arc, time::Duration};

use events::StreamName;
use futures::{StreamExt, stream::FuturesUnordered};
use kurrentdb_protocol::event_store::client::gossip::{ClusterInfo, member_info::VNodeState};
use runtime::Backoff;
use tokio::{
    net::lookup_host,
    sync::Mutex,
    time::{Instant, sleep, timeout, timeout_at},
};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use super::{
    calls,
    failure::Failure,
    settings::{Address, Settings},
};
use crate::OpenError;

/// The pause before the second attempt of an operation; it doubles.
const PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// Whoever has waited while another one looked for the leader in vain does not look again at once.
const FRESH: Duration = Duration::from_millis(100);
/// So much may be under way from the server to us, in all and for one stream.
const CONNECTION_WINDOW: u32 = 8 << 20;
const STREAM_WINDOW: u32 = 1 << 20;

/// A connection to the leader.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) channel: Channel,
    /// Counts the connections.
    generation: u64,
}

/// The way to a server or a cluster.
pub(super) struct Connection {
    pub(super) settings: Settings,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    node: Option<Node>,
    generation: u64,
    /// The nodes that gossip named last.
    members: Vec<Address>,
    /// The leader that a node named which is not.
    leader: Option<Address>,
    failed: Option<(Instant, Failure)>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("url", &self.settings.url)
            .field("prefix", &self.settings.prefix)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects when it is first needed.
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            settings,
            current: Mutex::default(),
        })
    }

    pub(super) fn open_error(&self, reason: String) -> OpenError {
        OpenError::Url {
            url: self.settings.url.clone(),
            reason,
        }
    }

    /// What the server calls `stream`.
    pub(super) fn name(&self, stream: &StreamName) -> String {
        format!("{}{stream}", self.settings.prefix)
    }

    pub(super) fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    /// A message with the headers that every call has.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let headers = request.metadata_mut();
        if let Some(authorization) = &self.settings.authorization {
            headers.insert("authorization", authorization.clone());
        }
        if let Some(name) = &self.settings.connection_name {
            headers.insert("connection-name", name.clone());
        }
        request
    }

    /// Runs `operation` on the leader until it succeeds, fails for good, or `within` is over. It may have been done
    /// before, and must be of a kind that does not mind.
    pub(super) async fn run<T, F, R>(&self, within: Duration, operation: F) -> Result<T, Failure>
    where
        F: Fn(Node) -> R + Send + Sync,
        R: Future<Output = Result<T, Failure>> + Send,
        T: Send,
    {
        let deadline = Instant::now() + within;
        let mut attempts = Attempts::new(deadline);
        loop {
            let attempt = async {
                let node = self.node().await?;
                let result = operation(node.clone()).await;
                if let Err(failure) = &result {
                    self.failed(&node, failure).await;
                }
                result
            };
            let failure = match timeout_at(deadline, attempt).await {
                Ok(Err(failure)) => failure,
                Ok(Ok(done)) => return Ok(done),
                Err(_) => return Err(attempts.late()),
            };
            attempts.next(failure).await?;
        }
    }

    /// The connection to use.
    pub(super) async fn node(&self) -> Result<Node, Failure> {
        let mut current = self.current.lock().await;
        if let Some(node) = &current.node {
            return Ok(node.clone());
        }
        if let Some((at, failure)) = &current.failed
            && at.elapsed() < FRESH
        {
            return Err(failure.clone());
        }
        match self.find_leader(&mut current).await {
            Ok(channel) => {
                current.generation += 1;
                let node = Node {
                    channel,
                    generation: current.generation,
                };
                current.failed = None;
                current.node = Some(node.clone());
                Ok(node)
            }
            Err(failure) => {
                current.failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    /// Leaves `node` if the failure says that it is of no more use, unless that has been done already.
    pub(super) async fn failed(&self, node: &Node, failure: &Failure) {
        if !failure.is_of_node() {
            return;
        }
        let mut current = self.current.lock().await;
        if let Failure::NotLeader(leader) = failure {
            current.leader.clone_from(leader);
        }
        if current.generation == node.generation && current.node.take().is_some() {
            tracing::debug!(%failure, "the connection to KurrentDB is given up");
        }
    }

    async fn find_leader(&self, current: &mut Current) -> Result<Channel, Failure> {
        if let Some(leader) = current.leader.take()
            && let Ok((channel, _)) = self.ask(&leader, None).await
        {
            return Ok(channel);
        }
        if !self.settings.is_cluster {
            let (channel, _) = self.ask(&self.settings.hosts[0], None).await?;
            return Ok(channel);
        }
        let mut asking: FuturesUnordered<_> = self
            .candidates(&current.members)
            .await
            .into_iter()
            .map(|(address, name)| async move { self.ask(&address, name.as_deref()).await })
            .collect();
        let mut failure = Failure::Connection("there is no host of this name".to_owned());
        while let Some(answer) = asking.next().await {
            let cluster = match answer {
                Ok((_, cluster)) => cluster,
                Err(reason) => {
                    failure = reason;
                    continue;
                }
            };
            let alive: Vec<_> = cluster.members.iter().filter(|member| member.is_alive).collect();
            let address = |member: &kurrentdb_protocol::event_store::client::gossip::MemberInfo| {
                let at = member.http_end_point.as_ref()?;
                Some(Address {
                    host: at.address.clone(),
                    port: at.port.try_into().ok()?,
                })
            };
            current.members = alive.iter().filter_map(|member| address(member)).collect();
            let leader = alive
                .iter()
                .find(|member| member.state() == VNodeState::Leader)
                .and_then(|member| address(member));
            match leader {
                // It must answer itself: the others take a moment to notice that a leader has stopped.
                Some(leader) => match self.ask(&leader, None).await {
                    Ok((channel, _)) => return Ok(channel),
                    Err(reason) => failure = reason,
                },
                None => failure = Failure::NotReady("the cluster has no leader".to_owned()),
            }
        }
        Err(failure)
    }

    /// Who may know the leader: the hosts of the connection string, by all of their addresses, and the nodes that were
    /// there last. With the name that a certificate must have, if it is not the address.
    async fn candidates(&self, members: &[Address]) -> Vec<(Address, Option<String>)> {
        let mut candidates: Vec<(Address, Option<String>)> =
            members.iter().map(|address| (address.clone(), None)).collect();
        for host in &self.settings.hosts {
            let found = timeout(
                self.settings.gossip_timeout,
                lookup_host((host.host.as_str(), host.port)),
            );
            match found.await {
                Ok(Ok(found)) => candidates.extend(found.map(|address| {
                    let address = Address {
                        host: address.ip().to_string(),
                        port: address.port(),
                    };
                    (address, Some(host.host.clone()))
                })),
                Ok(Err(_)) | Err(_) => tracing::debug!(%host, "there is no address for the host"),
            }
        }
        candidates.dedup_by(|one, other| one.0 == other.0);
        candidates
    }

    /// Connects, and asks for the cluster: the answer shows that the node is alive and knows us.
    async fn ask(&self, address: &Address, name: Option<&str>) -> Result<(Channel, ClusterInfo), Failure> {
        let asking = async {
            let channel = self
                .endpoint(address, name)
                .map_err(|error| Failure::Other(error.to_string()))?
                .connect()
                .await
                .map_err(|error| Failure::Connection(chain(&error)))?;
            let cluster = calls::gossip(channel.clone(), self.request(Default::default())).await?;
            Ok((channel, cluster))
        };
        timeout(self.settings.gossip_timeout, asking)
            .await
            .unwrap_or_else(|_| Err(Failure::Connection(format!("{address} does not answer"))))
    }

    fn endpoint(&self, address: &Address, name: Option<&str>) -> Result<Endpoint, tonic::transport::Error> {
        let settings = &self.settings;
        let scheme = if settings.tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))?
            .tcp_nodelay(true)
            .connect_timeout(settings.gossip_timeout)
            .http2_keep_alive_interval(settings.keep_alive_interval)
            .keep_alive_timeout(settings.keep_alive_timeout)
            .keep_alive_while_idle(true)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW);
        match &settings.tls {
            Some(tls) => endpoint.tls_config(tls.clone().domain_name(name.unwrap_or(&address.host))),
            None => Ok(endpoint),
        }
    }
}

/// An error with what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        message = format!("{message}: {error}");
        source = error.source();
    }
    message
}

/// Attempts of one operation, until a deadline.
pub(super) struct Attempts {
    deadline: Instant,
    backoff: Backoff,
    /// Why the attempt before failed.
    failure: Option<Failure>,
}

impl Attempts {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            backoff: Backoff::new(PAUSE, LONGEST_PAUSE),
            failure: None,
        }
    }

    /// What there is to say when the deadline is over.
    pub(super) fn late(self) -> Failure {
        self.failure.unwrap_or(Failure::Late)
    }

    /// Waits until it is time for the next one, or gives `failure` back when there is none.
    pub(super) async fn next(&mut self, failure: Failure) -> Result<(), Failure> {
        let pause = self.backoff.pause();
        if !failure.may_pass() || Instant::now() + pause >= self.deadline {
            return Err(failure);
        }
        tracing::debug!(%failure, "an operation on KurrentDB is tried again");
        sleep(pause).await;
        self.failure = Some(failure);
        Ok(())
    }
}
