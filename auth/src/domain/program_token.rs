//! Decisions about program tokens.

use events::{
    Account, MAX_PROGRAM_TOKENS, ProgramTokenCreated, ProgramTokenRevoked, ProgramTokenUsed, SessionId,
    Timestamp, TokenId,
};

use super::{
    Refusal,
    account::{Decided, every_token_revoked, existing, in_session, usable},
};

/// Further uses are not recorded for this long after one.
const NOTE_USE_AFTER_SECONDS: i64 = 24 * 60 * 60;

/// Creates a token in `session`. Expired ones make room for it. Refused once the session has ended: what ended it, such
/// as a reset of the password, has revoked the tokens that there were.
pub(crate) fn create(
    account: Option<&Account>,
    session: SessionId,
    created: &ProgramTokenCreated,
    now: Timestamp,
) -> Decided {
    let tokens = &in_session(account, session)?.program_tokens;
    let (live, ended): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| token.is_live(now));
    if live.len() >= MAX_PROGRAM_TOKENS {
        return Err(Refusal::TooManyProgramTokens);
    }
    let removed = ended.into_iter().map(|token| ProgramTokenRevoked { token: token.id }.into());
    Ok(removed.chain([created.clone().into()]).collect())
}

/// Revokes a token. An account does not remember what it has revoked, so one of those is unknown as well.
pub(crate) fn revoke(account: Option<&Account>, token: TokenId) -> Decided {
    let tokens = &usable(account)?.program_tokens;
    match tokens.iter().any(|known| known.id == token) {
        true => Ok(vec![ProgramTokenRevoked { token }.into()]),
        false => Err(Refusal::ProgramTokenIsUnknown),
    }
}

pub(crate) fn revoke_all(account: Option<&Account>) -> Decided {
    Ok(every_token_revoked(existing(account)?).collect())
}

/// Records that a token is used, at most once a day.
pub(crate) fn note_use(account: Option<&Account>, token: TokenId, now: Timestamp) -> Decided {
    let tokens = &usable(account)?.program_tokens;
    let due = tokens.iter().any(|known| known.id == token && is_use_to_be_noted(known, now));
    Ok(if due { vec![ProgramTokenUsed { token }.into()] } else { Vec::new() })
}

/// Whether a use of `token` at `now` must be recorded.
pub(crate) fn is_use_to_be_noted(token: &events::ProgramToken, now: Timestamp) -> bool {
    token.last_used_at.is_none_or(|last| last.plus_seconds(NOTE_USE_AFTER_SECONDS) <= now)
}

#[cfg(test)]
mod tests {
    use events::{
        AccountDisabled, AccountErased, AccountEvent, AccountSessionsEnded, EndReason, PasswordReset,
    };

    use super::{
        super::testing::{NOW, opened, program_token, registered, session, token_id},
        *,
    };

    fn revoked(number: usize) -> AccountEvent {
        let token = token_id(number);
        ProgramTokenRevoked { token }.into()
    }

    fn used() -> AccountEvent {
        let token = token_id(1);
        ProgramTokenUsed { token }.into()
    }

    fn created(number: usize, expires_at: Option<Timestamp>) -> ProgramTokenCreated {
        ProgramTokenCreated { expires_at, ..program_token(number) }
    }

    #[test]
    fn the_tokens_of_an_account_are_bounded_and_those_that_ran_out_make_room() {
        let tokens = (0..MAX_PROGRAM_TOKENS).map(|number| {
            let expires_at = (number == 7).then(|| NOW.plus_seconds(60));
            created(number, expires_at).into()
        });
        let full = registered([opened(1, &[])].into_iter().chain(tokens));
        let more = created(999, None);
        let create_at = |now| {
            let more = more.clone();
            move |account: Option<&Account>| create(account, session(1), &more, now)
        };
        full.when(create_at(NOW)).then_refused(Refusal::TooManyProgramTokens);
        full.when(create_at(NOW.plus_seconds(60))).then([revoked(7), more.clone().into()]);
    }

    #[test]
    fn a_session_that_has_ended_makes_no_token() {
        let made = created(1, None);
        let create_in = |number| {
            registered([opened(1, &[])]).when(|account| create(account, session(number), &made, NOW))
        };
        create_in(1).then([made.clone().into()]);
        create_in(2).then_refused(Refusal::SessionHasEnded(EndReason::LogoutAll));
        let reset = PasswordReset { password_hash: "hash-2".into(), removes_second_factor: false };
        let cases: [(AccountEvent, EndReason); 4] = [
            (reset.into(), EndReason::LogoutAll),
            (AccountSessionsEnded {}.into(), EndReason::LogoutAll),
            (AccountDisabled::default().into(), EndReason::LogoutAll),
            (AccountErased {}.into(), EndReason::Erased),
        ];
        for (end, reason) in cases {
            registered([opened(1, &[]), end])
                .when(|account| create(account, session(1), &made, NOW))
                .then_refused(Refusal::SessionHasEnded(reason));
        }
    }

    #[test]
    fn a_token_is_taken_back_once() {
        registered([created(1, None).into()]).when(|account| revoke(account, token_id(1))).then([revoked(1)]);
        registered([created(1, None).into(), revoked(1)])
            .when(|account| revoke(account, token_id(1)))
            .then_refused(Refusal::ProgramTokenIsUnknown);
    }

    #[test]
    fn all_are_taken_back_at_once() {
        registered([created(1, None).into(), created(2, Some(NOW)).into()])
            .when(revoke_all)
            .then([revoked(1), revoked(2)]);
        registered([]).when(revoke_all).then_nothing();
        registered([AccountDisabled::default().into()]).when(revoke_all).then_nothing();
        registered([AccountErased {}.into()]).when(revoke_all).then_refused(Refusal::AccountIsUnknown);
    }

    #[test]
    fn a_use_is_noted_once_a_day() {
        let unused = registered([created(1, None).into()]);
        unused.when(|account| note_use(account, token_id(1), NOW)).then([used()]);
        unused.when(|account| note_use(account, token_id(2), NOW)).then_nothing();
        let after = registered([created(1, None).into(), used()]);
        let day = NOTE_USE_AFTER_SECONDS;
        after.when(|account| note_use(account, token_id(1), NOW.plus_seconds(day - 1))).then_nothing();
        after.when(|account| note_use(account, token_id(1), NOW.plus_seconds(day))).then([used()]);
    }
}
