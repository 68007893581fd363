//! One node of the stand-in: the authentication of callers, and its view of the cluster.

#![expect(clippy::result_large_err, reason = "a status is what tonic wants")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use kurrentdb_protocol::event_store::client::{
    Empty,
    gossip::{ClusterInfo, EndPoint, MemberInfo, gossip_server::Gossip, member_info::VNodeState},
};
use parking_lot::Mutex;
use tokio::time::sleep;
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Behaviour, faults::Faults, log::Log};

/// No node is the leader.
pub(crate) const NOBODY: usize = usize::MAX;
/// The answer of a node that knows no leader.
pub(crate) const NOT_READY: &str = "Server Is Not Ready";

/// The shared view of all connected nodes.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) members: Mutex<Vec<Member>>,
    pub(crate) leader: AtomicUsize,
    cut: Mutex<HashMap<usize, Cut>>,
}

/// The view of a node when it was cut off from the others. It believes it until it notices, and then knows no leader.
struct Cut {
    leader: usize,
    members: Vec<Member>,
    noticed_at: Instant,
}

#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    pub(crate) is_alive: bool,
}

impl Cluster {
    fn members(&self) -> Vec<Member> {
        self.members.lock().clone()
    }

    /// Cuts `node` off from the others; it notices after `unnoticed`.
    pub(crate) fn cut_off(&self, node: usize, unnoticed: Duration) {
        let cut = Cut {
            leader: self.leader.load(Ordering::SeqCst),
            members: self.members(),
            noticed_at: Instant::now() + unnoticed,
        };
        self.cut.lock().insert(node, cut);
    }
}

/// Why a node does not do the work of a leader.
pub(crate) enum Refusal {
    /// It knows no leader, or is about to become or stop being one.
    NotReady,
    /// Another node is the leader; the status names it.
    NotLeader(Status),
}

pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) behaviour: Behaviour,
    pub(crate) log: Arc<Log>,
    pub(crate) faults: Arc<Faults>,
}

impl Node {
    /// Authenticates the caller, if there are users.
    pub(crate) fn authenticate(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some((name, password)) = &self.behaviour.user else {
            return Ok(());
        };
        if self.faults.empty.lock().contains(&self.index) {
            return Err(Status::unauthenticated("Unauthenticated"));
        }
        let expected = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        match metadata.get("authorization") {
            Some(value) if value.as_bytes() == expected.as_bytes() => Ok(()),
            Some(_) => Err(Status::unauthenticated("Unauthenticated")),
            None => Err(denied()),
        }
    }

    /// Whether the node is cut off from the others.
    pub(crate) fn is_cut_off(&self) -> bool {
        let cut = self.cluster.cut.lock();
        cut.contains_key(&self.index)
    }

    /// Waits until the node is connected to the others again.
    pub(crate) async fn hears_others(&self) {
        while self.is_cut_off() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// The leader and the members as this node knows them.
    fn view(&self) -> (usize, Vec<Member>) {
        let cut = self.cluster.cut.lock();
        match cut.get(&self.index) {
            None => (self.cluster.leader.load(Ordering::SeqCst), self.cluster.members()),
            Some(cut) if Instant::now() < cut.noticed_at => (cut.leader, cut.members.clone()),
            Some(cut) => {
                let mut members = cut.members.clone();
                for (index, member) in members.iter_mut().enumerate() {
                    member.is_alive = index == self.index;
                }
                (NOBODY, members)
            }
        }
    }

    /// Why it does not do the work of a leader; `None` if it is the leader.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        let (leader, members) = self.view();
        if leader == self.index {
            return None;
        }
        let Some(member) = members.get(leader) else {
            return Some(Refusal::NotReady);
        };
        let mut status = Status::not_found("Leader info available");
        let details = status.metadata_mut();
        for (name, value) in [
            ("exception", "not-leader".to_owned()),
            ("leader-endpoint-host", member.address.ip().to_string()),
            ("leader-endpoint-port", member.address.port().to_string()),
        ] {
            details.insert(name, value.parse().expect("plain text"));
        }
        Some(Refusal::NotLeader(status))
    }

    /// Like [`Self::refusal`], for calls with no other kind of answer.
    pub(crate) fn refused(&self) -> Result<(), Status> {
        match self.refusal() {
            None => Ok(()),
            Some(Refusal::NotReady) => Err(Status::unavailable(NOT_READY)),
            Some(Refusal::NotLeader(status)) => Err(status),
        }
    }
}

pub(crate) fn denied() -> Status {
    let mut status = Status::permission_denied("Access Denied");
    let name = "access-denied".parse().expect("plain text");
    status.metadata_mut().insert("exception", name);
    status
}

/// A node's remote procedures.
pub(crate) struct Service(pub(crate) Arc<Node>);

#[tonic::async_trait]
impl Gossip for Service {
    async fn read(&self, request: Request<Empty>) -> Result<Response<ClusterInfo>, Status> {
        let node = &self.0;
        node.authenticate(request.metadata())?;
        let (leader, members) = node.view();
        let members = members.into_iter().enumerate().map(|(index, member)| {
            let state = match leader {
                NOBODY => VNodeState::Unknown,
                leader if index == leader => VNodeState::Leader,
                _ => VNodeState::Follower,
            };
            MemberInfo {
                instance_id: None,
                time_stamp: 0,
                state: state.into(),
                is_alive: member.is_alive,
                http_end_point: Some(EndPoint {
                    address: member.address.ip().to_string(),
                    port: member.address.port().into(),
                }),
            }
        });
        Ok(Response::new(ClusterInfo { members: members.collect() }))
    }
}
