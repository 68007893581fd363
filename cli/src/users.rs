//! Managing accounts from the command line, for what nobody can be signed in to do: naming the first admin, and taking over
//! the accounts of the former system.

use std::{
    fs::File,
    io::{BufReader, IsTerminal as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use auth::{AccountHolder, Dependencies};
use clap::Subcommand;
use events::Role;

use crate::{platform, role, settings::Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give an account a role
    ///
    /// Shows whose account it is, and asks if there is somebody to ask.
    Grant {
        /// The account's address
        email: String,
        /// user, auditor or admin
        role: Role,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Make a token with which somebody who forgot their password sets a new one, within an hour
    Reset {
        /// The account's address
        email: String,
        /// Give up the second factor, too, for somebody who has lost it
        #[arg(long)]
        remove_second_factor: bool,
    },
    /// Take all tokens back from the programs of an account, at once and for good
    RevokeTokens {
        /// The account's address
        email: String,
    },
    /// Erase a person: their sessions, their tasks, and the address, which anybody can register again. Cannot be undone
    ///
    /// Shows whose account it is, and asks. What was broken off is finished when it is run again. Works, too, when the key of the
    /// person is damaged or lost.
    Erase {
        /// The account's address, or its id
        person: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Open accounts for the people of the former system
    ///
    /// Can be broken off and run again: addresses that have an account are left as they are.
    Import {
        /// CSV with the columns email, password_hash (bcrypt) and, if wanted, display_name
        file: PathBuf,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<ExitCode> {
    if !matches!(command, Command::Import { .. }) {
        // It is about an account that is there, so it creates no database.
        platform::existing_event_store(&settings.storage).await?;
    }
    let dependencies = platform::auth(settings, "users").await?;
    let done = match command {
        Command::Grant { email, role, yes } => grant(settings, &dependencies, &email, role, yes).await,
        Command::Reset {
            email,
            remove_second_factor,
        } => reset(settings, &dependencies, &email, remove_second_factor).await,
        Command::RevokeTokens { email } => revoke_tokens(settings, &dependencies, &email).await,
        Command::Erase { person, yes } => erase(settings, &dependencies, &person, yes).await,
        Command::Import { file, dry_run } => import(settings, &dependencies, &file, dry_run).await,
    };
    dependencies.bus.close().await;
    done
}

async fn grant(
    settings: &Settings,
    dependencies: &Dependencies,
    email: &str,
    role: Role,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let confirm = |holder: &AccountHolder| {
        show(holder);
        if yes || !std::io::stdin().is_terminal() {
            return Ok(());
        }
        ask(&format!("Give this account the role {role}?"))
    };
    let config = role::auth_config(settings);
    let granted = auth::grant_if(&config, dependencies, email, role, confirm).await?;
    let roles: Vec<_> = granted.roles.iter().map(ToString::to_string).collect();
    let news = if granted.changed {
        "has from now on"
    } else {
        "had already"
    };
    crate::print(&format!("{email} {news} the roles {}\n", roles.join(", ")));
    Ok(ExitCode::SUCCESS)
}

async fn erase(
    settings: &Settings,
    dependencies: &Dependencies,
    person: &str,
    yes: bool,
) -> anyhow::Result<ExitCode> {
    let confirm = |holder: &AccountHolder| {
        show(holder);
        if yes {
            return Ok(());
        }
        // Nobody can take it back, so a script has to say that it means it.
        if !std::io::stdin().is_terminal() {
            bail!("nothing was changed: there is nobody to ask, so say --yes")
        }
        ask("Erase this person and everything of theirs, for good?")
    };
    let config = role::auth_config(settings);
    let erased = auth::erase_if(&config, dependencies, person, confirm).await?;
    let news = if erased.changed {
        "was erased"
    } else {
        "had been erased; what still followed from it is done"
    };
    crate::print(&format!("account {} {news}\n", erased.user_id));
    Ok(ExitCode::SUCCESS)
}

/// Shows who it is.
fn show(holder: &AccountHolder) {
    let last_login = holder.last_login_at.map_or_else(
        || "never, or logged out everywhere since".to_owned(),
        |at| at.to_string(),
    );
    crate::print(&format!(
        "{email}: account {id}, registered {registered}, last login {last_login}\n",
        email = holder
            .email
            .as_deref()
            .unwrap_or("the key is damaged or lost, so the address cannot be read"),
        id = holder.user_id,
        registered = holder.registered_at,
    ));
}

/// Asks whoever sits there. Anything but a yes is a no.
fn ask(question: &str) -> anyhow::Result<()> {
    crate::print(&format!("{question} [y/N] "));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        bail!("nothing was changed")
    }
}

async fn reset(
    settings: &Settings,
    dependencies: &Dependencies,
    email: &str,
    remove_second_factor: bool,
) -> anyhow::Result<ExitCode> {
    let config = role::auth_config(settings);
    let reset = auth::reset(&config, dependencies, email, remove_second_factor).await?;
    let factor = if remove_second_factor {
        "It gives the second factor up, too."
    } else {
        "The second factor, if there is one, stays."
    };
    crate::print(&format!(
        "{}\nWhoever sends this as `reset_token` with a `new_password` to /auth/reset until {} sets the password of {email}, \
         once.\n{factor}\n",
        reset.token.as_str(),
        reset.expires_at
    ));
    Ok(ExitCode::SUCCESS)
}

async fn revoke_tokens(
    settings: &Settings,
    dependencies: &Dependencies,
    email: &str,
) -> anyhow::Result<ExitCode> {
    let config = role::auth_config(settings);
    auth::revoke_tokens(&config, dependencies, email).await?;
    crate::print(&format!("No program has a token of {email} any more.\n"));
    Ok(ExitCode::SUCCESS)
}

async fn import(
    settings: &Settings,
    dependencies: &Dependencies,
    path: &Path,
    dry_run: bool,
) -> anyhow::Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let config = role::auth_config(settings);
    let imported = auth::import(&config, dependencies, BufReader::new(file), dry_run).await?;
    for bad in &imported.bad {
        crate::complain(&format!("line {} {}", bad.line, bad.reason));
    }
    let opened = if dry_run {
        "accounts would be opened"
    } else {
        "accounts opened"
    };
    crate::print(&format!(
        "{} {opened}, {} there already, {} lines left out\n",
        imported.opened,
        imported.present,
        imported.bad.len()
    ));
    Ok(if imported.bad.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
