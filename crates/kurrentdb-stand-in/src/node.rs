//! One node of the stand-in: who may call it, and what it knows about the cluster.

#![expect(clippy::result_large_err, reason = "a status is what tonic wants")]

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use kurrentdb_protocol::event_store::client::{
    Empty,
    gossip::{ClusterInfo, EndPoint, MemberInfo, gossip_server::Gossip, member_info::VNodeState},
};
use tonic::{Request, Response, Status, metadata::MetadataMap};

use crate::{Behaviour, faults::Faults, log::Log};

/// No node is the leader.
pub(crate) const NOBODY: usize = usize::MAX;

/// What all nodes know.
#[derive(Default)]
pub(crate) struct Cluster {
    pub(crate) members: Mutex<Vec<Member>>,
    pub(crate) leader: AtomicUsize,
}

#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    pub(crate) is_alive: bool,
}

impl Cluster {
    fn members(&self) -> Vec<Member> {
        self.members.lock().expect("no panic under the lock").clone()
    }
}

pub(crate) struct Node {
    pub(crate) index: usize,
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) behaviour: Behaviour,
    pub(crate) log: Arc<Log>,
    pub(crate) faults: Arc<Faults>,
}

impl Node {
    /// Who calls must be known, if anybody must.
    pub(crate) fn authenticate(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some((name, password)) = &self.behaviour.user else {
            return Ok(());
        };
        let expected = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
        match metadata.get("authorization") {
            Some(value) if value.as_bytes() == expected.as_bytes() => Ok(()),
            Some(_) => Err(Status::unauthenticated("Unauthenticated")),
            None => Err(denied()),
        }
    }

    /// The refusal of a node that is not the leader.
    pub(crate) fn not_leader(&self) -> Option<Status> {
        let leader = self.cluster.leader.load(Ordering::SeqCst);
        if leader == self.index {
            return None;
        }
        let members = self.cluster.members();
        let Some(member) = members.get(leader) else {
            return Some(Status::unknown("No leader info available in response"));
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
        Some(status)
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
        let leader = node.cluster.leader.load(Ordering::SeqCst);
        let members = node.cluster.members();
        let members = members.into_iter().enumerate().map(|(index, member)| {
            let state = if index == leader {
                VNodeState::Leader
            } else {
                VNodeState::Follower
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
        Ok(Response::new(ClusterInfo {
            members: members.collect(),
        }))
    }
}
