//! Every setting of every role, from flags and environment variables, and how it is shown.

mod access_log;
mod tls;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use audit_tree::WitnessAddress;
use clap::{ArgAction, Args, ValueEnum};
use database::masked;
use events::{PartitionCount, Role};
use http_api::Peers;
use sealing::MasterKeys;
use url::Url;

use self::{access_log::AccessLog, tls::Tls};

/// The file in the keys directory with the key that signs page cursors.
const CURSOR_KEY: &str = "cursor-key";

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct Settings {
    #[command(flatten)]
    pub(crate) storage: Storage,
    #[command(flatten)]
    pub(crate) http: Http,
    #[command(flatten)]
    pub(crate) connections: Connections,
    #[command(flatten)]
    pub(crate) tls: Tls,
    #[command(flatten)]
    pub(crate) auth: Auth,
    #[command(flatten)]
    pub(crate) upstreams: Upstreams,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) access_log: AccessLog,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct Storage {
    /// Directory of the embedded databases and the keys
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_DATA_DIR",
        default_value = "./data",
        value_name = "DIR"
    )]
    pub(crate) data_dir: PathBuf,
    /// PostgreSQL with the read models and the roles' own records; without it, SQLite files in the data directory
    #[arg(
        long,
        global = true,
        env = "DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// File that holds the database URL
    #[arg(long, global = true, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
    /// Where the event log is, if not in DATABASE_URL
    #[arg(
        long,
        global = true,
        env = "EVENT_STORE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    event_store_url: Option<String>,
    /// File that holds the URL of the event log
    #[arg(long, global = true, env = "EVENT_STORE_URL_FILE", value_name = "FILE")]
    event_store_url_file: Option<PathBuf>,
    /// Where the keys of people are, if not in DATABASE_URL
    #[arg(
        long,
        global = true,
        env = "KEYS_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    keys_database_url: Option<String>,
    /// File that holds the URL of the keys of people
    #[arg(long, global = true, env = "KEYS_DATABASE_URL_FILE", value_name = "FILE")]
    keys_database_url_file: Option<PathBuf>,
    /// Seal what is personal in new events; `false` only while readers of an earlier release still run
    #[arg(long, global = true, env = "TASKLEDGER_SEAL_EVENTS", default_value = "true", value_name = "BOOL",
          action = ArgAction::Set)]
    pub(crate) seal_events: bool,
    /// RabbitMQ; without it, the bus lives inside the one process
    #[arg(
        long,
        global = true,
        env = "AMQP_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    amqp_url: Option<String>,
    /// File that holds the URL of RabbitMQ
    #[arg(long, global = true, env = "AMQP_URL_FILE", value_name = "FILE")]
    amqp_url_file: Option<PathBuf>,
    /// Prefix of every queue and exchange, so that several systems can share one RabbitMQ
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_BUS_NAMESPACE",
        default_value = "taskledger",
        value_name = "NAME"
    )]
    pub(crate) bus_namespace: String,
    /// Into how many partitions the log is projected, 1 to 256; the same for every role
    #[arg(long, global = true, env = "TASKLEDGER_PARTITIONS", default_value = "4", value_name = "N",
          value_parser = parse_partitions)]
    pub(crate) partitions: PartitionCount,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub(crate) struct Http {
    /// Address to serve on [default: 127.0.0.1:8080, command-api 8081, query-api 8082, auth 8083]
    #[arg(long, global = true, env = "TASKLEDGER_LISTEN", value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
    /// Address of probes and metrics [default: 127.0.0.1:9090, command-api 9091, query-api 9092, auth 9093, projector 9094]
    #[arg(long, global = true, env = "TASKLEDGER_ADMIN_LISTEN", value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// File with the gateway's limits and the proxies that it trusts, read again on SIGHUP [default: built in, see deploy/gateway.toml]
    #[arg(long, global = true, env = "TASKLEDGER_GATEWAY_CONFIG", value_name = "FILE")]
    pub(crate) gateway_config: Option<PathBuf>,
    /// Addresses and networks of the gateways, which the roles behind them believe about clients (separated by commas) [default: loopback and private networks]
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_GATEWAY_PEERS",
        value_name = "NETWORKS"
    )]
    gateway_peers: Option<Peers>,
}

impl Http {
    /// Whose `X-Forwarded-For` the roles behind the gateway believe.
    pub(crate) fn gateway_peers(&self) -> Peers {
        self.gateway_peers.clone().unwrap_or_else(Peers::private)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "How much at once")]
pub(crate) struct Connections {
    /// Connections to the API at once, if the descriptors that the system allows suffice
    #[arg(long, global = true, env = "TASKLEDGER_MAX_CONNECTIONS", default_value_t = 10_000, value_name = "N",
          value_parser = at_least_one)]
    pub(crate) max_connections: usize,
    /// Those from one address, of IPv6 from one network of 64 bits (gateway)
    #[arg(long, global = true, env = "TASKLEDGER_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 1_000, value_name = "N",
          value_parser = at_least_one)]
    pub(crate) max_connections_per_address: usize,
    /// Memory that this process may take; requests are refused from nine tenths of it [default: that of the control group or the machine]
    #[arg(long, global = true, env = "TASKLEDGER_MEMORY_LIMIT_MIB", value_name = "MIB",
          value_parser = clap::value_parser!(u64).range(64..=1_048_576))]
    memory_limit_mib: Option<u64>,
}

impl Connections {
    /// In bytes.
    pub(crate) fn memory_limit(&self) -> Option<u64> {
        self.memory_limit_mib.map(|mib| mib * 1024 * 1024)
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Keys and tokens")]
pub(crate) struct Auth {
    /// Directory of the signing keys and the email pepper [default: DATA_DIR/keys]
    #[arg(long, global = true, env = "TASKLEDGER_KEYS_DIR", value_name = "DIR")]
    keys_dir: Option<PathBuf>,
    /// What the origin of the audit tree begins with: a name under which nobody else signs, best a domain and a path
    #[arg(long, global = true, env = "TASKLEDGER_AUDIT_ORIGIN", default_value = "taskledger.local", value_name = "NAME",
          value_parser = parse_origin)]
    pub(crate) audit_origin: String,
    /// Witnesses that are shown the checkpoints of the audit tree, each `<verifier key>@<URL>`, separated by commas
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_AUDIT_WITNESSES",
        value_delimiter = ',',
        value_name = "WITNESSES"
    )]
    pub(crate) audit_witnesses: Vec<WitnessAddress>,
    /// How long an access token lives, in minutes, 7 to 15
    #[arg(long, global = true, env = "TASKLEDGER_ACCESS_TOKEN_MINUTES", default_value_t = 15, value_name = "N",
          value_parser = clap::value_parser!(u8).range(7..=15))]
    pub(crate) access_token_minutes: u8,
    /// After how many hours without a refresh a session ends, 1 to 168
    #[arg(long, global = true, env = "TASKLEDGER_SESSION_IDLE_HOURS", default_value_t = 72, value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..=168))]
    pub(crate) session_idle_hours: u16,
    /// Roles that count only in sessions that began with a second factor: admin, auditor, user, separated by commas
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_SECOND_FACTOR_ROLES",
        value_delimiter = ',',
        value_name = "ROLES"
    )]
    pub(crate) second_factor_roles: Vec<Role>,
    /// Memory of one password hash, in KiB, at least 19456
    #[arg(long, global = true, env = "TASKLEDGER_ARGON2_MEMORY_KIB", default_value_t = 19_456, value_name = "KIB",
          value_parser = clap::value_parser!(u32).range(19_456..=4_194_304))]
    pub(crate) argon2_memory_kib: u32,
    /// Passes of one password hash, at least 2
    #[arg(long, global = true, env = "TASKLEDGER_ARGON2_PASSES", default_value_t = 2, value_name = "N",
          value_parser = clap::value_parser!(u32).range(2..=64))]
    pub(crate) argon2_passes: u32,
    /// Lanes of one password hash; they are computed one after the other
    #[arg(long, global = true, env = "TASKLEDGER_ARGON2_LANES", default_value_t = 1, value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=16))]
    pub(crate) argon2_lanes: u32,
    /// Characters of the shortest password, 8 to 64; below 15 only with a second factor
    #[arg(long, global = true, env = "TASKLEDGER_PASSWORD_MIN_CHARACTERS", default_value_t = 15, value_name = "N",
          value_parser = clap::value_parser!(u8).range(8..=64))]
    pub(crate) password_min_characters: u8,
    /// File of passwords that were found in breaches, lines of SHA-1:COUNT in order
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_BREACHED_PASSWORDS",
        value_name = "FILE"
    )]
    pub(crate) breached_passwords: Option<PathBuf>,
    /// Master keys that wrap the keys of people, 64 hex digits each, separated by commas; the first wraps [default: kept in KEYS_DIR/master-keys]
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_MASTER_KEYS",
        value_name = "HEX",
        hide_env_values = true
    )]
    master_keys: Option<String>,
    /// File that holds the master keys, one a line; it is read again when it changes
    #[arg(long, global = true, env = "TASKLEDGER_MASTER_KEYS_FILE", value_name = "FILE")]
    master_keys_file: Option<PathBuf>,
    /// Key that signs page cursors, 64 hex digits [default: kept in KEYS_DIR/cursor-key]
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_CURSOR_KEY",
        value_name = "HEX",
        hide_env_values = true
    )]
    cursor_key: Option<String>,
    /// File that holds the key that signs page cursors
    #[arg(long, global = true, env = "TASKLEDGER_CURSOR_KEY_FILE", value_name = "FILE")]
    cursor_key_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
#[command(
    next_help_heading = "Where the gateway finds the other roles (several replicas: separated by commas)"
)]
pub(crate) struct Upstreams {
    /// Base URLs of the command API
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_COMMAND_API_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:8081"
    )]
    pub(crate) command_api_url: Vec<Url>,
    /// Base URLs of the query API
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_QUERY_API_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:8082"
    )]
    pub(crate) query_api_url: Vec<Url>,
    /// Base URLs of auth
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_AUTH_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:8083"
    )]
    pub(crate) auth_url: Vec<Url>,
    /// Base URLs of the projector's probes and metrics
    #[arg(
        long,
        global = true,
        env = "TASKLEDGER_PROJECTOR_URL",
        value_delimiter = ',',
        value_name = "URL",
        default_value = "http://127.0.0.1:9094"
    )]
    pub(crate) projector_url: Vec<Url>,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct Log {
    /// What is logged, for example `info` or `warn,projector=debug`
    #[arg(
        long = "log",
        global = true,
        env = "TASKLEDGER_LOG",
        default_value = "info,sqlx=warn",
        value_name = "FILTER"
    )]
    pub(crate) filter: String,
    /// How it is written
    #[arg(
        long = "log-format",
        global = true,
        env = "TASKLEDGER_LOG_FORMAT",
        default_value = "text"
    )]
    pub(crate) format: LogFormat,
    /// Where spans go: the base URL of an OpenTelemetry collector (OTLP over HTTP)
    #[arg(long, global = true, env = "TASKLEDGER_OTLP_ENDPOINT", value_name = "URL")]
    pub(crate) otlp_endpoint: Option<Url>,
    /// File that the security log is appended to [default: standard error]
    #[arg(
        long = "security-log",
        global = true,
        env = "TASKLEDGER_SECURITY_LOG",
        value_name = "FILE"
    )]
    pub(crate) security_log: Option<PathBuf>,
}

fn parse_origin(text: &str) -> Result<String, String> {
    let is_name = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'+');
    if is_name && text.len() <= 200 {
        Ok(text.trim_end_matches('/').to_owned())
    } else {
        Err("expected up to 200 visible ASCII characters without `+`".to_owned())
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| "expected a number, at least 1".to_owned())
}

fn parse_partitions(text: &str) -> Result<PartitionCount, String> {
    text.parse()
        .ok()
        .and_then(PartitionCount::new)
        .ok_or_else(|| "expected a number from 1 to 256".to_owned())
}

impl Settings {
    /// Refuses variables that start like ours but mean nothing: most likely a misspelt setting.
    pub(crate) fn refuse_unknown_variables(command: &clap::Command) -> anyhow::Result<()> {
        let known: Vec<String> = command
            .get_arguments()
            .filter_map(|argument| Some(argument.get_env()?.to_string_lossy().into_owned()))
            .collect();
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TASKLEDGER_") && !known.iter().any(|known| *known == name) {
                bail!(
                    "the environment variable {name} is not a setting of Taskledger; `taskledger --help` lists them"
                );
            }
        }
        Ok(())
    }

    /// The effective values by variable name, secrets masked.
    pub(crate) fn show(&self) -> anyhow::Result<String> {
        let storage = &self.storage;
        let none = || "(none)".to_owned();
        let embedded = || format!("(embedded, in {})", storage.data_dir.display());
        let address =
            |address: Option<SocketAddr>| address.map_or_else(|| "(default)".to_owned(), |it| it.to_string());
        let urls = |urls: &[Url]| {
            urls.iter()
                .map(|url| masked(url.as_str()))
                .collect::<Vec<_>>()
                .join(",")
        };
        let lines = [
            ("TASKLEDGER_DATA_DIR", storage.data_dir.display().to_string()),
            (
                "DATABASE_URL",
                storage.database_url()?.map_or_else(embedded, |url| masked(&url)),
            ),
            (
                "EVENT_STORE_URL",
                storage
                    .event_store_url()?
                    .map_or_else(embedded, |url| masked(&url)),
            ),
            (
                "KEYS_DATABASE_URL",
                storage
                    .keys_database_url()?
                    .map_or_else(embedded, |url| masked(&url)),
            ),
            ("TASKLEDGER_SEAL_EVENTS", storage.seal_events.to_string()),
            (
                "AMQP_URL",
                storage
                    .amqp_url()?
                    .map_or_else(|| "(inside the process)".to_owned(), |url| masked(&url)),
            ),
            ("TASKLEDGER_BUS_NAMESPACE", storage.bus_namespace.clone()),
            ("TASKLEDGER_PARTITIONS", storage.partitions.get().to_string()),
            ("TASKLEDGER_LISTEN", address(self.http.listen)),
            ("TASKLEDGER_ADMIN_LISTEN", address(self.http.admin_listen)),
            (
                "TASKLEDGER_GATEWAY_CONFIG",
                self.http
                    .gateway_config
                    .as_ref()
                    .map_or_else(|| "(built in)".to_owned(), |file| file.display().to_string()),
            ),
            ("TASKLEDGER_GATEWAY_PEERS", self.http.gateway_peers().to_string()),
            (
                "TASKLEDGER_MAX_CONNECTIONS",
                self.connections.max_connections.to_string(),
            ),
            (
                "TASKLEDGER_MAX_CONNECTIONS_PER_ADDRESS",
                self.connections.max_connections_per_address.to_string(),
            ),
            (
                "TASKLEDGER_MEMORY_LIMIT_MIB",
                self.connections
                    .memory_limit_mib
                    .map_or_else(|| "(all there is)".to_owned(), |mib| mib.to_string()),
            ),
            ("TASKLEDGER_KEYS_DIR", self.keys_dir().display().to_string()),
            ("TASKLEDGER_AUDIT_ORIGIN", self.auth.audit_origin.clone()),
            (
                "TASKLEDGER_AUDIT_WITNESSES",
                self.auth
                    .audit_witnesses
                    .iter()
                    .map(|witness| masked(witness.url.as_str()))
                    .collect::<Vec<_>>()
                    .join(","),
            ),
            (
                "TASKLEDGER_ACCESS_TOKEN_MINUTES",
                self.auth.access_token_minutes.to_string(),
            ),
            (
                "TASKLEDGER_SESSION_IDLE_HOURS",
                self.auth.session_idle_hours.to_string(),
            ),
            (
                "TASKLEDGER_SECOND_FACTOR_ROLES",
                self.second_factor_roles().unwrap_or_else(none),
            ),
            (
                "TASKLEDGER_ARGON2_MEMORY_KIB",
                self.auth.argon2_memory_kib.to_string(),
            ),
            ("TASKLEDGER_ARGON2_PASSES", self.auth.argon2_passes.to_string()),
            ("TASKLEDGER_ARGON2_LANES", self.auth.argon2_lanes.to_string()),
            (
                "TASKLEDGER_PASSWORD_MIN_CHARACTERS",
                self.auth.password_min_characters.to_string(),
            ),
            (
                "TASKLEDGER_BREACHED_PASSWORDS",
                self.auth
                    .breached_passwords
                    .as_ref()
                    .map_or_else(none, |file| file.display().to_string()),
            ),
            (
                "TASKLEDGER_MASTER_KEYS",
                match (&self.auth.master_keys, &self.auth.master_keys_file) {
                    (Some(_), _) => "***".to_owned(),
                    (None, Some(file)) => format!("(in {})", file.display()),
                    (None, None) => format!("(in {})", self.master_keys_path().display()),
                },
            ),
            (
                "TASKLEDGER_CURSOR_KEY",
                if self.auth.cursor_key.is_some() || self.auth.cursor_key_file.is_some() {
                    "***".into()
                } else {
                    format!("(kept in {})", self.keys_dir().join(CURSOR_KEY).display())
                },
            ),
            (
                "TASKLEDGER_COMMAND_API_URL",
                urls(&self.upstreams.command_api_url),
            ),
            ("TASKLEDGER_QUERY_API_URL", urls(&self.upstreams.query_api_url)),
            ("TASKLEDGER_AUTH_URL", urls(&self.upstreams.auth_url)),
            ("TASKLEDGER_PROJECTOR_URL", urls(&self.upstreams.projector_url)),
            ("TASKLEDGER_LOG", self.log.filter.clone()),
            (
                "TASKLEDGER_LOG_FORMAT",
                format!("{:?}", self.log.format).to_lowercase(),
            ),
            (
                "TASKLEDGER_OTLP_ENDPOINT",
                self.log
                    .otlp_endpoint
                    .as_ref()
                    .map_or_else(none, |url| masked(url.as_str())),
            ),
            (
                "TASKLEDGER_SECURITY_LOG",
                self.log.security_log.as_ref().map_or_else(
                    || "(standard error)".to_owned(),
                    |file| file.display().to_string(),
                ),
            ),
        ];
        let mut text = String::new();
        for (name, value) in lines
            .into_iter()
            .chain(self.tls.lines())
            .chain(self.access_log.lines())
        {
            writeln!(text, "{name}={value}")?;
        }
        Ok(text)
    }

    /// Where the signing keys and the email pepper are.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.auth
            .keys_dir
            .clone()
            .unwrap_or_else(|| self.storage.data_dir.join("keys"))
    }

    /// The roles as text, if there are any.
    fn second_factor_roles(&self) -> Option<String> {
        let roles: Vec<_> = self
            .auth
            .second_factor_roles
            .iter()
            .map(Role::to_string)
            .collect();
        (!roles.is_empty()).then(|| roles.join(","))
    }

    /// Where the keys are that sign the audit tree.
    pub(crate) fn audit_keys_dir(&self) -> PathBuf {
        self.keys_dir().join("audit")
    }

    /// The keys that wrap the keys of people: as set, or kept in the keys directory and made there if `may_create`.
    pub(crate) fn master_keys(&self, may_create: bool) -> anyhow::Result<MasterKeys> {
        const NAME: &str = "TASKLEDGER_MASTER_KEYS";
        let setting = self.auth.master_keys.as_deref().map(str::trim);
        let keys = match (
            setting.filter(|text| !text.is_empty()),
            &self.auth.master_keys_file,
        ) {
            (Some(_), Some(_)) => bail!("both {NAME} and {NAME}_FILE are set: set one of them"),
            (Some(text), None) => MasterKeys::from_setting(NAME, text)?,
            (None, Some(file)) => MasterKeys::from_file(file)?,
            (None, None) => MasterKeys::open_or_create(&self.master_keys_path(), may_create)?,
        };
        Ok(keys)
    }

    fn master_keys_path(&self) -> PathBuf {
        self.keys_dir().join("master-keys")
    }

    /// How long an access token lives.
    pub(crate) fn access_token_lifetime(&self) -> Duration {
        Duration::from_secs(u64::from(self.auth.access_token_minutes) * 60)
    }

    /// The key that signs page cursors: as set, or kept in the keys directory and made there at the first start.
    pub(crate) fn cursor_key(&self) -> anyhow::Result<[u8; 32]> {
        let setting = secret(
            "TASKLEDGER_CURSOR_KEY",
            self.auth.cursor_key.as_ref(),
            self.auth.cursor_key_file.as_ref(),
        )?;
        let text = match setting {
            Some(text) => text,
            None => crate::secrets::read_or_create(&self.keys_dir(), CURSOR_KEY)?,
        };
        crate::secrets::parse_key(&text).context("the key that signs page cursors must be 64 hex digits")
    }
}

impl Storage {
    /// PostgreSQL for the read models and the roles' own records, if set.
    pub(crate) fn database_url(&self) -> anyhow::Result<Option<String>> {
        secret(
            "DATABASE_URL",
            self.database_url.as_ref(),
            self.database_url_file.as_ref(),
        )
    }

    /// Where the event log is; `None` is the embedded file.
    pub(crate) fn event_store_url(&self) -> anyhow::Result<Option<String>> {
        match secret(
            "EVENT_STORE_URL",
            self.event_store_url.as_ref(),
            self.event_store_url_file.as_ref(),
        )? {
            Some(url) => Ok(Some(url)),
            None => self.database_url(),
        }
    }

    /// Where the keys of people are; `None` is the embedded file.
    pub(crate) fn keys_database_url(&self) -> anyhow::Result<Option<String>> {
        match secret(
            "KEYS_DATABASE_URL",
            self.keys_database_url.as_ref(),
            self.keys_database_url_file.as_ref(),
        )? {
            Some(url) => Ok(Some(url)),
            None => self.database_url(),
        }
    }

    /// RabbitMQ, if set.
    pub(crate) fn amqp_url(&self) -> anyhow::Result<Option<String>> {
        secret("AMQP_URL", self.amqp_url.as_ref(), self.amqp_url_file.as_ref())
    }
}

/// A setting given directly or through a file. An empty variable counts as unset, as it does in compose files.
fn secret(name: &str, value: Option<&String>, file: Option<&PathBuf>) -> anyhow::Result<Option<String>> {
    let value = value.map(|value| value.trim()).filter(|value| !value.is_empty());
    match (value, file) {
        (Some(_), Some(_)) => bail!("both {name} and {name}_FILE are set: set one of them"),
        (Some(value), None) => Ok(Some(value.to_owned())),
        (None, Some(file)) => Ok(Some(read(name, file)?)),
        (None, None) => Ok(None),
    }
}

fn read(name: &str, file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the file {} that {name}_FILE names", file.display()))?;
    Ok(text.trim().to_owned())
}
