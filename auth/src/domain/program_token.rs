//! Decisions about the tokens that people make for their programs.

use events::{
    Account, MAX_PROGRAM_TOKENS, ProgramTokenCreated, ProgramTokenRevoked, ProgramTokenUsed, Timestamp,
    TokenId,
};

use super::{
    Refusal,
    account::{Decided, every_token_revoked, existing, usable},
};

/// For so long after a use is noted, further ones are not.
const NOTE_USE_AFTER_SECONDS: i64 = 24 * 60 * 60;

/// Makes a token. Those that have run out make room for it.
pub(crate) fn create(account: Option<&Account>, created: &ProgramTokenCreated, now: Timestamp) -> Decided {
    let tokens = &usable(account)?.program_tokens;
    let (live, ended): (Vec<_>, Vec<_>) = tokens.iter().partition(|token| token.is_live(now));
    if live.len() >= MAX_PROGRAM_TOKENS {
        return Err(Refusal::TooManyProgramTokens);
    }
    let removed = ended
        .into_iter()
        .map(|token| ProgramTokenRevoked { token: token.id }.into());
    Ok(removed.chain([created.clone().into()]).collect())
}

/// Takes a token back.
pub(crate) fn revoke(account: Option<&Account>, token: TokenId) -> Decided {
    let tokens = &usable(account)?.program_tokens;
    if !tokens.iter().any(|known| known.id == token) {
        return Err(Refusal::ProgramTokenIsUnknown);
    }
    Ok(vec![ProgramTokenRevoked { token }.into()])
}

/// Takes all tokens back.
pub(crate) fn revoke_all(account: Option<&Account>) -> Decided {
    Ok(every_token_revoked(existing(account)?).collect())
}

/// Notes that a token is in use, once a day at most.
pub(crate) fn note_use(account: Option<&Account>, token: TokenId, now: Timestamp) -> Decided {
    let tokens = &usable(account)?.program_tokens;
    let due = tokens
        .iter()
        .any(|known| known.id == token && is_use_to_be_noted(known, now));
    Ok(if due {
        vec![ProgramTokenUsed { token }.into()]
    } else {
        Vec::new()
    })
}

/// Whether a use of `token` at `now` is worth an event.
pub(crate) fn is_use_to_be_noted(token: &events::ProgramToken, now: Timestamp) -> bool {
    token
        .last_used_at
        .is_none_or(|last| last.plus_seconds(NOTE_USE_AFTER_SECONDS) <= now)
}

#[cfg(test)]
mod tests {
    use events::{AccountDisabled, AccountErased, AccountEvent, Scope};
    use uuid::Uuid;

    use super::{
        super::testing::{NOW, registered_and},
        *,
    };

    fn token(number: usize) -> TokenId {
        TokenId(Uuid::from_u128(number as u128))
    }

    fn created(number: usize, expires_at: Option<Timestamp>) -> ProgramTokenCreated {
        ProgramTokenCreated {
            token: token(number),
            name: "Backup".into(),
            scopes: [Scope::TasksRead].into(),
            token_hash: "hash".into(),
            expires_at,
            second_factor: false,
        }
    }

    #[test]
    fn an_account_has_so_many_tokens_at_most_and_those_that_ran_out_make_room() {
        let full: Vec<AccountEvent> = (0..MAX_PROGRAM_TOKENS)
            .map(|number| created(number, (number == 7).then(|| NOW.plus_seconds(60))).into())
            .collect();
        let account = registered_and(&full);
        let more = created(999, None);
        assert_eq!(
            create(account.as_ref(), &more, NOW),
            Err(Refusal::TooManyProgramTokens)
        );
        assert_eq!(
            create(account.as_ref(), &more, NOW.plus_seconds(60)),
            Ok(vec![ProgramTokenRevoked { token: token(7) }.into(), more.into()])
        );
    }

    #[test]
    fn a_token_is_taken_back_once() {
        let account = registered_and(&[created(1, None).into()]);
        let revoked: Vec<AccountEvent> = vec![ProgramTokenRevoked { token: token(1) }.into()];
        assert_eq!(revoke(account.as_ref(), token(1)), Ok(revoked.clone()));
        let after = registered_and(&[vec![created(1, None).into()], revoked].concat());
        assert_eq!(
            revoke(after.as_ref(), token(1)),
            Err(Refusal::ProgramTokenIsUnknown)
        );
    }

    #[test]
    fn all_are_taken_back_at_once() {
        let account = registered_and(&[created(1, None).into(), created(2, Some(NOW)).into()]);
        let revoked = [1, 2].map(|number| ProgramTokenRevoked { token: token(number) }.into());
        assert_eq!(revoke_all(account.as_ref()), Ok(revoked.to_vec()));
        for nothing_to_revoke in [registered_and(&[]), registered_and(&[AccountDisabled {}.into()])] {
            assert_eq!(revoke_all(nothing_to_revoke.as_ref()), Ok(vec![]));
        }
        let erased = registered_and(&[AccountErased {}.into()]);
        assert_eq!(revoke_all(erased.as_ref()), Err(Refusal::AccountIsUnknown));
    }

    #[test]
    fn a_use_is_noted_once_a_day() {
        let account = registered_and(&[created(1, None).into()]);
        let used: AccountEvent = ProgramTokenUsed { token: token(1) }.into();
        assert_eq!(note_use(account.as_ref(), token(1), NOW), Ok(vec![used.clone()]));
        assert_eq!(note_use(account.as_ref(), token(2), NOW), Ok(vec![]));
        let account = registered_and(&[created(1, None).into(), used.clone()]);
        let day = NOTE_USE_AFTER_SECONDS;
        assert_eq!(
            note_use(account.as_ref(), token(1), NOW.plus_seconds(day - 1)),
            Ok(vec![])
        );
        assert_eq!(
            note_use(account.as_ref(), token(1), NOW.plus_seconds(day)),
            Ok(vec![used])
        );
    }
}
