//! The connection to the leader: finds it, keeps the connection, and leaves the node when it fails.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use events::StreamName;
use futures::{StreamExt, stream::FuturesUnordered};
use kurrentdb_protocol::event_store::client::gossip::{ClusterInfo, MemberInfo, member_info::VNodeState};
use runtime::with_causes;
use tokio::{
    net::lookup_host,
    sync::{Mutex, watch},
    time::{Instant, timeout, timeout_at},
};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};

use super::{
    attempts::Attempts,
    calls,
    failure::Failure,
    settings::{Address, Settings},
};
use crate::OpenError;

/// A caller that waited while another one searched for the leader without success does not search again within this
/// time.
const FRESH: Duration = Duration::from_millis(100);
/// The most bytes that the server may send before they are read, in total and for one stream.
const CONNECTION_WINDOW: u32 = 8 << 20;
const STREAM_WINDOW: u32 = 1 << 20;

/// A connection to the leader.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) channel: Channel,
    address: Address,
    /// The number of the connection.
    generation: u64,
}

/// The way to a server or a cluster.
pub(super) struct Connection {
    pub(super) settings: Settings,
    current: Mutex<Current>,
    /// The number of the newest connection.
    generation: watch::Sender<u64>,
}

#[derive(Default)]
struct Current {
    node: Option<Node>,
    /// The nodes in the last gossip.
    members: Vec<Address>,
    /// The leader that a node named when it was not the leader itself.
    leader: Option<Address>,
    /// The leader that was left because it seems not to be the leader any more.
    left: Option<Address>,
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
    /// Creates a connection, which is opened when it is first needed.
    pub(super) fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self { settings, current: Mutex::default(), generation: watch::Sender::default() })
    }

    pub(super) fn open_error(&self, reason: String) -> OpenError {
        OpenError::Url { url: self.settings.url.clone(), reason }
    }

    /// The name of `stream` on the server.
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

    /// Runs `operation` on the leader until it succeeds, fails for good, or the time `within` is over. It may run
    /// more than once, so it must be idempotent.
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
                    self.failed(&node, failure, attempts.before()).await;
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
            Ok((address, channel)) => {
                let generation = *self.generation.borrow() + 1;
                let node = Node { channel, address, generation };
                self.generation.send_replace(generation);
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

    /// Whether `node` is still the newest connection.
    pub(super) fn is_newest(&self, node: &Node) -> bool {
        *self.generation.borrow() == node.generation
    }

    /// Waits until another connection replaces `node`.
    pub(super) async fn replaced(&self, node: &Node) {
        let mut generation = self.generation.subscribe();
        // The sender lives as long as `self`.
        let _ = generation.wait_for(|newest| *newest != node.generation).await;
    }

    /// Whether a failure means that the node cannot be used any more. `before` is the error of the previous attempt.
    pub(super) fn is_over(&self, failure: &Failure, before: Option<&Failure>) -> bool {
        failure.is_of_node(before) && (self.settings.is_cluster || !failure.is_of_leader(before))
    }

    /// Leaves `node` if the failure means that it cannot be used any more, unless that has been done already.
    pub(super) async fn failed(&self, node: &Node, failure: &Failure, before: Option<&Failure>) {
        if !self.is_over(failure, before) {
            return;
        }
        let mut current = self.current.lock().await;
        if let Failure::NotLeader(leader) = failure {
            current.leader.clone_from(leader);
        }
        if self.is_newest(node) && current.node.take().is_some() {
            current.left = failure.is_of_leader(before).then(|| node.address.clone());
            tracing::debug!(%failure, "the connection to KurrentDB is given up");
        }
    }

    async fn find_leader(&self, current: &mut Current) -> Result<(Address, Channel), Failure> {
        if let Some(leader) = current.leader.take()
            && let Ok((channel, _)) = self.ask(&leader, None).await
        {
            return Ok((leader, channel));
        }
        if !self.settings.is_cluster {
            let host = &self.settings.hosts[0];
            let (channel, _) = self.ask(host, None).await?;
            return Ok((host.clone(), channel));
        }
        let candidates = self.candidates(&current.members).await;
        let mut asking: FuturesUnordered<_> =
            candidates.iter().map(|(address, name)| self.leader_by(address, name.as_deref())).collect();
        let (mut left, mut failure) = (None, None);
        while let Some((members, leader)) = asking.next().await {
            if !members.is_empty() {
                current.members = members;
            }
            match leader {
                // A node that is cut off may still name itself as the leader: what another node says is preferred.
                Ok((address, channel)) if current.left.as_ref() == Some(&address) => {
                    left = Some((address, channel));
                }
                Ok(leader) => return Ok(leader),
                // A node that refuses the user may not have the users yet. It must not hide that others will have a
                // leader soon.
                Err(reason) if failure.is_none() || reason.may_pass() => failure = Some(reason),
                Err(_) => {}
            }
        }
        left.ok_or_else(|| {
            failure.unwrap_or_else(|| Failure::Connection("there is no host of this name".to_owned()))
        })
    }

    /// The nodes according to the one at `address`, and the leader, which must answer itself: the others notice only
    /// after a moment that it has stopped.
    async fn leader_by(
        &self,
        address: &Address,
        name: Option<&str>,
    ) -> (Vec<Address>, Result<(Address, Channel), Failure>) {
        let members = match self.ask(address, name).await {
            Ok((_, cluster)) => cluster.members,
            Err(failure) => return (Vec::new(), Err(failure)),
        };
        let alive = || members.iter().filter(|member| member.is_alive);
        let leader = match alive().find(|member| member.state() == VNodeState::Leader) {
            Some(leader) => match member_address(leader) {
                Some(leader) => {
                    let asked = self.ask(&leader, None).await;
                    asked.map(|(channel, _)| (leader, channel))
                }
                None => Err(Failure::Other("the leader of the cluster has no address".to_owned())),
            },
            None => Err(Failure::NotReady("the cluster has no leader".to_owned())),
        };
        (alive().filter_map(member_address).collect(), leader)
    }

    /// The nodes that may know the leader: all addresses of the hosts in the connection string, and the last known
    /// nodes. With each the name in its certificate, if that is not the address.
    async fn candidates(&self, members: &[Address]) -> Vec<(Address, Option<String>)> {
        let mut candidates: Vec<(Address, Option<String>)> =
            members.iter().map(|address| (address.clone(), None)).collect();
        for host in &self.settings.hosts {
            let found = timeout(self.settings.gossip_timeout, lookup_host((host.host.as_str(), host.port)));
            match found.await {
                Ok(Ok(found)) => candidates.extend(found.map(|address| {
                    let address = Address { host: address.ip().to_string(), port: address.port() };
                    let name =
                        (self.settings.tls.is_some() && address.host != host.host).then(|| host.host.clone());
                    (address, name)
                })),
                Ok(Err(_)) | Err(_) => tracing::debug!(%host, "there is no address for the host"),
            }
        }
        let mut seen = HashSet::new();
        candidates.retain(|candidate| seen.insert(candidate.clone()));
        candidates
    }

    /// Connects and asks for the gossip, which shows that the node is alive and accepts the user.
    async fn ask(&self, address: &Address, name: Option<&str>) -> Result<(Channel, ClusterInfo), Failure> {
        let asking = async {
            let channel = self
                .endpoint(address, name)
                .map_err(|error| Failure::Other(error.to_string()))?
                .connect()
                .await
                .map_err(|error| Failure::Connection(with_causes(&error)))?;
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

fn member_address(member: &MemberInfo) -> Option<Address> {
    let at = member.http_end_point.as_ref()?;
    Some(Address { host: at.address.clone(), port: at.port.try_into().ok()? })
}
