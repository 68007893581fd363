//! Which role answers a public path.

use http::Method;

/// The role that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Every method goes to auth, which refuses what it does not know.
    Auth,
    /// Every method goes to the command API.
    Commands,
    /// GET and HEAD go to the query API, the methods named here to the command API. Neither role knows the
    /// other's methods, so all others are refused here, with `allow`.
    Split {
        /// The command API's methods.
        commands: &'static [Method],
        /// Every method of both.
        allow: &'static str,
    },
}
