use aggregate::testing::{Given, given};
use events::{AccountDisabled, AccountErased, AccountEvent, Aggregate as _, RolesChanged, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::{super::testing::registered, *};

fn user(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn admins(events: impl IntoIterator<Item = AdminsEvent>) -> Given<Admins> {
    given((), events)
}

fn add_user(number: u128) -> impl FnOnce(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal> {
    add_user_by(Actor::Operator, number)
}

fn add_user_by(
    actor: Actor,
    number: u128,
) -> impl FnOnce(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal> {
    move |admins| add(admins, user(number), actor)
}

fn remove_user(number: u128) -> impl FnOnce(Option<&Admins>) -> Result<Vec<AdminsEvent>, Refusal> {
    move |admins| remove(admins, user(number))
}

/// The admins after `before`, a record that cannot be read, and `after`.
fn damaged(
    before: impl IntoIterator<Item = AdminsEvent>,
    after: impl IntoIterator<Item = AdminsEvent>,
) -> Admins {
    let known = admins(before).state().cloned().unwrap_or_default().after_unreadable();
    after.into_iter().fold(known, |admins, event| {
        let at = Timestamp::from_micros(0);
        Admins::evolve(Some(admins), &(), &event, 1, at).unwrap_or_default()
    })
}

fn added(number: u128) -> AdminsEvent {
    AdminAdded { account: user(number) }.into()
}

fn removed(number: u128) -> AdminsEvent {
    AdminRemoved { account: user(number) }.into()
}

#[test]
fn an_admin_is_added_once() {
    admins([]).when(add_user(1)).then([added(1)]);
    admins([added(1)]).when(add_user(1)).then_nothing();
    admins([added(1), added(2), removed(1)]).when(add_user(1)).then([added(1)]);
}

#[test]
fn only_an_admin_or_an_operator_adds_one() {
    admins([added(1)]).when(add_user_by(Actor::User(user(1)), 2)).then([added(2)]);
    for who in [1, 2] {
        admins([added(1), added(3), removed(1)])
            .when(add_user_by(Actor::User(user(who)), 2))
            .then_refused(Refusal::ActorIsNoAdmin);
    }
}

#[test]
fn the_admins_follow_the_accounts_own_stream() {
    let admin = account(&[roles(&[Role::Admin])]);
    let disabled = account(&[roles(&[Role::Admin]), AccountDisabled::default().into()]);
    let erased = account(&[roles(&[Role::Admin]), AccountErased {}.into()]);
    let by = |account: &Account, gives| {
        let account = account.clone();
        move |admins: Option<&Admins>| follow(admins, &account, gives, Actor::Operator)
    };
    admins([added(2)]).when(by(&admin, true)).then([added(1)]);
    admins([added(2)]).when(by(&admin, false)).then_nothing();
    for gives in [false, true] {
        for no_admin in [&account(&[]), &disabled] {
            admins([added(2)]).when(by(no_admin, gives)).then_nothing();
            admins([added(1), added(2)]).when(by(no_admin, gives)).then([removed(1)]);
        }
        admins([added(1)]).when(by(&erased, gives)).then([removed(1)]);
    }
}

#[test]
fn the_last_admin_stays() {
    admins([added(1), added(2)]).when(remove_user(1)).then([removed(1)]);
    admins([added(1), added(2), removed(1)])
        .when(remove_user(2))
        .then_refused(Refusal::AccountIsLastAdmin(user(2)));
}

#[test]
fn whoever_is_no_admin_can_be_removed_for_nothing() {
    admins([]).when(remove_user(1)).then_nothing();
    admins([added(2)]).when(remove_user(1)).then_nothing();
}

#[test]
fn the_roles_that_ask_for_a_second_factor_are_changed_once() {
    let set = |roles: &[Role]| {
        let roles: BTreeSet<Role> = roles.iter().copied().collect();
        move |admins: Option<&Admins>| Ok::<_, Refusal>(set_second_factor_roles(admins, &roles))
    };
    let changed = |roles: &[Role]| {
        let roles = roles.iter().copied().collect();
        AdminsEvent::from(SecondFactorRolesChanged { roles })
    };
    let both = [Role::Auditor, Role::Admin];
    admins([added(1)]).when(set(&both)).then([changed(&both)]);
    admins([added(1), changed(&both)]).when(set(&both)).then_nothing();
    admins([added(1), changed(&both)]).when(set(&[])).then([changed(&[])]);
    admins([]).when(set(&[])).then_nothing();
}

/// Ada's account after these events.
fn account(events: &[AccountEvent]) -> Account {
    let account = registered(events.iter().cloned());
    account.state().unwrap().clone()
}

fn roles(roles: &[Role]) -> AccountEvent {
    RolesChanged { roles: roles.iter().copied().collect(), ..RolesChanged::default() }.into()
}

#[test]
fn nobody_keeps_a_right_that_a_record_may_have_taken_which_cannot_be_read() {
    let user_too = SecondFactorRolesChanged { roles: BTreeSet::from([Role::User]) };
    let left = damaged([added(1), user_too.into()], []);
    let claimed = account(&[roles(&[Role::User, Role::Admin])]);
    assert_eq!(effective(claimed, Some(&left)).roles, BTreeSet::from([Role::User]));
    let every_role = BTreeSet::from([Role::User, Role::Auditor, Role::Admin]);
    assert_eq!(left.second_factor_roles, every_role);
    let without = damaged([added(1)], []).second_factor_roles;
    assert_eq!(without, BTreeSet::from([Role::Auditor, Role::Admin]));
}

#[test]
fn what_is_decided_after_a_record_that_cannot_be_read_holds_also_once_it_can_be() {
    let admin = account(&[roles(&[Role::Admin])]);
    let disabled = account(&[roles(&[Role::Admin]), AccountDisabled::default().into()]);
    let left = damaged([added(1)], []);
    for in_doubt in [&admin, &disabled] {
        assert_eq!(revoke(Some(&left), in_doubt), Ok(vec![removed(1)]));
    }
    assert_eq!(follow(Some(&left), &disabled, false, Actor::Operator), Ok(vec![removed(1)]));
    assert_eq!(follow(Some(&left), &admin, false, Actor::Operator), Ok(Vec::new()));
    assert_eq!(revoke(Some(&left), &account(&[])), Ok(Vec::new()));
    // Whoever only tries to leave is not named again for it.
    assert_eq!(remove(Some(&left), user(1)), Ok(Vec::new()));
    let revoked = damaged([added(1)], [removed(1)]);
    assert_eq!(revoke(Some(&revoked), &disabled), Ok(Vec::new()));

    let set = |admins: &Admins| set_second_factor_roles(Some(admins), &left.second_factor_roles);
    let changed = set(&left);
    assert_eq!(changed.len(), 1, "the record may say other roles");
    assert!(set(&damaged([], changed)).is_empty());
}

#[test]
fn the_admins_are_to_be_named_until_there_is_one_and_the_roles_are_set() {
    let roles_set = AdminsEvent::from(SecondFactorRolesChanged { roles: BTreeSet::new() });
    let later = [
        (vec![], true),
        (vec![added(1)], true),
        (vec![roles_set.clone()], true),
        (vec![added(1), roles_set.clone()], false),
        (vec![added(1), roles_set, removed(1)], true),
    ];
    for (events, expected) in later {
        let admins = damaged([added(1), added(2)], events.clone());
        assert_eq!(admins.are_to_be_named_again(), expected, "{events:?}");
    }
    assert!(!Admins::default().are_to_be_named_again());
}

#[test]
fn the_admins_stream_outweighs_the_accounts_own() {
    let claimed = account(&[roles(&[Role::User, Role::Admin])]);
    assert!(!effective(claimed.clone(), admins([added(2)]).state()).roles.contains(&Role::Admin));
    assert!(effective(claimed, admins([added(1)]).state()).roles.contains(&Role::Admin));
    let disabled = account(&[AccountDisabled::default().into()]);
    assert!(effective(disabled.clone(), admins([added(1)]).state()).is_live());
    assert!(!effective(disabled, admins([added(2)]).state()).is_live());
}

proptest! {
    /// Whatever is decided in whatever order, once there is an admin there always is one.
    #[test]
    fn somebody_is_always_left(steps in prop::collection::vec((any::<bool>(), 0_u128..4), 0..60)) {
        let mut log = vec![added(0)];
        for (adds, number) in steps {
            let before = admins(log.clone());
            let events = if adds { add_user(number)(before.state()) } else { remove_user(number)(before.state()) };
            log.extend(events.unwrap_or_default());
            prop_assert!(!admins(log.clone()).state().unwrap().accounts.is_empty());
        }
    }
}
