//! What whoever opens the bus chooses.

/// How to connect.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// Who connects, for example the role. The broker shows it with each connection.
    pub name: String,
    /// What every name on the broker starts with. Installations that share a virtual host differ in it.
    /// Letters, digits, `.`, `_` and `-`, at most 64.
    pub namespace: String,
}

impl RabbitOptions {
    /// The namespace unless another is chosen.
    pub const NAMESPACE: &'static str = "taskledger";
}
