//! Shows the public keys of the audit tree.

use std::process::ExitCode;

use anyhow::ensure;
use audit_tree::SigningKeys;
use clap::Args;
use transparency_log::{Algorithm, VerifierKey};

use crate::{existing_database, output, settings::Settings};

#[derive(Debug, Args)]
pub(crate) struct Key {
    /// As PEM, for openssl, instead of as a verifier key of C2SP
    #[arg(long)]
    pem: bool,
}

impl Key {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        for key in keys(settings).await? {
            if self.pem {
                output::text(&key.to_pem()?)?;
            } else {
                output::line(&key.to_string())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The public keys of the newest tree.
pub(super) async fn keys(settings: &Settings) -> anyhow::Result<Vec<VerifierKey>> {
    let audit = existing_database::audit_tree(settings).await?;
    let tree = audit.require_newest().await?;
    let directory = settings.audit_keys_dir();
    let signers = SigningKeys::read(&directory)?.signers(&tree.origin, Algorithm::Ed25519)?;
    ensure!(
        !signers.is_empty(),
        "there are no keys in {}: run it where the projector's keys are",
        directory.display()
    );
    Ok(signers.iter().map(|signer| signer.verifier().clone()).collect())
}
