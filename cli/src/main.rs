//! The `taskledger` binary: every role, all of them in one process, and the operator's tools.
//!
//! This is the only place that knows all roles. `settings/` reads the configuration, `platform.rs` opens
//! what there is to stand on, `dependencies.rs` says which role needs what of it, `up.rs` and `role.rs` run them.

mod audit;
mod choice;
mod confirmation;
mod data_dir;
mod databases;
mod deleted_file;
mod dependencies;
mod events;
mod existing_database;
mod existing_log;
mod graceful_shutdown;
mod keys;
mod lost_log;
mod migrate;
mod operation;
#[cfg(feature = "otlp")]
mod otlp;
mod output;
mod parked;
mod platform;
mod progress;
mod projection;
mod restore;
mod role;
mod secrets;
mod serving;
mod settings;
mod sole_process;
mod tasks;
mod telemetry;
mod up;
mod users;
mod watched_log;

use std::{process::ExitCode, time::Duration};

use clap::{
    CommandFactory, FromArgMatches, Parser, Subcommand,
    error::{ContextKind, ContextValue, ErrorKind},
};
use output::complain;
use role::Role;
use settings::Settings;
use telemetry::Telemetry;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long the end of the process waits for blocking calls.
const FOR_BLOCKING_CALLS: Duration = Duration::from_secs(1);

/// Event-sourced task management: commands append events, queries read what is projected from them.
///
/// Without a command it runs the whole system in this process.
#[derive(Debug, Parser)]
#[command(name = "taskledger", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Subcommand)]
#[expect(clippy::enum_variant_names, reason = "`command-api` is the name of a role")]
enum Command {
    /// Run every role in this process (the default)
    Up,
    /// Run the gateway: routing, request ids, one /metrics
    Gateway,
    /// Run the command API and the relay from the log to the bus
    CommandApi,
    /// Run the query API
    QueryApi,
    /// Run accounts, sessions, tokens and token checks
    Auth,
    /// Run the projector from the log to the read models
    Projector,
    /// Bring every database schema up to date
    Migrate(migrate::Migrate),
    /// Print the effective configuration, secrets masked
    Config,
    /// Manage accounts
    #[command(subcommand)]
    Users(users::Command),
    /// Prove that nothing in the log was changed
    #[command(subcommand)]
    Audit(audit::Command),
    /// Look after the keys that sign access tokens, and those of people
    #[command(subcommand)]
    Keys(keys::Command),
    /// Look into the log, export or import it, drop what ended long ago
    #[command(subcommand)]
    Events(events::Command),
    /// Export or import a person's own tasks as JSON, CSV or iCalendar, over HTTP
    #[command(subcommand)]
    Tasks(tasks::Command),
    /// Deal with events that cannot be projected
    #[command(subcommand)]
    Parked(parked::Command),
    /// Check and repair derived data after the log was restored
    #[command(subcommand)]
    Restore(restore::Command),
    /// Look after the read models
    #[command(subcommand)]
    Projection(projection::Command),
}

impl Command {
    /// The name of the process in traces.
    fn process_name(&self) -> &'static str {
        match self {
            Self::Up => "taskledger",
            Self::Gateway => Role::Gateway.name(),
            Self::CommandApi => Role::CommandApi.name(),
            Self::QueryApi => Role::QueryApi.name(),
            Self::Auth => Role::Auth.name(),
            Self::Projector => Role::Projector.name(),
            _ => "operator",
        }
    }
}

fn main() -> ExitCode {
    // On a thread of its own, which gives back the memory for the description of the command line.
    let cli = match std::thread::spawn(parse).join() {
        Ok(Ok(cli)) => cli,
        Ok(Err(code)) => return code,
        Err(_) => return ExitCode::FAILURE,
    };
    match run(cli) {
        Ok(code) => output::exit_code(code),
        Err(error) => output::exit_code_of_broken_pipe(&error).unwrap_or_else(|| {
            complain(&runtime::with_causes(&*error));
            ExitCode::FAILURE
        }),
    }
}

fn command_line() -> clap::Command {
    settings::without_empty_variables(Cli::command()).mut_subcommands(|command| {
        // Commands with subcommands are the operator's tools.
        match command.has_subcommands() {
            true => command.defer(settings::hide_in_help),
            false => command,
        }
    })
}

/// Parses the command line. An error is reported in one sentence that names the variable or argument.
fn parse() -> Result<Cli, ExitCode> {
    let mut command = command_line();
    let parsed = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(mut cli) => match cli.settings.look_at_variables(&Cli::command()) {
            Ok(()) => Ok(cli),
            Err(error) => {
                complain(&error.to_string());
                Err(ExitCode::from(2))
            }
        },
        Err(mut error) if matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) => {
            settings::mask_refused_value(&mut error);
            let text = error.to_string();
            let mut sentence =
                text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
                && !values.is_empty()
            {
                sentence.push_str(&format!(": expected {}", values.join(" or ")));
            }
            let variable = command
                .get_arguments()
                .find(|argument| {
                    argument.get_long().is_some_and(|long| text.contains(&format!("'--{long} ")))
                })
                .and_then(|argument| argument.get_env())
                .filter(|variable| std::env::var_os(variable).is_some());
            match variable {
                Some(variable) => complain(&format!("{sentence} (set by {})", variable.to_string_lossy())),
                None => complain(&sentence),
            }
            Err(ExitCode::from(2))
        }
        Err(error) => {
            // Help and version are printed to the standard output and are not failures.
            let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            let _ = error.print();
            Err(code)
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = cli.settings;
    let command = cli.command.unwrap_or(Command::Up);
    platform::install_crypto_provider()?;
    let mut runtime = match command {
        // The gateway's connections have threads of their own.
        Command::Gateway => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let telemetry = Telemetry::start(&settings, command.process_name(), runtime.handle())?;
    let code = runtime.block_on(async {
        let code = carry_out(command, &settings).await;
        // Databases are closed after a failed command too, so that a SQLite file is complete without its WAL.
        databases::close_all().await;
        code
    });
    telemetry.end();
    // A call to a file system that does not answer would be waited for without an end.
    runtime.shutdown_timeout(FOR_BLOCKING_CALLS);
    code
}

async fn carry_out(command: Command, settings: &Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up => up::run(settings).await,
        Command::Gateway => role::run(settings, Role::Gateway).await,
        Command::CommandApi => role::run(settings, Role::CommandApi).await,
        Command::QueryApi => role::run(settings, Role::QueryApi).await,
        Command::Auth => role::run(settings, Role::Auth).await,
        Command::Projector => role::run(settings, Role::Projector).await,
        Command::Migrate(command) => return migrate::run(settings, &command).await,
        Command::Users(command) => return users::run(settings, command).await,
        Command::Keys(command) => return keys::run(settings, command).await,
        Command::Events(command) => return events::run(settings, command).await,
        Command::Tasks(command) => return tasks::run(settings, command).await,
        Command::Audit(command) => return audit::run(settings, command).await,
        Command::Parked(command) => return parked::run(settings, command).await,
        Command::Restore(command) => return restore::run(settings, command).await,
        Command::Projection(command) => return projection::run(settings, command).await,
        Command::Config => show(settings).await,
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Shows the settings, and fails if `up` would not start with them.
async fn show(settings: &Settings) -> anyhow::Result<()> {
    // What was given was valid a moment ago.
    output::text(&settings.show(&command_line().get_matches())?)?;
    check(settings).await
}

async fn check(settings: &Settings) -> anyhow::Result<()> {
    up::check(settings).await?;
    settings.tls.check().await
}
