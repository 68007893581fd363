//! Why files cannot be used for TLS, as sentences that a person can act on.

use std::{io, path::PathBuf};

/// Why files cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// There is no such file, or it cannot be read.
    #[error("cannot read {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file that is to blame.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than the owner of the private key have rights to it.
    #[error(transparent)]
    NotPrivate(io::Error),
    /// The file holds nothing of what it is for.
    #[error("{path} holds no {wanted} in PEM form", path = .path.display())]
    Missing {
        /// The file that is to blame.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// What the file holds is damaged.
    #[error("{path} is not what it should be: {reason}", path = .path.display())]
    Malformed {
        /// The file that is to blame.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate is not of this key, or rustls has no use for one of them.
    #[error(
        "the certificate {certificate} and the key {key} cannot be used together: {source}",
        certificate = .certificate.display(),
        key = .key.display()
    )]
    Unusable {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}
