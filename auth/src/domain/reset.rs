//! Decisions about resets of passwords.

use events::{Account, PasswordReset, PendingReset, ResetOffered, SecretHash, Timestamp};

use super::{
    Refusal,
    account::{Decided, every_token_revoked, existing, usable},
};

/// Offers a reset, replacing an earlier one.
pub(crate) fn offer(account: Option<&Account>, offered: &ResetOffered) -> Decided {
    existing(account)?;
    Ok(vec![offered.clone().into()])
}

/// The pending reset whose token has the hash `presented`, if it can be used at `now`.
pub(crate) fn pending<'a>(
    account: Option<&'a Account>,
    presented: &SecretHash,
    now: Timestamp,
) -> Result<(&'a Account, &'a PendingReset), Refusal> {
    let account = account.ok_or(Refusal::ResetIsUnknown)?;
    let reset = account
        .reset
        .as_ref()
        .filter(|reset| reset.reset_hash == *presented)
        .ok_or(Refusal::ResetIsUnknown)?;
    if reset.expires_at <= now {
        return Err(Refusal::ResetHasExpired);
    }
    Ok((usable(Some(account))?, reset))
}

/// Uses the reset: sets the new password, closes every session, and revokes every program token. The tokens may be a
/// stranger's, because the owner has not shown the old password.
pub(crate) fn complete(
    account: Option<&Account>,
    presented: &SecretHash,
    password_hash: &SecretHash,
    now: Timestamp,
) -> Decided {
    let (account, reset) = pending(account, presented, now)?;
    let done = PasswordReset {
        password_hash: password_hash.clone(),
        removes_second_factor: reset.removes_second_factor,
    };
    let done = std::iter::once(done.into());
    Ok(done.chain(every_token_revoked(account)).collect())
}

#[cfg(test)]
mod tests {
    use events::{
        AccountDisabled, AccountEnabled, AccountErased, AccountEvent, PasswordChanged, ProgramTokenRevoked,
    };

    use super::{
        super::testing::{NOW, program_token, registered},
        *,
    };

    fn offered(hash: &str) -> ResetOffered {
        ResetOffered {
            reset_hash: hash.into(),
            expires_at: NOW.plus_seconds(3_600),
            removes_second_factor: false,
            admin_reason: None,
        }
    }

    fn used(account: Option<&Account>, hash: &str, now: Timestamp) -> Decided {
        complete(account, &hash.into(), &"hash-2".into(), now)
    }

    fn reset() -> AccountEvent {
        PasswordReset { password_hash: "hash-2".into(), removes_second_factor: false }.into()
    }

    #[test]
    fn a_reset_is_used_once_within_its_hour_and_only_the_newest() {
        let account = registered([offered("a").into(), offered("b").into()]);
        let hour = NOW.plus_seconds(3_600);
        account.when(|account| used(account, "b", NOW)).then([reset()]);
        account.when(|account| used(account, "a", NOW)).then_refused(Refusal::ResetIsUnknown);
        account.when(|account| used(account, "b", hour)).then_refused(Refusal::ResetHasExpired);
        let after = registered([offered("b").into(), reset()]);
        after.when(|account| used(account, "b", NOW)).then_refused(Refusal::ResetIsUnknown);
        assert_eq!(after.state().unwrap().password_hash, "hash-2".into());
    }

    #[test]
    fn a_reset_takes_the_tokens_of_programs_back() {
        let created = program_token(1);
        let token = created.token;
        registered([created.into(), offered("a").into()])
            .when(|account| used(account, "a", NOW))
            .then([reset(), ProgramTokenRevoked { token }.into()]);
    }

    #[test]
    fn a_reset_that_was_offered_ends_as_the_account_is_disabled_or_its_password_changes() {
        let disabled = AccountEvent::from(AccountDisabled::default());
        let enabled = AccountEvent::from(AccountEnabled::default());
        let changed =
            AccountEvent::from(PasswordChanged { password_hash: "hash-3".into(), surviving_session: None });
        for since in [vec![disabled.clone()], vec![disabled, enabled], vec![changed]] {
            let before = std::iter::once(offered("a").into()).chain(since.clone());
            registered(before).when(|account| used(account, "a", NOW)).then_refused(Refusal::ResetIsUnknown);
            let after = since.into_iter().chain([offered("b").into()]);
            assert!(registered(after).state().unwrap().reset.is_some());
        }
    }

    #[test]
    fn a_disabled_account_stays_so_and_an_erased_one_is_not_there() {
        registered([AccountDisabled::default().into(), offered("a").into()])
            .when(|account| used(account, "a", NOW))
            .then_refused(Refusal::AccountIsDisabled);
        let erased = registered([offered("a").into(), AccountErased {}.into()]);
        erased.when(|account| used(account, "a", NOW)).then_refused(Refusal::ResetIsUnknown);
        erased.when(|account| offer(account, &offered("a"))).then_refused(Refusal::AccountIsUnknown);
    }
}
