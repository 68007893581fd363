//! Reads certificates and keys in PEM form.

use std::{fs, path::Path};

use runtime::private_files;
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use crate::error::TlsError;

/// The bytes of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| unreadable(path, source))
}

/// The bytes of a file on which only its owner has permissions.
pub(crate) fn read_private(path: &Path) -> Result<Vec<u8>, TlsError> {
    // A missing file is reported like any other unreadable one.
    let bytes = read(path)?;
    private_files::require(path).map_err(TlsError::NotPrivate)?;
    Ok(bytes)
}

/// The certificates in `pem`, the content of `path`; at least one.
pub(crate) fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(path, &error))?;
    match certificates.is_empty() {
        true => Err(missing(path, "certificate")),
        false => Ok(certificates),
    }
}

/// The private key in `pem`, the content of `path`.
pub(crate) fn key(path: &Path, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => missing(path, "private key"),
        error => malformed(path, &error),
    })
}

pub(crate) fn malformed(path: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Malformed { path: path.to_owned(), reason: reason.to_string() }
}

fn unreadable(path: &Path, source: std::io::Error) -> TlsError {
    TlsError::Unreadable { path: path.to_owned(), source }
}

fn missing(path: &Path, wanted: &'static str) -> TlsError {
    TlsError::Missing { path: path.to_owned(), wanted }
}
