//! Keys that are not in their directory, or cannot be used, although the log depends on them. Only a backup has
//! them.

use std::io::ErrorKind;

use audit_tree::{AuditTree, SigningKeys};
use auth::keys::{self, KeyPart, KeysUnusable};
use event_store::EventStore;

use crate::settings::Settings;

/// Keys that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingKeys {
    Pepper,
    TokenKeys,
    AuditKeys,
    AuditTreeAndKeys,
}

impl MissingKeys {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pepper => "email_pepper",
            Self::TokenKeys => "token_keys",
            Self::AuditKeys => "audit_keys",
            Self::AuditTreeAndKeys => "audit_tree_and_keys",
        }
    }

    /// What is missing, what that means, and what to do.
    pub(super) fn sentence(self, settings: &Settings) -> String {
        let keys = settings.keys_dir();
        let keys = keys.display();
        match self {
            Self::Pepper => format!(
                "the pepper {keys}/email-pepper is missing: nobody can log in, and auth does not start, until it is \
                 restored from a backup of the keys"
            ),
            Self::TokenKeys => format!(
                "the keys {keys}/*.pem that sign access tokens are missing: auth does not start until they are restored \
                 from a backup of the keys, or, if they are lost, `taskledger keys rotate` has made a new one"
            ),
            Self::AuditKeys => format!(
                "the keys {}/*.pem that sign the audit tree are missing: nothing is signed until they are restored from a \
                 backup of the keys, or, if they are lost, `taskledger audit rotate-key` has made a new one and \
                 `taskledger restore check --repair` has begun a tree of a new origin",
                settings.audit_keys_dir().display()
            ),
            Self::AuditTreeAndKeys => format!(
                "the audit tree and the keys {}/*.pem that sign it are missing: the next start makes a tree of a new \
                 origin with a new key, unless they are restored from a backup before",
                settings.audit_keys_dir().display()
            ),
        }
    }
}

/// The keys that are missing for a log with events.
pub(super) async fn missing_keys(
    settings: &Settings,
    tree: Option<&AuditTree>,
) -> anyhow::Result<Vec<MissingKeys>> {
    let is_everything_here = settings.storage.is_embedded()?;
    let of_auth = missing_of_auth(keys::missing(&settings.keys_dir()), is_everything_here)?;
    let of_auth = of_auth.into_iter().map(|part| match part {
        KeyPart::Pepper => MissingKeys::Pepper,
        KeyPart::SigningKeys => MissingKeys::TokenKeys,
    });
    let mut missing: Vec<_> = of_auth.collect();
    let tree = tree.filter(|_| is_everything_here);
    if audit_tree::lacks_signing_keys(tree, &settings.audit_keys_dir()).await? {
        missing.push(MissingKeys::AuditKeys);
    } else if is_everything_here && lacks_audit(tree, settings).await? {
        missing.push(MissingKeys::AuditTreeAndKeys);
    }
    Ok(missing)
}

/// Whether there is neither an audit tree nor a key for it. Where all roles are one process, a log has both.
async fn lacks_audit(tree: Option<&AuditTree>, settings: &Settings) -> anyhow::Result<bool> {
    if let Some(tree) = tree
        && tree.newest().await?.is_some()
    {
        return Ok(false);
    }
    Ok(SigningKeys::read(&settings.audit_keys_dir())?.are_none())
}

/// Why auth does not start on `log`, whose events are opened, with its keys, if all of them are here.
pub(super) async fn unusable_keys(
    settings: &Settings,
    log: &dyn EventStore,
) -> anyhow::Result<Option<String>> {
    let directory = settings.keys_dir();
    if !keys::missing(&directory).is_ok_and(|parts| parts.is_empty()) {
        return Ok(None);
    }
    let Err(error) = auth::check_keys(&directory, log).await else {
        return Ok(None);
    };
    let is_everything_here = settings.storage.is_embedded()?;
    match error.downcast::<KeysUnusable>()? {
        // On a server they may belong to the user of auth.
        KeysUnusable::File { source, .. }
            if !is_everything_here && source.kind() == ErrorKind::PermissionDenied =>
        {
            Ok(None)
        }
        damaged @ KeysUnusable::Content { .. } => Ok(Some(format!(
            "{damaged}: auth does not start until it is restored from a backup of the keys"
        ))),
        unusable => Ok(Some(format!("auth does not start: {unusable}"))),
    }
}

/// The missing parts of auth's keys, of which `found` are not in the directory. On servers the keys of a role may be on
/// another host, or belong to another user: there they are missing only if a part of them can be seen here.
fn missing_of_auth(
    found: Result<Vec<KeyPart>, KeysUnusable>,
    is_everything_here: bool,
) -> Result<Vec<KeyPart>, KeysUnusable> {
    match found {
        found if is_everything_here => found,
        Err(KeysUnusable::File { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            Ok(Vec::new())
        }
        Ok(parts) if parts.len() > 1 => Ok(Vec::new()),
        found => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> Result<Vec<KeyPart>, KeysUnusable> {
        Err(KeysUnusable::File {
            action: "read",
            path: "keys/email-pepper".into(),
            source: ErrorKind::PermissionDenied.into(),
        })
    }

    #[test]
    fn keys_of_auth_on_another_host_or_of_another_user_are_not_missing() {
        let all = [KeyPart::Pepper, KeyPart::SigningKeys];
        assert_eq!(missing_of_auth(Ok(all.into()), true).unwrap(), all);
        assert!(missing_of_auth(Ok(all.into()), false).unwrap().is_empty());
        assert_eq!(
            missing_of_auth(Ok(vec![KeyPart::Pepper]), false).unwrap(),
            [KeyPart::Pepper]
        );
        assert!(missing_of_auth(denied(), false).unwrap().is_empty());
        assert!(missing_of_auth(denied(), true).is_err());
    }
}
