//! The claim on an address: the stream that makes addresses unique without a table to look them up in.

use events::{EmailClaimed, EmailEvent, EmailReleased, UserId};

/// The state of one address after some version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Who holds it, if anyone does now.
    pub(crate) holder: Option<UserId>,
}

impl Claim {
    pub(crate) fn evolve(event: &EmailEvent) -> Self {
        Self {
            holder: event.holder(),
        }
    }
}

/// Claims the address for the account `id`, unless someone holds it. A holder that is not `id` need not have an account: whoever claimed it may have crashed before
/// registering. Registering decides that, on the account's own stream.
pub(crate) fn claim(claim: Option<&Claim>, id: UserId) -> Vec<EmailEvent> {
    match claim.and_then(|claim| claim.holder) {
        Some(_) => Vec::new(),
        None => vec![EmailClaimed { account: id }.into()],
    }
}

/// Gives the address of `erased`, a person who was erased, up, if they still hold it.
pub(crate) fn release(claim: Option<&Claim>, erased: UserId) -> Vec<EmailEvent> {
    match claim.and_then(|claim| claim.holder) {
        Some(holder) if holder == erased => vec![EmailReleased {}.into()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use aggregate::testing::{Given, given};
    use uuid::Uuid;

    use super::*;
    use crate::{domain::Refusal, keys::EmailKey};

    fn history(events: impl IntoIterator<Item = EmailEvent>) -> Given<Claim> {
        given(EmailKey("key".to_owned()), events)
    }

    fn claim_by(number: u128) -> impl FnOnce(Option<&Claim>) -> Result<Vec<EmailEvent>, Refusal> {
        move |state| Ok(claim(state, user(number)))
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn claimed(by: u128) -> EmailEvent {
        EmailClaimed { account: user(by) }.into()
    }

    #[test]
    fn a_free_address_is_claimed() {
        history([]).when(claim_by(1)).then([claimed(1)]);
    }

    #[test]
    fn a_released_address_is_free() {
        history([claimed(1), EmailReleased {}.into()])
            .when(claim_by(2))
            .then([claimed(2)]);
    }

    fn release_by(number: u128) -> impl FnOnce(Option<&Claim>) -> Result<Vec<EmailEvent>, Refusal> {
        move |state| Ok(release(state, user(number)))
    }

    #[test]
    fn only_its_holder_gives_an_address_up() {
        let held = history([claimed(1)]);
        held.when(release_by(1)).then([EmailReleased {}.into()]);
        held.when(release_by(2)).then_nothing();
        history([]).when(release_by(1)).then_nothing();
        history([claimed(1), EmailReleased {}.into(), claimed(2)])
            .when(release_by(1))
            .then_nothing();
    }

    #[test]
    fn a_held_address_stays_with_its_holder() {
        let held = history([claimed(1)]);
        held.when(claim_by(2)).then_nothing();
        assert_eq!(held.state().unwrap().holder, Some(user(1)));
    }
}
