//! Makes a new key for the audit tree, beside the old one.

use std::process::ExitCode;

use audit_tree::SigningKeys;
use clap::Args;
use transparency_log::Algorithm;

use crate::{
    existing_database, existing_log,
    operation::{Attribution, Conclusion},
    output,
    settings::Settings,
};

#[derive(Debug, Args)]
pub(crate) struct RotateKey {
    #[command(flatten)]
    attribution: Attribution,
}

impl RotateKey {
    pub(super) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let store = existing_log::event_store(settings).await?;
        let audit = existing_database::audit_tree(settings).await?;
        let tree = audit.require_newest().await?;
        let directory = settings.audit_keys_dir();
        let rotate = async |_| {
            let path = SigningKeys::add(&directory)?;
            let signer = SigningKeys::read(&directory)?.newest(&tree.origin, Algorithm::Ed25519)?;
            let key = signer.verifier().to_string();
            output::say(&format!(
                "{key}\nis in {}. Checkpoints have its signature, too, once every projector has it and was restarted. Delete \
                 the old key when everybody knows the new one.",
                path.display()
            ));
            Ok(Conclusion::succeeded().with_result(key))
        };
        self.attribution.record(settings, &*store, "audit rotate-key", rotate).await
    }
}
