//! Checks a program token, by its name and by its account.

use std::time::Duration;

use auth_client::{Credential, Identity, Rejection, messages::Verdict};
use events::{Account, Actor, ProgramToken, Timestamp};

use crate::{
    app_state::App, command_metadata::CommandMetadata, domain, error::Failure, token::ProgramTokenName,
};

/// How long a check waits until a use is recorded.
const NOTE_TIMEOUT: Duration = Duration::from_millis(500);

/// Checks the token with this name and the hex SHA-256 `hash`.
pub(crate) async fn judge(app: &App, name: &str, hash: &str) -> Result<Verdict, Failure> {
    let Some(shown) = ProgramTokenName::parse(name, &app.pepper) else {
        return Ok(Verdict::Rejected(Rejection::Malformed));
    };
    let now = app.clock.now();
    let (account, admins) = match app.accounts.load_impersonal_with_admins(shown.account).await {
        Ok(loaded) => loaded,
        Err(failure) => return app.unless_erased(shown.account, failure).await,
    };
    let Some(account) = account.state.filter(Account::is_live) else {
        return Ok(Verdict::Rejected(Rejection::SessionEnded));
    };
    let mut tokens = account.program_tokens.iter();
    let Some(known) = tokens.find(|known| known.id == shown.id && *known.token_hash == *hash) else {
        return Ok(Verdict::Rejected(Rejection::SessionEnded));
    };
    if !known.is_live(now) {
        return Ok(Verdict::Rejected(Rejection::Expired));
    }
    if domain::program_token::is_use_to_be_noted(known, now) {
        note_use(app, &account, known, now).await;
    }
    Ok(Verdict::Accepted(Identity {
        user_id: account.id,
        credential: Credential::ProgramToken { id: known.id, scopes: known.scopes.clone() },
        email: account.email.clone(),
        roles: app.roles.of_program(&account, known, &admins),
        expires_at: known.expires_at.unwrap_or(Timestamp::MAX),
    }))
}

/// Records a use. If that fails, the program still works.
async fn note_use(app: &App, account: &Account, token: &ProgramToken, now: Timestamp) {
    let metadata = CommandMetadata::system().by(Actor::Program { user: account.id, token: token.id });
    let noted = app.accounts.change_impersonal(account.id, &metadata, |account| {
        domain::program_token::note_use(account, token.id, now)
    });
    match tokio::time::timeout(NOTE_TIMEOUT, noted).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, token.id = %token.id, "the use of a program token was not noted")
        }
        Err(_) => tracing::warn!(token.id = %token.id, "the use of a program token was not noted in time"),
    }
}
