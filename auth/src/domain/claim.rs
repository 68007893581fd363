//! The claim on an address: a stream for each address, which makes addresses unique without a table.

use events::{EmailClaimed, EmailEvent, EmailReleased, UserId};

/// The state of one address after some version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The account that has it, if any.
    pub(crate) holder: Option<UserId>,
}

/// Claims the address for the account `id`, unless another has it. The holder may have no account, if the process
/// crashed before registering. The registration decides that on the account's own stream.
pub(crate) fn claim(claim: Option<&Claim>, id: UserId) -> Vec<EmailEvent> {
    match claim.and_then(|claim| claim.holder) {
        Some(_) => Vec::new(),
        None => vec![EmailClaimed { account: id }.into()],
    }
}

/// Releases the address of the person `erased`, if they still have it.
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
        history([claimed(1), EmailReleased {}.into()]).when(claim_by(2)).then([claimed(2)]);
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
        history([claimed(1), EmailReleased {}.into(), claimed(2)]).when(release_by(1)).then_nothing();
    }

    #[test]
    fn a_held_address_stays_with_its_holder() {
        let held = history([claimed(1)]);
        held.when(claim_by(2)).then_nothing();
        assert_eq!(held.state().unwrap().holder, Some(user(1)));
    }
}
