//! Offers a reset of a password, for an admin or from the command line.

use events::{AdminReason, ResetOffered, Timestamp, UserId};
use zeroize::Zeroizing;

use crate::{
    accounts::Changed, app_state::App, command_metadata::CommandMetadata, domain, error::CommandError,
    token::ResetToken,
};

/// How long a reset can be used.
const TTL_SECONDS: i64 = 60 * 60;

#[derive(Debug)]
pub struct Reset {
    /// The token that the person sends to `/auth/reset`. It is shown only once.
    pub token: Zeroizing<String>,
    pub expires_at: Timestamp,
}

/// Offers a reset of the password of the account `id`.
pub(crate) async fn offer(
    app: &App,
    id: UserId,
    metadata: &CommandMetadata,
    removes_second_factor: bool,
    admin_reason: Option<AdminReason>,
) -> Result<(Reset, Changed), CommandError> {
    let token = ResetToken::generate(id, &app.pepper);
    let offered = ResetOffered {
        reset_hash: token.text.hash(),
        expires_at: app.clock.now().plus_seconds(TTL_SECONDS),
        removes_second_factor,
        admin_reason,
    };
    let changed =
        app.accounts.change(id, metadata, |account| domain::reset::offer(account, &offered)).await?;
    tracing::info!(account.id = %id, "a reset of the password was offered");
    let reset =
        Reset { token: Zeroizing::new(token.text.as_str().to_owned()), expires_at: offered.expires_at };
    Ok((reset, changed))
}
