//! The settings of the databases, the keys and the bus.

use std::path::PathBuf;

use anyhow::Context as _;
use bus::RabbitBus;
use clap::{ArgAction, Args};
use database::Database;
use events::PartitionCount;

use super::secret::{SecretFile, secret};

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct Storage {
    /// Directory of the embedded databases and the keys
    #[arg(long, env = "TASKLEDGER_DATA_DIR", default_value = "./data", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL with the read models and the roles' own records; without it, SQLite files in the data directory
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<String>,
    /// File that holds the database URL
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<SecretFile>,
    /// Where the event log is, if not in DATABASE_URL
    #[arg(long, env = "EVENT_STORE_URL", value_name = "URL", hide_env_values = true)]
    event_store_url: Option<String>,
    /// File that holds the URL of the event log
    #[arg(long, env = "EVENT_STORE_URL_FILE", value_name = "FILE")]
    event_store_url_file: Option<SecretFile>,
    /// Where the keys of people are, if not in DATABASE_URL
    #[arg(long, env = "KEYS_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    keys_database_url: Option<String>,
    /// File that holds the URL of the keys of people
    #[arg(long, env = "KEYS_DATABASE_URL_FILE", value_name = "FILE")]
    keys_database_url_file: Option<SecretFile>,
    /// Seal what is personal in new events; `false` only while readers of an earlier release still run
    #[arg(long, env = "TASKLEDGER_SEAL_EVENTS", default_value = "true", value_name = "BOOL",
          action = ArgAction::Set)]
    pub(crate) seal_events: bool,
    /// RabbitMQ; without it, the bus lives inside the one process
    #[arg(long, env = "AMQP_URL", value_name = "URL", hide_env_values = true)]
    amqp_url: Option<String>,
    /// File that holds the URL of RabbitMQ
    #[arg(long, env = "AMQP_URL_FILE", value_name = "FILE")]
    amqp_url_file: Option<SecretFile>,
    /// Prefix of every queue and exchange, so that several systems can share one RabbitMQ
    #[arg(long, env = "TASKLEDGER_BUS_NAMESPACE", default_value = "taskledger", value_name = "NAME")]
    pub(crate) bus_namespace: String,
    /// Number of partitions of the projection, 1 to 256; the same for every role
    #[arg(long, env = "TASKLEDGER_PARTITIONS", default_value = "4", value_name = "N",
          value_parser = parse_partitions)]
    pub(crate) partitions: PartitionCount,
}

impl Storage {
    /// Checks the URLs, without connecting.
    pub(super) fn check_urls(&self) -> anyhow::Result<()> {
        if let Some(url) = self.database_url()? {
            Database::check_url(&url).context("DATABASE_URL")?;
        }
        if let Some(url) = self.event_store_url()? {
            event_store::check_url(&url).context("EVENT_STORE_URL")?;
        }
        if let Some(url) = self.keys_database_url()? {
            Database::check_url(&url).context("KEYS_DATABASE_URL")?;
        }
        if let Some(url) = self.amqp_url()? {
            RabbitBus::check(&url, &self.bus_namespace).context("AMQP_URL, TASKLEDGER_BUS_NAMESPACE")?;
        }
        Ok(())
    }

    /// The URL of PostgreSQL for the read models and the roles' own records, if it is set.
    pub(crate) fn database_url(&self) -> anyhow::Result<Option<String>> {
        secret("DATABASE_URL", &self.database_url, &self.database_url_file)
    }

    /// Whether the read models and the roles' own records are in files of the data directory, so that all roles are in
    /// one process.
    pub(crate) fn is_embedded(&self) -> anyhow::Result<bool> {
        Ok(self.database_url()?.is_none())
    }

    /// The URL of the event log. `None` means the embedded file.
    pub(crate) fn event_store_url(&self) -> anyhow::Result<Option<String>> {
        let (url, file) = (&self.event_store_url, &self.event_store_url_file);
        self.or_database(secret("EVENT_STORE_URL", url, file)?)
    }

    /// The URL of the keys of people. `None` means the embedded file.
    pub(crate) fn keys_database_url(&self) -> anyhow::Result<Option<String>> {
        let (url, file) = (&self.keys_database_url, &self.keys_database_url_file);
        self.or_database(secret("KEYS_DATABASE_URL", url, file)?)
    }

    /// The URL `own` if there is one, or else that of the read models and the roles' own records.
    fn or_database(&self, own: Option<String>) -> anyhow::Result<Option<String>> {
        match own {
            None => self.database_url(),
            own => Ok(own),
        }
    }

    pub(crate) fn amqp_url(&self) -> anyhow::Result<Option<String>> {
        secret("AMQP_URL", &self.amqp_url, &self.amqp_url_file)
    }
}

fn parse_partitions(text: &str) -> Result<PartitionCount, String> {
    text.parse()
        .ok()
        .and_then(PartitionCount::new)
        .ok_or_else(|| "expected a number from 1 to 256".to_owned())
}
