//! Every setting of every role, from flags and environment variables, and how it is shown. To add one, add a field to its group
//! under `settings/`, and a line to that group's `lines()`.

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
    /// Refuses variables that start like ours but mean nothing: most likely a misspelt setting.
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

    /// Where the signing keys and the email pepper are.
    pub(crate) fn keys_dir(&self) -> PathBuf {
        self.auth.keys_dir(&self.storage.data_dir)
    }

    /// Where the keys are that sign the audit tree.
    pub(crate) fn audit_keys_dir(&self) -> PathBuf {
        self.keys_dir().join("audit")
    }

    /// The keys that wrap the keys of people: as set, or kept in the keys directory and made there if `may_create`.
    pub(crate) fn master_keys(&self, may_create: bool) -> anyhow::Result<MasterKeys> {
        self.auth.master_keys(&self.keys_dir(), may_create)
    }

    /// How long an access token lives.
    pub(crate) fn access_token_lifetime(&self) -> Duration {
        self.auth.access_token_lifetime()
    }

    /// The key that signs page cursors: as set, or kept in the keys directory and made there at the first start.
    pub(crate) fn cursor_key(&self) -> anyhow::Result<[u8; 32]> {
        self.auth.cursor_key(&self.keys_dir())
    }
}

/// The variables that stand for arguments of `command` and of all commands below it.
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

    use clap::{Command, CommandFactory as _};

    /// The ids of what `command` itself takes, and of what it takes everywhere.
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

    #[test]
    fn no_command_has_an_argument_that_would_be_taken_for_a_setting() {
        let command = crate::Cli::command();
        let everywhere = ids(&command, true);
        assert!(everywhere.contains("data_dir"), "{everywhere:?}");
        compare(&command, &everywhere);
    }
}
