//! Keys of auth and of the audit tree that are not in their directory, or cannot be used, although the log depends on
//! them. Only a backup has them.

use std::{io::ErrorKind, path::Path};

use audit_tree::{AuditTree, SigningKeys};
use auth::keys::{KeyDefects, KeyPart, KeysUnusable};
use event_store::EventStore;

use crate::settings::Settings;

/// What is wrong with the keys of auth and of the audit tree.
#[derive(Debug, Default)]
pub(super) struct KeyFindings {
    /// Keys that are not there.
    pub(super) missing: Vec<MissingKeys>,
    /// A sentence for the operator about each key that is there and cannot be used.
    pub(super) unusable: Vec<String>,
}

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

/// Looks for the keys that `log` depends on. It has events, which are opened.
pub(super) async fn key_findings(
    settings: &Settings,
    tree: Option<&AuditTree>,
    log: &dyn EventStore,
) -> anyhow::Result<KeyFindings> {
    let is_everything_here = settings.storage.is_embedded()?;
    let of_auth = auth::check_keys(&settings.keys_dir(), log).await?;
    let mut findings = findings_of_auth(of_auth, is_everything_here);
    let directory = settings.audit_keys_dir();
    let tree = tree.filter(|_| is_everything_here);
    if audit_tree::lacks_signing_keys(tree, &directory).await? {
        findings.missing.push(MissingKeys::AuditKeys);
    } else if is_everything_here && lacks_audit(tree, &directory).await? {
        findings.missing.push(MissingKeys::AuditTreeAndKeys);
    }
    let unusable = SigningKeys::unusable(&directory)?;
    let unusable = unusable_audit_keys(&unusable, is_everything_here);
    findings.unusable.extend(unusable);
    Ok(findings)
}

/// Whether there is neither an audit tree nor a key for it, in `keys`. Where all roles are one process, a log has both.
async fn lacks_audit(tree: Option<&AuditTree>, keys: &Path) -> anyhow::Result<bool> {
    if let Some(tree) = tree
        && tree.newest().await?.is_some()
    {
        return Ok(false);
    }
    Ok(SigningKeys::are_none(keys)?)
}

/// What counts of the `defects` of auth's keys. On servers the keys of a role may be on another host, or belong to
/// another user: there they are missing only if a part of them can be seen here.
fn findings_of_auth(defects: KeyDefects, is_everything_here: bool) -> KeyFindings {
    let KeyDefects { missing, unusable, has_files } = defects;
    let are_elsewhere = !is_everything_here && !has_files;
    let missing = missing.into_iter().filter(|_| !are_elsewhere);
    let unusable = unusable.iter();
    KeyFindings {
        missing: missing
            .map(|part| match part {
                KeyPart::Pepper => MissingKeys::Pepper,
                KeyPart::SigningKeys => MissingKeys::TokenKeys,
            })
            .collect(),
        unusable: unusable
            .filter(|unusable| is_everything_here || !is_denied(unusable))
            .map(|unusable| match unusable {
                KeysUnusable::Content { .. } => {
                    format!("{unusable}: auth does not start until it is restored from a backup of the keys")
                }
                _ => format!("auth does not start: {unusable}"),
            })
            .collect(),
    }
}

/// A sentence about each of the `unusable` keys of the audit tree that counts. On servers they, too, may belong to
/// another user.
fn unusable_audit_keys(unusable: &[audit_tree::KeysUnusable], is_everything_here: bool) -> Vec<String> {
    let unusable = unusable.iter();
    unusable
        .filter(|unusable| is_everything_here || unusable.kind != Some(ErrorKind::PermissionDenied))
        .map(|unusable| {
            format!(
                "{unusable}; nothing is signed until it can be used, or, if no backup of the keys has it, was moved away"
            )
        })
        .collect()
}

/// Whether this user may not read it.
fn is_denied(unusable: &KeysUnusable) -> bool {
    matches!(unusable, KeysUnusable::File { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied() -> KeyDefects {
        KeyDefects {
            has_files: true,
            missing: Vec::new(),
            unusable: vec![KeysUnusable::File {
                action: "read",
                path: "keys/email-pepper".into(),
                source: ErrorKind::PermissionDenied.into(),
            }],
        }
    }

    #[test]
    fn keys_of_auth_on_another_host_or_of_another_user_are_not_missing() {
        let missing = |parts: &[KeyPart], has_files, is_everything_here| {
            let defects = KeyDefects { has_files, missing: parts.to_vec(), unusable: Vec::new() };
            findings_of_auth(defects, is_everything_here).missing
        };
        let all = [KeyPart::Pepper, KeyPart::SigningKeys];
        let both = [MissingKeys::Pepper, MissingKeys::TokenKeys];
        assert_eq!(missing(&all, false, true), both);
        assert!(missing(&all, false, false).is_empty());
        assert_eq!(missing(&[KeyPart::Pepper], true, false), [MissingKeys::Pepper]);
        // Of all keys only one that does not sign yet is here.
        assert_eq!(missing(&all, true, false), both);
        assert!(findings_of_auth(denied(), false).unusable.is_empty());
        assert_eq!(findings_of_auth(denied(), true).unusable.len(), 1);
    }

    #[test]
    fn keys_of_the_audit_tree_of_another_user_are_not_unusable() {
        let unusable = |kind| audit_tree::KeysUnusable {
            path: "keys/audit/0-first.pem".into(),
            reason: "it cannot be read".to_owned(),
            kind,
        };
        let unusable = [
            unusable(None),
            unusable(Some(ErrorKind::InvalidInput)),
            unusable(Some(ErrorKind::PermissionDenied)),
        ];
        assert_eq!(unusable_audit_keys(&unusable, false).len(), 2);
        assert_eq!(unusable_audit_keys(&unusable, true).len(), 3);
    }
}
