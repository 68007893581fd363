//! Why files cannot be used for TLS, as sentences with a remedy.

use std::{io, path::PathBuf};

/// Why files cannot be used for TLS.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum TlsError {
    #[error("cannot read {path}: {source}", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// Users other than the owner have permissions on the private key.
    #[error(transparent)]
    NotPrivate(io::Error),
    #[error("{path} holds no {wanted} in PEM form", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it should have.
        wanted: &'static str,
    },
    #[error("{path} is not what it should be: {reason}", path = .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The certificate does not belong to the key, or rustls does not support one of them.
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
        /// The error of rustls.
        source: rustls::Error,
    },
}
