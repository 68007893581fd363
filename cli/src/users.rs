//! Managing accounts from the command line, for what nobody can be signed in to do: naming the first admin.

use clap::Subcommand;
use events::Role;

use crate::{platform, role, settings::Settings};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Give an account a role
    Grant {
        /// The account's address
        email: String,
        /// user, auditor or admin
        role: Role,
    },
}

pub(crate) async fn run(settings: &Settings, command: Command) -> anyhow::Result<()> {
    let Command::Grant { email, role } = command;
    let dependencies = platform::auth(&settings.storage, "users").await?;
    let granted = auth::grant(&role::auth_config(settings), &dependencies, &email, role).await;
    dependencies.bus.close().await;
    let granted = granted?;
    let roles: Vec<_> = granted.roles.iter().map(ToString::to_string).collect();
    let news = if granted.changed {
        "has from now on"
    } else {
        "had already"
    };
    crate::print(&format!("{email} {news} the roles {}\n", roles.join(", ")));
    Ok(())
}
