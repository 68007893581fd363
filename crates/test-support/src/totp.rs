//! An authenticator app.

use data_encoding::BASE32_NOPAD;
use ring::hmac;

/// The code (RFC 6238) for a Base32 secret in a step of thirty seconds, counted from 1970.
///
/// # Panics
/// When the secret is not in Base32.
pub fn totp_code(secret: &str, step: i64) -> String {
    let key =
        hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &BASE32_NOPAD.decode(secret.as_bytes()).unwrap());
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let offset = usize::from(tag.as_ref()[19] & 15);
    let bytes: [u8; 4] = tag.as_ref()[offset..offset + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(bytes) & 0x7fff_ffff) % 1_000_000)
}
