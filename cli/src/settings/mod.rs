//! Every setting of every role, from flags and environment variables, and how settings are shown. To add one, add a
//! field to its group under `settings/`.

mod access_log;
mod auth;
mod http;
mod log;
mod retention;
mod secret;
mod storage;
mod tls;
mod upstreams;

use std::{collections::BTreeSet, ffi::OsStr, fmt::Write as _, path::PathBuf};

use anyhow::bail;
use clap::{
    Arg, ArgMatches, Args, Command,
    error::{ContextKind, ContextValue},
};
use runtime::masked;
use sealing::MasterKeys;
use url::Url;

use self::{
    access_log::AccessLog, auth::Auth, http::Http, log::Log, retention::Retention, tls::Tls,
    upstreams::Upstreams,
};
pub(crate) use self::{
    http::{Connections, listen_address},
    secret::{SecretFile, secret},
    storage::Storage,
};

/// The variable that says something when it is empty: that nobody is believed about clients.
const MAY_BE_EMPTY: &str = "TASKLEDGER_GATEWAY_PEERS";

/// The names of values that may hold a password.
const MAY_HOLD_PASSWORD: [&str; 2] = ["URL", "WITNESSES"];

#[derive(Debug, Clone, Args)]
#[command(mut_args(|setting| setting.global(true)))]
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
    pub(crate) retention: Retention,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) access_log: AccessLog,
    /// The names of the environment variables that count as unset, because they are empty.
    #[arg(skip)]
    ignored: Vec<String>,
}

impl Settings {
    /// Fails if a variable has our prefix but is not a setting, since it is most likely misspelt. Remembers those that
    /// are ignored.
    pub(crate) fn look_at_variables(&mut self, command: &clap::Command) -> anyhow::Result<()> {
        let known = variables(command);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TASKLEDGER_") && !known.contains(&*name) {
                bail!(
                    "the environment variable {name} is not a setting of Taskledger; `taskledger --help` lists them"
                );
            }
        }
        let ignored = known.into_iter().filter(|name| is_ignored(OsStr::new(name)));
        self.ignored = ignored.collect();
        Ok(())
    }

    /// Logs which variables are ignored: their defaults may not be what was meant.
    pub(crate) fn log_ignored_variables(&self) {
        if !self.ignored.is_empty() {
            tracing::info!(variables = self.ignored.join(","), "variables that are empty count as unset");
        }
    }

    /// Checks the URLs and the keys that are configured. Nothing is connected or created.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        self.storage.check_urls()?;
        self.auth.check_keys()
    }

    /// The effective values by variable name, secrets masked. `matches` is what these settings were read from.
    pub(crate) fn show(&self, matches: &ArgMatches) -> anyhow::Result<String> {
        let command = Self::augment_args(Command::new("settings"));
        let mut text = String::new();
        for argument in command.get_arguments() {
            let name = argument.get_env().unwrap_or_default().to_string_lossy();
            // What such a file holds is shown as the setting that has the name without the suffix.
            if name.ends_with("_FILE") {
                continue;
            }
            let value = match self.computed(&name)? {
                Some(value) => value,
                None => given(argument, matches).unwrap_or_else(|| unset(&name).to_owned()),
            };
            writeln!(text, "{name}={value}")?;
        }
        Ok(text)
    }

    /// The value of a setting that is in force in another form than it was given.
    fn computed(&self, name: &str) -> anyhow::Result<Option<String>> {
        let (storage, auth) = (&self.storage, &self.auth);
        let database = |url: Option<String>| match url {
            Some(url) => masked(&url),
            None => format!("(embedded, in {})", storage.data_dir.display()),
        };
        Ok(Some(match name {
            "DATABASE_URL" => database(storage.database_url()?),
            "EVENT_STORE_URL" => database(storage.event_store_url()?),
            "KEYS_DATABASE_URL" => database(storage.keys_database_url()?),
            "AMQP_URL" => match storage.amqp_url()? {
                Some(url) => masked(&url),
                None => "(inside the process)".to_owned(),
            },
            "TASKLEDGER_GATEWAY_PEERS" => self.http.gateway_peers().to_string(),
            "TASKLEDGER_KEYS_DIR" => self.keys_dir().display().to_string(),
            "TASKLEDGER_AUDIT_ORIGIN" => auth.audit_origin.clone(),
            "TASKLEDGER_AUDIT_WITNESSES" if !auth.audit_witnesses.is_empty() => {
                let urls = auth.audit_witnesses.iter().map(|witness| &witness.url);
                urls.map(|url| masked(url.as_str())).collect::<Vec<_>>().join(",")
            }
            "TASKLEDGER_MASTER_KEYS" => auth.place_of_master_keys(&self.keys_dir()),
            "TASKLEDGER_CURSOR_KEY" => auth.place_of_cursor_key(&self.keys_dir()),
            _ => return Ok(None),
        }))
    }

    /// The directory of the signing keys and the email pepper.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.auth.keys_dir(&self.storage.data_dir)
    }

    pub(crate) fn audit_keys_dir(&self) -> PathBuf {
        self.keys_dir().join("audit")
    }

    /// The master keys that wrap the keys of people. They are configured, or kept in the keys directory, where they
    /// are created if `may_create` is true.
    pub(crate) fn master_keys(&self, may_create: bool) -> anyhow::Result<MasterKeys> {
        self.auth.master_keys(&self.keys_dir(), may_create)
    }

    /// The key that signs page cursors. It is configured, or kept in the keys directory, where the first start
    /// creates it.
    pub(crate) fn cursor_key(&self) -> anyhow::Result<[u8; 32]> {
        self.auth.cursor_key(&self.keys_dir())
    }
}

/// The command line without the environment variables that are empty. They count as unset, but for one: `NAME=` is how
/// a file of variables leaves out a value.
pub(crate) fn without_empty_variables(command: Command) -> Command {
    command
        .mut_args(|argument| match argument.get_env().is_some_and(is_ignored) {
            true => argument.env(None::<&'static str>),
            false => argument,
        })
        .mut_subcommands(without_empty_variables)
}

/// Whether the environment variable `name` counts as unset, because it is empty.
fn is_ignored(name: &OsStr) -> bool {
    name != MAY_BE_EMPTY && std::env::var_os(name).is_some_and(|value| value.is_empty())
}

/// Masks the value in an error about it if it may hold a password: nobody knows where the password is in a text that
/// cannot be parsed.
pub(crate) fn mask_refused_value(error: &mut clap::Error) {
    let may_hold_password = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => {
            MAY_HOLD_PASSWORD.iter().any(|name| argument.contains(&format!("<{name}>")))
        }
        _ => false,
    };
    if may_hold_password {
        let masked = ContextValue::String("***".to_owned());
        error.insert(ContextKind::InvalidValue, masked);
    }
}

/// Leaves the settings out of the help of `command` and its subcommands, which take them all the same. `command` has
/// them already, and passes them on to its subcommands as they are here.
pub(crate) fn hide_in_help(command: Command) -> Command {
    command
        .mut_args(|argument| match argument.is_global_set() {
            true => argument.hide(true),
            false => argument,
        })
        .after_help("The settings, such as --data-dir and DATABASE_URL, are in `taskledger --help`.")
        .mut_subcommands(hide_in_help)
}

/// What was given for a setting, or else its default.
fn given(argument: &Arg, matches: &ArgMatches) -> Option<String> {
    let values = matches.get_raw(argument.get_id().as_str())?;
    if argument.is_hide_env_values_set() {
        return Some("***".to_owned());
    }
    let names = argument.get_value_names().unwrap_or_default();
    let is_url = names.iter().any(|name| MAY_HOLD_PASSWORD.contains(&name.as_str()));
    let shown = |value: &OsStr| match value.to_string_lossy() {
        url if is_url || url.contains("://") => masked(Url::parse(&url).as_ref().map_or(&*url, Url::as_str)),
        other => other.into_owned(),
    };
    Some(values.map(shown).collect::<Vec<_>>().join(","))
}

/// What is shown of a setting that was not given and has no default.
fn unset(name: &str) -> &'static str {
    match name {
        "TASKLEDGER_LISTEN" | "TASKLEDGER_ADMIN_LISTEN" => "(default)",
        "TASKLEDGER_GATEWAY_CONFIG" => "(built in)",
        "TASKLEDGER_MEMORY_LIMIT_MIB" => "(all there is)",
        "TASKLEDGER_ACCESS_LOG" | "TASKLEDGER_SECURITY_LOG" => "(standard error)",
        _ => "(none)",
    }
}

/// The environment variables of `command` and all its subcommands.
fn variables(command: &clap::Command) -> BTreeSet<String> {
    let arguments = command.get_arguments().filter_map(clap::Arg::get_env);
    arguments
        .map(|name| name.to_string_lossy().into_owned())
        .chain(command.get_subcommands().flat_map(variables))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::Path,
        thread::{self, JoinHandle},
    };

    use clap::{Arg, Args as _, Command, CommandFactory as _, FromArgMatches as _};

    use super::Settings;

    /// The ids of the arguments of `command` that are global or not, as `global` says.
    fn ids(command: &Command, global: bool) -> BTreeSet<String> {
        let arguments = command.get_arguments().filter(|one| one.is_global_set() == global);
        arguments.map(|one| one.get_id().to_string()).collect()
    }

    fn compare(command: &Command, everywhere: &BTreeSet<String>) {
        let own = ids(command, false);
        let both: Vec<_> = own.intersection(everywhere).collect();
        assert!(both.is_empty(), "{}: {both:?}", command.get_name());
        for command in command.get_subcommands() {
            compare(command, everywhere);
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let command = Settings::augment_args(Command::new("settings"));
        let secrets = command.get_arguments().filter(|one| one.is_hide_env_values_set());
        let flags: Vec<_> = secrets.filter_map(Arg::get_long).collect();
        assert!(flags.len() >= 6, "{flags:?}");
        let values = ["canary", "scheme://someone:canary@host/?password=canary"];
        let given = flags.iter().flat_map(|flag| values.map(|value| (*flag, value)));
        let addresses = ["auth-url", "otlp-endpoint"].map(|flag| (flag, "http://canary@host/?canary#canary"));
        for (flag, value) in given.chain(addresses) {
            let arguments = ["taskledger", "config", &format!("--{flag}={value}")];
            let matches = crate::Cli::command().try_get_matches_from(arguments).unwrap();
            let settings = crate::Cli::from_arg_matches(&matches).unwrap().settings;
            let text = settings.show(&matches).unwrap();
            assert!(text.contains("***") && !text.contains("canary"), "{flag}: {text}");
        }
    }

    /// Settings whose files are `pipe`.
    fn naming(pipe: &Path, flags: &[&str]) -> Settings {
        let given = flags.iter().map(|flag| format!("--{flag}={}", pipe.display()));
        let arguments = ["taskledger", "config"].map(str::to_owned);
        let arguments = arguments.into_iter().chain(given);
        let matches = crate::Cli::command().try_get_matches_from(arguments).unwrap();
        crate::Cli::from_arg_matches(&matches).unwrap().settings
    }

    /// Makes a pipe that holds `text`, which can be read once.
    fn pipe_with(path: &Path, text: &'static str) -> JoinHandle<()> {
        test_support::make_pipe(path);
        let path = path.to_owned();
        thread::spawn(move || fs::write(path, text).unwrap())
    }

    /// Nobody could read it at the start otherwise.
    #[tokio::test]
    async fn a_check_reads_nothing_from_a_pipe() {
        let directory = tempfile::tempdir().unwrap();
        for flags in [
            &["tls-certificate", "tls-key"][..],
            &["upstream-ca"],
            &["gateway-config"],
            &["master-keys-file"],
        ] {
            let pipe = directory.path().join(flags[0]);
            let writing = pipe_with(&pipe, "nonsense");
            crate::check(&naming(&pipe, flags)).await.unwrap();
            assert_eq!(fs::read_to_string(&pipe).unwrap(), "nonsense");
            writing.join().unwrap();
        }
    }

    #[tokio::test]
    async fn what_a_check_reads_of_a_secret_in_a_pipe_is_kept_for_the_start() {
        const KEY: &str = "abababababababababababababababababababababababababababababababab";
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("nonsense");
        let writing = pipe_with(&pipe, "nonsense");
        let refused = crate::check(&naming(&pipe, &["cursor-key-file"])).await;
        let refused = format!("{:#}", refused.unwrap_err());
        assert!(refused.contains("TASKLEDGER_CURSOR_KEY"), "{refused}");
        writing.join().unwrap();

        let pipe = directory.path().join("key");
        let writing = pipe_with(&pipe, KEY);
        let settings = naming(&pipe, &["cursor-key-file"]);
        crate::check(&settings).await.unwrap();
        writing.join().unwrap();
        // A second read of the pipe would wait for another writer.
        let key = settings.auth.cursor_key(directory.path()).unwrap();
        assert_eq!(key, [0xab; 32]);
    }

    #[test]
    fn master_keys_in_a_pipe_are_read_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("keys");
        let writing = pipe_with(&pipe, "abababababababababababababababababababababababababababababababab\n");
        let settings = naming(&pipe, &["master-keys-file"]);
        let first = settings.master_keys(false).unwrap().ids();
        writing.join().unwrap();
        assert_eq!(settings.master_keys(false).unwrap().ids(), first);
    }

    #[test]
    fn the_help_of_tools_leaves_out_the_settings_which_they_take_all_the_same() {
        let help = |path: &[&str]| {
            let arguments = [&["taskledger"][..], path, &["--help"]].concat();
            let shown = crate::command_line().try_get_matches_from(arguments);
            shown.unwrap_err().to_string()
        };
        for path in [&[] as &[&str], &["up"], &["query-api"], &["config"]] {
            assert!(help(path).contains("TASKLEDGER_LISTEN"), "{path:?}");
        }
        for path in [&["users"][..], &["users", "grant"], &["keys", "master", "rotate"]] {
            let help = help(path);
            assert!(!help.contains("TASKLEDGER_LISTEN"), "{help}");
            assert!(help.contains("taskledger --help"), "{help}");
        }
        let arguments = ["taskledger", "keys", "master", "list", "--data-dir", "elsewhere"];
        let matches = crate::command_line().try_get_matches_from(arguments).unwrap();
        let settings = crate::Cli::from_arg_matches(&matches).unwrap().settings;
        assert_eq!(settings.storage.data_dir, Path::new("elsewhere"));
    }

    #[test]
    fn no_command_has_an_argument_that_would_be_taken_for_a_setting() {
        let command = crate::Cli::command();
        let everywhere = ids(&command, true);
        assert!(everywhere.contains("data_dir"), "{everywhere:?}");
        compare(&command, &everywhere);
    }
}
