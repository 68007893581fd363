//! The errors of calls to KurrentDB, distinguished by what has to be done next.

use runtime::followed_by_causes;
use tonic::{Code, Status};

use super::settings::Address;
use crate::StoreError;

/// A call that failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Another node is the leader, or none is known.
    #[error("the node is not the leader")]
    NotLeader(Option<Address>),
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The node knows no leader, or has another problem.
    #[error("the server is not ready: {0}")]
    NotReady(String),
    #[error("the server is busy: {0}")]
    Busy(String),
    /// The server ran into its own deadline. The operation may have been done.
    #[error("the server ran into a time-out")]
    TimedOut,
    #[error("there was no answer in time")]
    Late,
    #[error("the user name or the password is wrong")]
    Unauthenticated,
    #[error("the user has no right to do this: {0}")]
    Denied(String),
    #[error("the stream was deleted in KurrentDB")]
    Deleted,
    /// A read of the log failed. Servers up to 23.10 report the same where no record begins.
    #[error("the server could not read its log")]
    FailedRead,
    #[error("no record begins at the position")]
    NoSuchPosition,
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// Whether another attempt may succeed where this one failed.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::NotLeader(_)
            | Self::Connection(_)
            | Self::NotReady(_)
            | Self::Busy(_)
            | Self::TimedOut
            | Self::FailedRead
            | Self::Late => true,
            Self::Unauthenticated
            | Self::Denied(_)
            | Self::Deleted
            | Self::NoSuchPosition
            | Self::Other(_) => false,
        }
    }

    /// Maps the reason of a server that did not handle a request.
    pub(super) fn not_handled(message: String) -> Self {
        if message.contains("Busy") { Self::Busy(message) } else { Self::NotReady(message) }
    }

    /// Whether the node, or the connection to it, may be unusable. `before` is the error of the previous attempt.
    pub(super) fn is_of_node(&self, before: Option<&Self>) -> bool {
        match self {
            Self::NotLeader(_) | Self::Connection(_) | Self::Late => true,
            failure => failure.is_of_leader(before),
        }
    }

    /// Whether another node may be the leader, although this one does not say so: a leader that is cut off runs into
    /// time-outs, and is not ready once it has noticed.
    pub(super) fn is_of_leader(&self, before: Option<&Self>) -> bool {
        match self {
            Self::NotReady(_) => true,
            Self::TimedOut => matches!(before, Some(Self::TimedOut)),
            _ => false,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let detail = |name: &str| status.metadata().get(name).and_then(|value| value.to_str().ok());
        let message = || followed_by_causes(status.message(), &status);
        match (status.code(), detail("exception")) {
            (_, Some("not-leader")) => {
                let host = detail("leader-endpoint-host").map(str::to_owned);
                let port = detail("leader-endpoint-port").and_then(|port| port.parse().ok());
                Self::NotLeader(host.zip(port).map(|(host, port)| Address { host, port }))
            }
            (_, Some("access-denied")) | (Code::PermissionDenied, _) => Self::Denied(message()),
            (_, Some("stream-deleted")) => Self::Deleted,
            (Code::Unauthenticated, _) => Self::Unauthenticated,
            (Code::Aborted | Code::DeadlineExceeded, _) => Self::TimedOut,
            (Code::Unknown, _) if status.message().starts_with("No leader") => Self::NotLeader(None),
            (Code::InvalidArgument, _) if status.message().contains("invalid position") => {
                Self::NoSuchPosition
            }
            (Code::Unknown, _) if status.message().contains("ReadAllResult: InvalidPosition") => {
                Self::NoSuchPosition
            }
            (Code::Unknown, _) if status.message().contains("ReadAllResult: Error") => Self::FailedRead,
            (Code::Unavailable, _) if status.message().starts_with("Server") => Self::not_handled(message()),
            // Also reported for a broken connection, and for a server that shuts down or cannot continue.
            (
                Code::Unavailable
                | Code::Cancelled
                | Code::Internal
                | Code::Unknown
                | Code::ResourceExhausted,
                _,
            ) => Self::Connection(message()),
            _ => Self::Other(message()),
        }
    }
}

/// The error of the store for a failure.
pub(super) fn unavailable(failure: Failure) -> StoreError {
    match failure {
        Failure::Deleted => StoreError::Corrupt(failure.to_string()),
        failure => StoreError::unavailable(failure),
    }
}
