//! TLS of a client: which authorities it trusts.

use std::{path::Path, sync::Arc};

use rustls::{ClientConfig, RootCertStore, crypto::ring};

use crate::{
    HTTP_1_1,
    error::TlsError,
    files::{certificates, malformed, read},
};

/// A client configuration that trusts only the authorities in the file `authorities`. The name of the server is
/// checked when connecting.
///
/// # Errors
/// When the file cannot be read or holds no certificate of an authority.
pub fn trusting(authorities: &Path) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(authorities, &read(authorities)?)? {
        roots.add(certificate).map_err(|error| malformed(authorities, &error))?;
    }
    believing(roots).map_err(|error| malformed(authorities, &error))
}

/// The authorities in a file as PEM text, for libraries that configure TLS themselves.
///
/// # Errors
/// When it cannot be read or holds no certificate.
pub fn authorities(file: &Path) -> Result<String, TlsError> {
    let bytes = read(file)?;
    certificates(file, &bytes)?;
    String::from_utf8(bytes).map_err(|error| malformed(file, &error))
}

/// A client configuration without trusted authorities.
///
/// # Errors
/// Never, as long as rustls is built with TLS 1.2 or 1.3.
pub fn trusting_nobody() -> Result<ClientConfig, rustls::Error> {
    believing(RootCertStore::empty())
}

fn believing(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(config)
}
