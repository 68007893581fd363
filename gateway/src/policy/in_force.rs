//! The policy in force: read at the start, and replaced when the file is read again.

use std::{path::Path, sync::Arc};

use parking_lot::RwLock;

use super::{
    Policy,
    file::{InvalidPolicy, parse},
};

/// The default policy, which is also a template for operators.
pub(super) const DEFAULT: &str = include_str!("../../../deploy/gateway.toml");

/// The policy in force.
#[derive(Debug, Clone)]
pub(crate) struct Policies(Arc<RwLock<Arc<Policy>>>);

impl Policies {
    /// Reads `file`, or uses the default.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let policy = match file {
            Some(file) => from_file(file)?,
            None => parse(DEFAULT)?,
        };
        Ok(Self(Arc::new(RwLock::new(Arc::new(policy)))))
    }

    pub(crate) fn current(&self) -> Arc<Policy> {
        Arc::clone(&self.0.read())
    }

    /// Reads `file` again. After an error the old policy stays in force.
    pub(super) fn replace_from(&self, file: &Path) -> anyhow::Result<()> {
        let policy = from_file(file)?;
        *self.0.write() = Arc::new(policy);
        Ok(())
    }
}

fn from_file(file: &Path) -> anyhow::Result<Policy> {
    use anyhow::Context as _;
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}, which TASKLEDGER_GATEWAY_CONFIG names", file.display()))?;
    parse(&text).map_err(|InvalidPolicy(reason)| anyhow::anyhow!("{}: {reason}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_is_refused_and_what_was_in_force_stays() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gateway.toml");
        std::fs::write(&file, "trusted_proxies = [\"10.0.0.1\"]").unwrap();
        let policies = Policies::read(Some(&file)).unwrap();
        let before = policies.current();
        for broken in ["trusted_proxies = [", "trusted_proxies = [\"here\"]", "unknown = 1"] {
            std::fs::write(&file, broken).unwrap();
            let error = policies.replace_from(&file).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            assert_eq!(policies.current(), before);
        }
        let error = policies.replace_from(&file).unwrap_err().to_string();
        assert!(error.contains("line 1, column 1: unknown field"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert!(policies.replace_from(&file).is_err());
        std::fs::write(&file, "trusted_proxies = [\"10.0.0.2\"]").unwrap();
        policies.replace_from(&file).unwrap();
        assert!(policies.current().trusted_proxies.include("10.0.0.2".parse().unwrap()));
    }
}
