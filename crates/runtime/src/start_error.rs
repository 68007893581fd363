//! Why a process could not start, as sentences that a person can act on.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    CannotListen {
        /// The address asked for.
        address: SocketAddr,
        /// What to do about it.
        reason: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The log filter cannot be read.
    #[error(
        "`{filter}` is not a log filter: {reason}; expected something like `info` or `info,gateway=debug`"
    )]
    BadLogFilter {
        /// The filter asked for.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of a log cannot be written.
    #[error("the log {path} cannot be written: {source}", path = .path.display())]
    CannotLog {
        /// The file that is to blame.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else in this process already receives the logs.
    #[error("logging was already set up in this process")]
    LoggingTwice,
}

impl StartError {
    /// The sentence for an address that cannot be listened on, with what to do about it.
    #[must_use]
    pub fn cannot_listen(address: SocketAddr, source: io::Error) -> Self {
        let reason = match source.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is in use; stop what uses it, or choose another address".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "not permitted; choose a port above 1023, or another address".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
            _ => source.to_string(),
        };
        Self::CannotListen {
            address,
            reason,
            source,
        }
    }
}
