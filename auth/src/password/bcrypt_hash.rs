//! bcrypt hashes of the former system: they are verified, but never made.

use super::Password;

/// Characters of the salt and the output.
const SALT_AND_OUTPUT: usize = 53;

/// The highest accepted cost, about half a second on a present machine. Comparing with a more expensive hash could
/// take longer than the longest failed login, and would reveal the account.
pub(crate) const HIGHEST_COST: u8 = 13;

/// Whether `hash` is a bcrypt hash that can be imported.
pub(crate) fn is_bcrypt(hash: &str) -> bool {
    let Some((cost, rest)) = version(hash).and_then(|rest| rest.split_once('$')) else {
        return false;
    };
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    cost.len() == 2
        && cost.parse().is_ok_and(|cost: u8| (4..=HIGHEST_COST).contains(&cost))
        && rest.len() == SALT_AND_OUTPUT
        && rest.bytes().all(is_base64)
}

/// The part after the version.
fn version(hash: &str) -> Option<&str> {
    ["$2a$", "$2b$", "$2y$"].iter().find_map(|version| hash.strip_prefix(version))
}

/// Whether `hash` is a bcrypt hash, even one that cannot be imported.
pub(super) fn is_of_bcrypt(hash: &str) -> bool {
    version(hash).is_some()
}

/// Whether `hash` is that of `password`. Only 72 bytes count, as in the former system.
pub(super) fn matches(password: &Password, hash: &str) -> bool {
    bcrypt::verify(password.as_typed(), hash).unwrap_or(false)
}
