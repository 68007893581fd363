//! The newest audit tree, or a sentence when there is none yet.

use audit_tree::{AuditTree, Tree, VerifyError};

pub(super) async fn newest_tree(audit: &AuditTree) -> Result<Tree, VerifyError> {
    audit.newest().await?.ok_or(VerifyError::NoTree)
}
