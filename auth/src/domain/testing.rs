//! Helpers for tests of several kinds of decisions.

use aggregate::testing::{Given, given_at};
use events::{
    Account, AccountEvent, AccountRegistered, AccountSessionOpened, ProgramTokenCreated, Scope, SessionId,
    Timestamp, TokenId, UserId,
};
use uuid::Uuid;

/// The time of everything in these tests.
pub(super) const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

/// The password's hash of a new account.
pub(super) const PASSWORD_HASH: &str = "hash-1";

pub(super) fn token_id(number: usize) -> TokenId {
    TokenId(Uuid::from_u128(number as u128))
}

/// Without an end.
pub(super) fn program_token(number: usize) -> ProgramTokenCreated {
    ProgramTokenCreated {
        token: token_id(number),
        name: "Backup".into(),
        scopes: [Scope::TasksRead].into(),
        token_hash: "hash".into(),
        expires_at: None,
        second_factor: false,
    }
}

pub(super) fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// A login that opened the session with this number, and closed the others.
pub(super) fn opened(number: u128, closed: &[u128]) -> AccountEvent {
    AccountSessionOpened { session: session(number), closed: closed.iter().copied().map(session).collect() }
        .into()
}

/// The registration of Ada, who is the user with the number 1.
pub(super) fn ada() -> AccountRegistered {
    AccountRegistered {
        email: "ada@example.com".into(),
        display_name: Some("Ada".into()),
        password_hash: PASSWORD_HASH.into(),
    }
}

/// The account of Ada with these `events` after her registration, all at [`NOW`].
pub(super) fn registered(events: impl IntoIterator<Item = AccountEvent>) -> Given<Account> {
    account([ada().into()].into_iter().chain(events))
}

/// Her account with these `events` only.
pub(super) fn account(events: impl IntoIterator<Item = AccountEvent>) -> Given<Account> {
    given_at(UserId(Uuid::from_u128(1)), NOW, events)
}
