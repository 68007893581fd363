//! The settings of the addresses at which the gateway reaches the other roles.

use clap::Args;
use url::Url;

#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "Where the gateway finds the other roles (several replicas: separated by commas)"
)]
pub(crate) struct Upstreams {
    /// Base URLs of the command API
    #[arg(
        long,
        env = "TASKLEDGER_COMMAND_API_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) command_api_url: Vec<Url>,
    /// Base URLs of the query API
    #[arg(
        long,
        env = "TASKLEDGER_QUERY_API_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:8082"
    )]
    pub(crate) query_api_url: Vec<Url>,
    /// Base URLs of auth
    #[arg(
        long,
        env = "TASKLEDGER_AUTH_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:8083"
    )]
    pub(crate) auth_url: Vec<Url>,
    /// Base URLs of the projector's probes and metrics
    #[arg(
        long,
        env = "TASKLEDGER_PROJECTOR_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:9094"
    )]
    pub(crate) projector_url: Vec<Url>,
}
