//! Why an admin does something to somebody else.

use crate::BoundedText;

/// Why an admin does something to an account. It is about the person, and sealed under their key.
pub type AdminReason = BoundedText<2_000>;
