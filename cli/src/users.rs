//! Manages accounts from the command line where nobody is signed in: grants the first admin role, imports the
//! accounts of a former system, resets and erases.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use ::events::{CorrelationId, Role, UserId};
use anyhow::Context as _;
use auth::{AccountHolder, Operator};
use clap::{Args, Subcommand};
use event_store::EventStore;

use crate::{
    confirmation::Confirmation,
    dependencies::Dependencies,
    existing_log,
    operation::{Attribution, Conclusion},
    output, role,
    settings::Settings,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give an account a role
    ///
    /// Shows whose account it is, and asks for confirmation in a terminal.
    Grant {
        #[command(flatten)]
        account: Account,
        /// user, auditor or admin
        role: Role,
    },
    /// Make a token with which somebody who forgot their password sets a new one, within an hour
    ///
    /// Shows whose account it is on the standard error, and asks for confirmation in a terminal. Its output is the
    /// token alone.
    Reset {
        /// Also remove the second factor, for somebody who has lost it
        #[arg(long)]
        remove_second_factor: bool,
        #[command(flatten)]
        account: Account,
    },
    /// Revoke all program tokens of an account, at once and for good
    ///
    /// Shows whose account it is, and asks for confirmation in a terminal.
    RevokeTokens(Account),
    /// Erase a person: their sessions, their tasks, and the address, which anybody can register again. Cannot be undone
    ///
    /// Shows whose account it is, and asks. If it is interrupted, run it again to finish. Also works when the key of
    /// the person is damaged or lost.
    Erase {
        /// The account's address, or its id
        person: String,
        #[command(flatten)]
        confirmation: Confirmation,
        #[command(flatten)]
        attribution: Attribution,
    },
    /// Open accounts for the people of the former system
    ///
    /// Can be interrupted and run again: addresses that have an account are skipped.
    Import {
        /// CSV with the columns email, password_hash (bcrypt) and, if wanted, display_name
        file: PathBuf,
        /// Only print what would be done
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        attribution: Attribution,
    },
}

/// What every command about one account takes.
#[derive(Debug, Args)]
pub(crate) struct Account {
    /// The account's address
    email: String,
    #[command(flatten)]
    confirmation: Confirmation,
    #[command(flatten)]
    attribution: Attribution,
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    if !matches!(command, Command::Import { .. }) {
        // The command is about an existing account, so it creates no database.
        existing_log::event_store(settings).await?;
    }
    let dependencies = Dependencies::new(settings, "users").auth().await?;
    let users = Users {
        settings,
        operator: Operator::new(&role::auth_config(settings), &dependencies).await?,
        store: Arc::clone(&dependencies.store),
    };
    let done = match &command {
        Command::Grant { account, role } => users.grant(account, *role).await,
        Command::Reset { account, remove_second_factor } => users.reset(account, *remove_second_factor).await,
        Command::RevokeTokens(account) => users.revoke_tokens(account).await,
        Command::Erase { person, confirmation, attribution } => {
            users.erase(person, *confirmation, attribution).await
        }
        Command::Import { file, dry_run: true, .. } => {
            users.import(file, None).await.map(|done| done.exit_code())
        }
        Command::Import { file, attribution, .. } => {
            let import = async |operation| users.import(file, Some(operation)).await;
            attribution.record(settings, &*users.store, "users import", import).await
        }
    };
    dependencies.bus.close().await;
    done
}

struct Users<'a> {
    settings: &'a Settings,
    operator: Operator,
    store: Arc<dyn EventStore>,
}

impl Users<'_> {
    async fn grant(&self, account: &Account, role: Role) -> anyhow::Result<ExitCode> {
        let email = &account.email;
        let holder = self.operator.find(email).await?;
        output::say(&described(&holder));
        let question = format!("Give this account the role {role}?");
        account.confirmation.ask(&question).await?;
        let act = async |operation| {
            let granted = self.operator.grant(holder.user_id, role, operation).await?;
            let roles: Vec<_> = granted.roles.iter().map(ToString::to_string).collect();
            let news = if granted.changed { "has from now on" } else { "had already" };
            let result = format!("{news} the roles {}", roles.join(", "));
            output::say(&format!("{email} {result}"));
            Ok(Conclusion::succeeded().with_result(result))
        };
        let name = format!("users grant {role}");
        self.record(&account.attribution, &name, holder.user_id, act).await
    }

    async fn erase(
        &self,
        person: &str,
        confirmation: Confirmation,
        attribution: &Attribution,
    ) -> anyhow::Result<ExitCode> {
        let holder = self.operator.find_also_erased(person).await?;
        if !holder.is_erased {
            output::say(&described(&holder));
            let question = "Erase this person and everything of theirs, for good?";
            confirmation.require(question).await?;
        }
        let act = async |operation| {
            let erased = self.operator.erase(holder.user_id, operation).await?;
            let news = if erased.changed {
                "was erased"
            } else {
                "had been erased; what still followed from it is done"
            };
            output::say(&format!("account {} {news}", erased.user_id));
            if let Some(receipt) = erased.receipt {
                output::say(&format!("Its receipt, for whoever is given this: {receipt}"));
            }
            Ok(Conclusion::succeeded())
        };
        self.record(attribution, "users erase", holder.user_id, act).await
    }

    async fn reset(&self, account: &Account, remove_second_factor: bool) -> anyhow::Result<ExitCode> {
        let email = &account.email;
        let holder = self.operator.find(email).await?;
        // A script takes the token alone.
        crate::complain(&described(&holder));
        let question = "Make a token for this account, with which anybody can take it over?";
        account.confirmation.ask(question).await?;
        let (name, factor) = if remove_second_factor {
            ("users reset --remove-second-factor", "It gives the second factor up, too.")
        } else {
            ("users reset", "The second factor, if there is one, stays.")
        };
        let act = async |operation| {
            let reset = self.operator.reset(holder.user_id, remove_second_factor, operation).await?;
            output::say(reset.token.as_str());
            crate::complain(&format!(
                "whoever sends this as `reset_token` with a `new_password` to /auth/reset until {} sets the password of \
                 {email}, once. {factor}",
                reset.expires_at
            ));
            Ok(Conclusion::succeeded())
        };
        self.record(&account.attribution, name, holder.user_id, act).await
    }

    async fn revoke_tokens(&self, account: &Account) -> anyhow::Result<ExitCode> {
        let email = &account.email;
        let holder = self.operator.find(email).await?;
        output::say(&described(&holder));
        let question = "Revoke all program tokens of this account, for good?";
        account.confirmation.ask(question).await?;
        let act = async |operation| {
            let revoked = self.operator.revoke_tokens(holder.user_id, operation).await?;
            let result = format!("{} taken back", output::counted(revoked as u64, "token"));
            output::say(&format!("No program has a token of {email} any more: {result}."));
            Ok(Conclusion::succeeded().with_result(result))
        };
        self.record(&account.attribution, "users revoke-tokens", holder.user_id, act).await
    }

    /// Imports the accounts. Without `operation` it only prints what it would do.
    async fn import(&self, path: &Path, operation: Option<CorrelationId>) -> anyhow::Result<Conclusion> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let opened = if operation.is_none() { "accounts would be opened" } else { "accounts opened" };
        let imported = self.operator.import(BufReader::new(file), operation).await?;
        for bad in &imported.bad {
            crate::complain(&format!("line {} {}", bad.line, bad.reason));
        }
        let result = format!(
            "{} {opened}, {} there already, {} lines left out",
            imported.opened,
            imported.present,
            imported.bad.len()
        );
        output::say(&result);
        Ok(Conclusion::of(imported.bad.is_empty()).with_result(result))
    }

    async fn record(
        &self,
        attribution: &Attribution,
        command: &str,
        subject: UserId,
        act: impl AsyncFnOnce(CorrelationId) -> anyhow::Result<Conclusion>,
    ) -> anyhow::Result<ExitCode> {
        attribution.record_about(self.settings, &*self.store, command, subject, act).await
    }
}

/// A line about who the account belongs to.
fn described(holder: &AccountHolder) -> String {
    let last_login = holder.last_login_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
    let (known, without_address) = match holder.registered_at {
        Some(at) => (
            format!("registered {at}, last login {last_login}"),
            "the key is damaged or lost, so the address cannot be read",
        ),
        None => ("of which not every record can be read".to_owned(), "the address cannot be read"),
    };
    format!(
        "{email}: account {id}, {known}",
        email = holder.email.as_deref().unwrap_or(without_address),
        id = holder.user_id,
    )
}
