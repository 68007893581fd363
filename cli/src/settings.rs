//! Every setting of every role, from flags and environment variables, and how settings are shown. To add one, add a
//! field to its group under `settings/` and a line to `lines()` of that group.

mod access_log;
mod auth;
mod http;
mod log;
mod retention;
mod secret;
mod storage;
mod tls;
mod upstreams;

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use sealing::MasterKeys;

use self::{
    access_log::AccessLog, auth::Auth, http::Http, log::Log, retention::Retention, tls::Tls,
    upstreams::Upstreams,
};
pub(crate) use self::{http::Connections, log::LogFormat, secret::secret, storage::Storage};

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
    pub(crate) retention: Retention,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) access_log: AccessLog,
}

impl Settings {
    /// Fails if a variable has our prefix but is not a setting, since it is most likely misspelt.
    pub(crate) fn refuse_unknown_variables(command: &clap::Command) -> anyhow::Result<()> {
        let known = variables(command);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("TASKLEDGER_") && !known.contains(&*name) {
                bail!(
                    "the environment variable {name} is not a setting of Taskledger; `taskledger --help` lists them"
                );
            }
        }
        Ok(())
    }

    /// The effective values by variable name, secrets masked.
    pub(crate) fn show(&self) -> anyhow::Result<String> {
        let lines = self
            .storage
            .lines()?
            .into_iter()
            .chain(self.http.lines())
            .chain(self.connections.lines())
            .chain(self.auth.lines(&self.keys_dir()))
            .chain(self.upstreams.lines())
            .chain(self.retention.lines())
            .chain(self.log.lines())
            .chain(self.tls.lines())
            .chain(self.access_log.lines());
        let mut text = String::new();
        for (name, value) in lines {
            writeln!(text, "{name}={value}")?;
        }
        Ok(text)
    }

    /// The directory of the signing keys and the email pepper.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.auth.keys_dir(&self.storage.data_dir)
    }

    /// The directory of the keys that sign the audit tree.
    pub(crate) fn audit_keys_dir(&self) -> PathBuf {
        self.keys_dir().join("audit")
    }

    /// The master keys that wrap the keys of people. They are configured, or kept in the keys directory, where they
    /// are created if `may_create` is true.
    pub(crate) fn master_keys(&self, may_create: bool) -> anyhow::Result<MasterKeys> {
        self.auth.master_keys(&self.keys_dir(), may_create)
    }

    /// Lifetime of an access token.
    pub(crate) fn access_token_lifetime(&self) -> Duration {
        self.auth.access_token_lifetime()
    }

    /// The key that signs page cursors. It is configured, or kept in the keys directory, where the first start
    /// creates it.
    pub(crate) fn cursor_key(&self) -> anyhow::Result<[u8; 32]> {
        self.auth.cursor_key(&self.keys_dir())
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
    use std::collections::BTreeSet;

    use clap::{Args as _, Command, CommandFactory as _, Parser as _};

    use super::{Settings, variables};

    /// The ids of the arguments of `command` that are global or not, as `global` says.
    fn ids(command: &Command, global: bool) -> BTreeSet<String> {
        let arguments = command
            .get_arguments()
            .filter(|one| one.is_global_set() == global);
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

    /// Names of settings stand twice, where they are read and where they are shown.
    #[test]
    fn every_setting_is_shown_by_its_name() {
        let settings = crate::Cli::try_parse_from(["taskledger"]).unwrap().settings;
        let text = settings.show().unwrap();
        let shown: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .collect();
        let known = variables(&Settings::augment_args(Command::new("settings")));
        let in_a_file = |name: &str| {
            name.strip_suffix("_FILE")
                .is_some_and(|name| known.contains(name))
        };
        let known: BTreeSet<&str> = known
            .iter()
            .map(String::as_str)
            .filter(|name| !in_a_file(name))
            .collect();
        assert_eq!(shown, known);
    }

    #[test]
    fn no_command_has_an_argument_that_would_be_taken_for_a_setting() {
        let command = crate::Cli::command();
        let everywhere = ids(&command, true);
        assert!(everywhere.contains("data_dir"), "{everywhere:?}");
        compare(&command, &everywhere);
    }
}
