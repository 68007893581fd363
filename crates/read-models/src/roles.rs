//! The column `roles` of accounts: a JSON array of the names of roles.

use std::collections::BTreeSet;

use database::DatabaseError;
use events::Role;

use crate::unexpected;

/// The column for `roles`.
pub fn role_list(roles: &BTreeSet<Role>) -> String {
    // A list of plain names can always be written.
    serde_json::to_string(roles).unwrap_or_default()
}

/// The roles that the column holds.
///
/// # Errors
/// When it holds something else.
pub fn roles_of_list(list: &str) -> Result<BTreeSet<Role>, DatabaseError> {
    serde_json::from_str(list).map_err(|_| unexpected("roles", list))
}

/// The text that is part of the column exactly when `role` is one of the roles.
pub fn in_role_list(role: Role) -> String {
    format!("\"{role}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_found_in_the_lists_that_have_it() {
        let all = [Role::User, Role::Auditor, Role::Admin];
        for bits in 0..8 {
            let roles = BTreeSet::from_iter(
                all.into_iter().enumerate().filter_map(|(bit, role)| (bits >> bit & 1 == 1).then_some(role)),
            );
            let list = role_list(&roles);
            for role in all {
                assert_eq!(list.contains(&in_role_list(role)), roles.contains(&role), "{list}");
            }
            assert_eq!(roles_of_list(&list).unwrap(), roles);
        }
        assert!(roles_of_list("[\"king\"]").is_err());
    }
}
