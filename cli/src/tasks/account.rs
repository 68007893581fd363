//! The address of the API, and the token of the person whose tasks a command is about.

use anyhow::Context as _;
use clap::Args;
use url::Url;

use super::api_client::ApiClient;
use crate::settings::{SecretFile, Settings, secret};

/// The account and the address of the API.
#[derive(Debug, Args)]
pub(super) struct Account {
    /// Where the API is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: Url,
    /// An access token, or a token for programs with the scopes that it takes (tasks:read, tasks:write)
    #[arg(long, env = "TASKLEDGER_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File with the token
    #[arg(long, env = "TASKLEDGER_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<SecretFile>,
}

impl Account {
    pub(super) fn api(&self, settings: &Settings) -> anyhow::Result<ApiClient> {
        let token = secret("TASKLEDGER_TOKEN", &self.token, &self.token_file)?;
        let token = token
            .context("whose tasks? Set TASKLEDGER_TOKEN, or name a file with a token by --token-file")?;
        ApiClient::new(&self.url, &token, settings)
    }
}
