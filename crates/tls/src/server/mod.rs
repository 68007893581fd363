//! The certificate and the key of a server, from two files that are read again when they change.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use runtime::{BlockingCalls, NoAnswer, metrics, process_metrics};
use rustls::{ServerConfig, crypto::ring};
use tokio::signal::unix::{SignalKind, signal};
use x509_parser::{parse_x509_certificate, time::ASN1Time};

use crate::{
    HTTP_1_1,
    error::TlsError,
    files::{certificates, key, malformed, read, read_private},
};

/// The pause between two reads of the files. A change is used once two reads in a row have found the same contents,
/// so that a new certificate is not combined with the old key while both are being replaced.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
/// The time limit for reading them.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The files of the certificate and the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate in PEM form, followed by the intermediate certificates.
    pub certificate: PathBuf,
    /// Its private key in PEM form, on which only its owner has permissions.
    pub key: PathBuf,
}

/// The present certificate and key of a server. Clones share it.
#[derive(Clone)]
pub struct ServerTls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    current: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Seen>,
    gauges: Gauges,
}

/// Fingerprints of the files' contents.
struct Seen {
    /// The fingerprint of the contents that were tried last, valid or not.
    tried: u64,
    /// The fingerprint of the contents at the last read.
    found: u64,
}

/// The contents of both files.
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

metrics! {
    /// The metrics of the files.
    struct Gauges {
        /// When the certificate ends that is shown to clients, in Unix time.
        not_after: gauge("taskledger_tls_certificate_not_after_seconds");
        /// Whether the files hold something that cannot be used, so that the former certificate is still shown.
        refused: gauge("taskledger_tls_certificate_refused");
    }
}

impl Gauges {
    fn accepted(&self, not_after: ASN1Time) {
        self.not_after.set(not_after.timestamp());
        self.refused.set(0);
    }

    fn refused(&self) {
        self.refused.set(1);
    }
}

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used together, or others have permissions on the key.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let contents = Contents::read(&files)?;
        let (config, not_after) = contents.config(&files)?;
        let fingerprint = contents.fingerprint();
        let gauges = Gauges::new(process_metrics());
        gauges.accepted(not_after);
        Ok(Self(Arc::new(Shared {
            files,
            current: RwLock::new(Arc::new(config)),
            seen: Mutex::new(Seen { tried: fingerprint, found: fingerprint }),
            gauges,
        })))
    }

    /// The configuration for new connections.
    pub fn current(&self) -> Arc<ServerConfig> {
        let current = self.0.current.read();
        Arc::clone(&current)
    }

    /// Reads the files, and uses a change that was also found by the previous read. An invalid change is ignored and
    /// logged.
    pub fn look(&self) {
        let contents = Contents::read(&self.0.files);
        let found = match &contents {
            Ok(contents) => contents.fingerprint(),
            // A missing file may be about to be replaced, too.
            Err(_) => 0,
        };
        let is_settled = {
            let mut seen = self.0.seen.lock();
            let before = std::mem::replace(&mut seen.found, found);
            found == before && found != seen.tried
        };
        if is_settled {
            self.take(contents, found);
        }
    }

    /// Reads the files now, because it was requested, and uses them or logs why not.
    pub fn reload(&self) {
        let contents = Contents::read(&self.0.files);
        let found = contents.as_ref().map_or(0, Contents::fingerprint);
        self.take(contents, found);
    }

    /// Reads the files regularly, and at once when the process gets `SIGHUP`.
    ///
    /// # Errors
    /// When the signal handler cannot be installed.
    pub fn watch(self) -> std::io::Result<impl Future<Output = ()> + Send> {
        let mut hangups = signal(SignalKind::hangup())?;
        Ok(async move {
            let reads = BlockingCalls::new(1, READ_TIMEOUT);
            let mut is_silent = false;
            loop {
                let read = tokio::select! {
                    Some(()) = hangups.recv() => self.run(&reads, Self::reload).await,
                    () = tokio::time::sleep(POLL_INTERVAL) => self.run(&reads, Self::look).await,
                };
                if let Err(error) = read
                    && !is_silent
                {
                    tracing::error!(error = %error, "the certificate stays as it was");
                }
                is_silent = read.is_err();
            }
        })
    }

    async fn run(&self, reads: &BlockingCalls, read: fn(&Self)) -> Result<(), NoAnswer> {
        let here = self.clone();
        reads.run(move || read(&here)).await
    }

    fn take(&self, contents: Result<Contents, TlsError>, fingerprint: u64) {
        let shared = &*self.0;
        shared.seen.lock().tried = fingerprint;
        match contents.and_then(|contents| contents.config(&shared.files)) {
            Ok((config, not_after)) => {
                *shared.current.write() = Arc::new(config);
                shared.gauges.accepted(not_after);
                tracing::info!(
                    file = %shared.files.certificate.display(),
                    not_after = %not_after,
                    "the certificate was read again"
                );
            }
            Err(error) => {
                shared.gauges.refused();
                tracing::error!(error = %error, "the certificate stays as it was");
            }
        }
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerTls").field(&self.0.files).finish()
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self { certificate: read(&files.certificate)?, key: read_private(&files.key)? })
    }

    /// A fingerprint for comparing contents, without keeping the key.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.certificate, &self.key).hash(&mut hasher);
        hasher.finish()
    }

    /// Makes the configuration, for TLS 1.2 and later, and returns when the certificate expires.
    fn config(&self, files: &TlsFiles) -> Result<(ServerConfig, ASN1Time), TlsError> {
        let chain = certificates(&files.certificate, &self.certificate)?;
        let not_after = not_after(files, &chain[0])?;
        let key = key(&files.key, &self.key)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|source| TlsError::Unusable {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            source,
        })?;
        config.alpn_protocols = vec![HTTP_1_1.to_vec()];
        Ok((config, not_after))
    }
}

fn not_after(files: &TlsFiles, certificate: &[u8]) -> Result<ASN1Time, TlsError> {
    match parse_x509_certificate(certificate) {
        Ok((_, certificate)) => Ok(certificate.validity().not_after),
        Err(error) => Err(malformed(&files.certificate, &error)),
    }
}

#[cfg(test)]
mod tests;
