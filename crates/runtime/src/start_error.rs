//! Why a process could not start, as sentences with a remedy.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why a process could not start.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum StartError {
    #[error("cannot listen on {address}: {reason}")]
    CannotListen {
        address: SocketAddr,
        reason: String,
        #[source]
        source: io::Error,
    },
    #[error(
        "`{filter}` is not a log filter: {reason}; expected something like `info` or `info,gateway=debug`"
    )]
    BadLogFilter { filter: String, reason: String },
    #[error("the log {path} cannot be written: {source}", path = .path.display())]
    CannotLog { path: PathBuf, source: io::Error },
    #[error("logging was already set up in this process")]
    LoggingTwice,
}

impl StartError {
    /// The error for an address that cannot be listened on, with a remedy.
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
        Self::CannotListen { address, reason, source }
    }
}
