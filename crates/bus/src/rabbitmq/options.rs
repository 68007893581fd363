//! The options of a connection to RabbitMQ.

/// The options of a connection to RabbitMQ.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// The name of the client, for example its role. The broker shows it with each connection.
    pub name: String,
    /// The prefix of every name on the broker. Installations that share a virtual host need different ones. Letters,
    /// digits, `.`, `_` and `-`, at most 64.
    pub namespace: String,
}
