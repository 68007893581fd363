//! The claim on an address: the stream that makes addresses unique without a table to look them up in.

use events::{EmailClaimed, EmailEvent, UserId};

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

/// Claims the address for the account `id`, unless someone holds it. Returns the events and the holder.
///
/// A holder that is not `id` need not have an account: whoever claimed it may have crashed before
/// registering. Registering decides that, on the account's own stream.
pub(crate) fn claim(claim: Option<&Claim>, id: UserId) -> (Vec<EmailEvent>, UserId) {
    match claim.and_then(|claim| claim.holder) {
        Some(holder) => (Vec::new(), holder),
        None => (vec![EmailClaimed { account: id }.into()], id),
    }
}

#[cfg(test)]
mod tests {
    use events::EmailReleased;
    use uuid::Uuid;

    use super::*;

    fn given(events: &[EmailEvent]) -> Option<Claim> {
        events.last().map(Claim::evolve)
    }

    fn user(number: u128) -> UserId {
        UserId(Uuid::from_u128(number))
    }

    fn claimed(by: u128) -> EmailEvent {
        EmailClaimed { account: user(by) }.into()
    }

    #[test]
    fn a_free_address_is_claimed() {
        assert_eq!(claim(given(&[]).as_ref(), user(1)), (vec![claimed(1)], user(1)));
    }

    #[test]
    fn a_released_address_is_free() {
        let state = given(&[claimed(1), EmailReleased {}.into()]);
        assert_eq!(claim(state.as_ref(), user(2)), (vec![claimed(2)], user(2)));
    }

    #[test]
    fn a_held_address_stays_with_its_holder() {
        assert_eq!(claim(given(&[claimed(1)]).as_ref(), user(2)), (vec![], user(1)));
    }
}
