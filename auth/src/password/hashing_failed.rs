//! Why a password was neither hashed nor verified.

#[derive(Debug, thiserror::Error)]
pub(crate) enum HashingFailed {
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    #[error("too many passwords from one address wait to be hashed")]
    Crowded,
    /// argon2 refused a parameter, or there was no randomness.
    #[error("argon2: {0}")]
    Argon2(String),
    #[error("no thread to hash passwords on: {0}")]
    NoThread(std::io::Error),
    /// The hashing thread panicked.
    #[error("a hashing thread broke off")]
    Broken,
}
