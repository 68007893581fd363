//! The role that answers a public path.

use http::Method;

/// The role that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Every method goes to auth, which refuses unknown ones.
    Auth,
    /// Every method goes to the command API.
    Commands,
    /// GET and HEAD go to the query API, the methods named here to the command API. Neither role knows the other's
    /// methods, so the gateway refuses all others, with `allow`.
    Split {
        /// The command API's methods.
        commands: &'static [Method],
        /// The methods of both.
        allow: &'static str,
    },
}
