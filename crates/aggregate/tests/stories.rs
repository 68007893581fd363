//! `given(..).when(..).then(..)` fails when it must.

use aggregate::testing::{Given, given};
use events::{AdminAdded, Admins, AdminsEvent, UserId};
use uuid::Uuid;

fn added(number: u128) -> AdminsEvent {
    AdminAdded { account: UserId(Uuid::from_u128(number)) }.into()
}

fn one_admin() -> Given<Admins> {
    given((), [added(1)])
}

fn add_if_alone(admins: Option<&Admins>) -> Result<Vec<AdminsEvent>, &'static str> {
    match admins.map_or(0, |admins| admins.accounts.len()) {
        0 => Ok(vec![]),
        1 => Ok(vec![added(2)]),
        _ => Err("too many"),
    }
}

#[test]
fn what_is_decided_is_compared() {
    given((), []).when(add_if_alone).then_nothing();
    one_admin().when(add_if_alone).then([added(2)]);
    given((), [added(1), added(2)]).when(add_if_alone).then_refused("too many");
}

#[test]
#[should_panic = "assertion"]
fn another_event_fails() {
    one_admin().when(add_if_alone).then([added(3)]);
}

#[test]
#[should_panic = "assertion"]
fn an_event_too_many_fails() {
    one_admin().when(add_if_alone).then_nothing();
}

#[test]
#[should_panic = "assertion"]
fn an_event_instead_of_a_refusal_fails() {
    one_admin().when(add_if_alone).then_refused("too many");
}
