//! Decisions about second factors. Which code somebody shows is found out elsewhere, and handed in.

use events::{
    Account, AccountEvent, SecondFactor, SecondFactorConfirmed, SecondFactorEnrolled, SecondFactorPassed,
    SecondFactorRefused, SecondFactorRemoved, SecretHash, SessionId, Timestamp, UsedCode,
};

use super::{
    Refusal,
    account::{Decided, opening, usable},
};

/// A code that was looked at: what happens for it, and whether it was right.
pub(crate) struct CheckedCode {
    pub(crate) events: Vec<AccountEvent>,
    pub(crate) is_right: bool,
}

/// Sets a second factor up, in place of one that was never confirmed. Refused when the password is no longer the one
/// that was verified.
pub(crate) fn enroll(
    account: Option<&Account>,
    verified: &SecretHash,
    enrolled: &SecondFactorEnrolled,
) -> Decided {
    let account = usable(account)?;
    if account.password_hash != *verified {
        return Err(Refusal::PasswordHasChanged);
    }
    if account.confirmed_second_factor().is_some() {
        return Err(Refusal::SecondFactorExists);
    }
    Ok(vec![enrolled.clone().into()])
}

/// Puts a second factor into force. `code` is the one that the person shows. Wrong ones are counted as those of a login are: whoever
/// has got hold of an access token must not guess a factor into force that locks the person out.
pub(crate) fn confirm(
    account: Option<&Account>,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let account = usable(account)?;
    let factor = account
        .second_factor
        .as_ref()
        .ok_or(Refusal::SecondFactorIsUnknown)?;
    if factor.is_confirmed() {
        return Err(Refusal::SecondFactorExists);
    }
    let wait_seconds = factor.wait_seconds(now);
    if wait_seconds > 0 {
        return Err(Refusal::TooManyWrongCodes { wait_seconds });
    }
    match code(account, factor) {
        Some(UsedCode::Totp(step)) => Ok(CheckedCode {
            events: vec![SecondFactorConfirmed { step }.into()],
            is_right: true,
        }),
        // A recovery code does not show that the app works.
        Some(UsedCode::Recovery(_)) | None => Ok(wrong()),
    }
}

/// Judges a code of a second factor that is in force. After many wrong ones the next has to wait, but for recovery codes,
/// which nobody can guess: whoever has the password cannot keep out the person who has the codes.
pub(crate) fn judge(
    account: &Account,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let factor = account
        .confirmed_second_factor()
        .ok_or(Refusal::SecondFactorIsUnknown)?;
    let code = code(account, factor);
    let wait = factor.wait_seconds(now);
    match code {
        Some(code @ UsedCode::Recovery(_)) => Ok(right(code)),
        _ if wait > 0 => Err(Refusal::TooManyWrongCodes { wait_seconds: wait }),
        Some(code) => Ok(right(code)),
        None => Ok(wrong()),
    }
}

/// Judges the code of a login whose password was right, and opens `session` for a right one. `is_good` says whether the login
/// may still go on.
pub(crate) fn go_on_with_login(
    account: Option<&Account>,
    session: SessionId,
    ended: &[SessionId],
    now: Timestamp,
    is_good: impl FnOnce(&Account, &SecondFactor) -> bool,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let account = usable(account)?;
    let factor = account.confirmed_second_factor().ok_or(Refusal::LoginIsOver)?;
    if !is_good(account, factor) || account.open_sessions.contains(&session) {
        return Err(Refusal::LoginIsOver);
    }
    let mut judged = judge(account, now, code)?;
    if judged.is_right {
        judged.events.push(opening(account, session, ended));
    }
    Ok(judged)
}

fn right(code: UsedCode) -> CheckedCode {
    CheckedCode {
        events: vec![SecondFactorPassed { code }.into()],
        is_right: true,
    }
}

fn wrong() -> CheckedCode {
    CheckedCode {
        events: vec![SecondFactorRefused {}.into()],
        is_right: false,
    }
}

/// Gives a second factor up, for a right code.
pub(crate) fn remove(
    account: Option<&Account>,
    verified: &SecretHash,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let mut judged = show(account, verified, now, code)?;
    if judged.is_right {
        judged.events.push(SecondFactorRemoved {}.into());
    }
    Ok(judged)
}

/// Judges the code of somebody who does what needs the second factor beside the password.
pub(crate) fn show(
    account: Option<&Account>,
    verified: &SecretHash,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let account = usable(account)?;
    if account.password_hash != *verified {
        return Err(Refusal::PasswordHasChanged);
    }
    judge(account, now, code)
}

#[cfg(test)]
mod tests;
