//! The settings of TLS.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use runtime::{is_pipe, read_at_start};
use tls::{ServerTls, TlsFiles};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS")]
pub(crate) struct Tls {
    /// File with the certificate of the API's address and those that lead to its authority, in PEM form; read again
    /// when it changes [default: no TLS]
    #[arg(long, env = "TASKLEDGER_TLS_CERTIFICATE", value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// File with the key of that certificate, in PEM form, readable by its owner only
    #[arg(long, env = "TASKLEDGER_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// File with the authorities that the gateway trusts for roles at https:// addresses, in PEM form
    #[arg(long, env = "TASKLEDGER_UPSTREAM_CA", value_name = "FILE")]
    pub(crate) upstream_ca: Option<PathBuf>,
}

impl Tls {
    /// Reads the certificate and key of the API's address, if it is served over TLS.
    pub(crate) async fn load(&self) -> anyhow::Result<Option<ServerTls>> {
        const NAMES: &str = "TASKLEDGER_TLS_CERTIFICATE, TASKLEDGER_TLS_KEY";
        let Some(files) = self.files()? else {
            return Ok(None);
        };
        let read = read_at_start(move || ServerTls::load(files)).await;
        read.context(NAMES)?.map(Some).context(NAMES)
    }

    /// Checks what [`Self::load`] needs. No pipe is read.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        if is_pipe(self.tls_certificate.as_deref()) || is_pipe(self.tls_key.as_deref()) {
            return self.files().map(drop);
        }
        self.load().await.map(drop)
    }

    fn files(&self) -> anyhow::Result<Option<TlsFiles>> {
        match (self.tls_certificate.clone(), self.tls_key.clone()) {
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                bail!("TASKLEDGER_TLS_CERTIFICATE is set, but not TASKLEDGER_TLS_KEY: set both, or none")
            }
            (None, Some(_)) => {
                bail!("TASKLEDGER_TLS_KEY is set, but not TASKLEDGER_TLS_CERTIFICATE: set both, or none")
            }
        }
    }
}
