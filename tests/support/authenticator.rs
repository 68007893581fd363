//! An authenticator app.

/// The current code (RFC 6238) for a Base32 secret.
pub(crate) fn totp_code(secret: &str) -> String {
    let now = std::time::SystemTime::now();
    let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    test_support::totp_code(secret, (seconds / 30).cast_signed())
}
