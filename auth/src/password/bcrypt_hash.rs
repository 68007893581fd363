//! Hashes of bcrypt, which the former system left behind: verified, and never made.

use super::Password;

/// Characters of the salt and the output.
const SALT_AND_OUTPUT: usize = 53;

/// The highest cost that is taken over: half a second on a machine of today. A comparison that is dearer may take longer than the
/// longest that a failed login is made to take, and would tell that there is such an account.
pub(crate) const HIGHEST_COST: u8 = 13;

/// Whether `hash` is one of bcrypt that can be taken over.
pub(crate) fn is_bcrypt(hash: &str) -> bool {
    let Some((cost, rest)) = version(hash).and_then(|rest| rest.split_once('$')) else {
        return false;
    };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    cost.len() == 2
        && cost
            .parse()
            .is_ok_and(|cost: u8| (4..=HIGHEST_COST).contains(&cost))
        && rest.len() == SALT_AND_OUTPUT
        && rest.bytes().all(is_base64)
}

/// What follows the version.
fn version(hash: &str) -> Option<&str> {
    ["$2a$", "$2b$", "$2y$"]
        .iter()
        .find_map(|version| hash.strip_prefix(version))
}

/// Whether `hash` is one of bcrypt at all.
pub(super) fn is_of_bcrypt(hash: &str) -> bool {
    version(hash).is_some()
}

/// Whether it is that of `password`. Cuts off after 72 bytes, as the former system did when it made these.
pub(super) fn matches(password: &Password, hash: &str) -> bool {
    bcrypt::verify(password.as_typed(), hash).unwrap_or(false)
}
