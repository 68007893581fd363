//! Decisions about second factors. The caller finds out which code was shown.

use events::{
    Account, AccountEvent, SecondFactor, SecondFactorConfirmed, SecondFactorEnrolled, SecondFactorPassed,
    SecondFactorRefused, SecondFactorRemoved, SecretHash, SessionId, Timestamp, UsedCode,
};

use super::{
    Refusal,
    account::{Decided, erase_own, opening, usable, with_password},
};

/// The result of checking a code: the events, and whether it was right.
pub(crate) struct CheckedCode {
    pub(crate) events: Vec<AccountEvent>,
    pub(crate) is_right: bool,
}

/// Sets up a second factor, replacing one that was never confirmed. Refused when the password is no longer the
/// verified one.
pub(crate) fn enroll(
    account: Option<&Account>,
    verified: &SecretHash,
    enrolled: &SecondFactorEnrolled,
) -> Decided {
    if with_password(account, verified)?.confirmed_second_factor().is_some() {
        return Err(Refusal::SecondFactorExists);
    }
    Ok(vec![enrolled.clone().into()])
}

/// Confirms a second factor with the shown `code`. Wrong codes count as in a login, so that the holder of a stolen
/// access token cannot guess a code and lock the person out.
pub(crate) fn confirm(
    account: Option<&Account>,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let account = usable(account)?;
    let factor = account.second_factor.as_ref().ok_or(Refusal::SecondFactorIsUnknown)?;
    if factor.is_confirmed() {
        return Err(Refusal::SecondFactorExists);
    }
    let wait_seconds = factor.wait_seconds(now);
    if wait_seconds > 0 {
        return Err(Refusal::TooManyWrongCodes { wait_seconds });
    }
    match code(account, factor) {
        Some(UsedCode::Totp(step)) => {
            Ok(CheckedCode { events: vec![SecondFactorConfirmed { step }.into()], is_right: true })
        }
        // A recovery code does not prove that the app works.
        Some(UsedCode::Recovery(_)) | None => Ok(wrong()),
    }
}

/// Checks a code of a confirmed second factor. After many wrong codes the next one of the app must wait. Recovery
/// codes need not, because nobody can guess them: so someone with the password cannot lock out the person with the
/// codes.
pub(crate) fn judge(
    account: &Account,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let factor = account.confirmed_second_factor().ok_or(Refusal::SecondFactorIsUnknown)?;
    let code = code(account, factor);
    let wait = factor.wait_seconds(now);
    match code {
        Some(code @ UsedCode::Recovery(_)) => Ok(right(code)),
        _ if wait > 0 => Err(Refusal::TooManyWrongCodes { wait_seconds: wait }),
        Some(code) => Ok(right(code)),
        None => Ok(wrong()),
    }
}

/// The account and the second factor of a login whose password was right. `is_good` says whether the login may still
/// continue.
pub(crate) fn of_login(
    account: Option<&Account>,
    is_good: impl FnOnce(&Account, &SecondFactor) -> bool,
) -> Result<(&Account, &SecondFactor), Refusal> {
    let account = usable(account)?;
    let factor = account.confirmed_second_factor();
    let factor = factor.filter(|factor| is_good(account, factor));
    Ok((account, factor.ok_or(Refusal::LoginIsOver)?))
}

/// Checks the code of a login whose password was right, and opens `session` if the code is right. `is_good` says
/// whether the login may still continue. Once the session is open, the code was shown: nobody but this login knows the
/// id of the session.
pub(crate) fn go_on_with_login(
    account: Option<&Account>,
    session: SessionId,
    ended: &[SessionId],
    now: Timestamp,
    is_good: impl FnOnce(&Account, &SecondFactor) -> bool,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let (account, _) = of_login(account, is_good)?;
    if account.open_sessions.contains(&session) {
        return Ok(CheckedCode { events: Vec::new(), is_right: true });
    }
    let mut judged = judge(account, now, code)?;
    if judged.is_right {
        judged.events.push(opening(account, session, ended));
    }
    Ok(judged)
}

fn right(code: UsedCode) -> CheckedCode {
    CheckedCode { events: vec![SecondFactorPassed { code }.into()], is_right: true }
}

fn wrong() -> CheckedCode {
    CheckedCode { events: vec![SecondFactorRefused {}.into()], is_right: false }
}

/// Removes a second factor, with a right code.
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

/// Checks the code of an erasure before that begins, because a wrong code counts whatever comes of the erasure. A right
/// one is used up by [`erase`] alone.
pub(crate) fn check_before_erasure(
    account: Option<&Account>,
    verified: &SecretHash,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    let mut judged = show(account, verified, now, code)?;
    if judged.is_right {
        judged.events.clear();
    }
    Ok(judged)
}

/// Erases the person of an account, who showed the password of the hash `verified`, and a code if there is a second
/// factor.
pub(crate) fn erase(
    account: Option<&Account>,
    verified: &SecretHash,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Decided {
    let erased = erase_own(account, verified)?;
    match account.filter(|account| account.confirmed_second_factor().is_some()) {
        None => Ok(erased),
        Some(account) => match judge(account, now, code)? {
            CheckedCode { events, is_right: true } => Ok(events.into_iter().chain(erased).collect()),
            _ => Err(Refusal::CodeIsWrong),
        },
    }
}

/// Checks the code of a request that needs the second factor besides the password.
fn show(
    account: Option<&Account>,
    verified: &SecretHash,
    now: Timestamp,
    code: impl FnOnce(&Account, &SecondFactor) -> Option<UsedCode>,
) -> Result<CheckedCode, Refusal> {
    judge(with_password(account, verified)?, now, code)
}

#[cfg(test)]
mod tests;
