//! Checks and counts a code with one append, and records the result in the security log.

use events::{Account, UserId};
use http_api::SecurityEvent;

use crate::{
    accounts::Changed,
    app_state::App,
    command_metadata::CommandMetadata,
    domain::{Refusal, second_factor::CheckedCode},
    error::{ApiError, CommandError},
};

impl App {
    /// Changes an account by a decision that checks a code: one append counts the code, right or wrong, and makes the
    /// change. So concurrent requests cannot use a code twice, and every wrong one counts. It works while the key of
    /// the account is unusable, because codes are not personal.
    ///
    /// # Errors
    /// Those of the decision, and [`Refusal::CodeIsWrong`].
    pub(crate) async fn change_with_code(
        &self,
        event: &'static str,
        id: UserId,
        metadata: &CommandMetadata,
        mut decide: impl FnMut(Option<&Account>) -> Result<CheckedCode, Refusal>,
    ) -> Result<Changed, ApiError> {
        let mut is_right = false;
        let changed = self
            .accounts
            .change_impersonal(id, metadata, |account| {
                let judged = decide(account)?;
                is_right = judged.is_right;
                Ok(judged.events)
            })
            .await;
        let failed = |reason| SecurityEvent::failure(event, reason).subject(id).record();
        match changed {
            Ok(changed) if is_right => Ok(changed),
            Ok(_) => {
                failed("bad_code");
                Err(Refusal::CodeIsWrong.into())
            }
            Err(error) => {
                if let CommandError::Refused(Refusal::TooManyWrongCodes { .. }) = &error {
                    failed("too_many_attempts");
                }
                Err(error.into())
            }
        }
    }
}
