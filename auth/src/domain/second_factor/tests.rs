//! Tests of decisions about second factors.

use events::{AccountDisabled, AccountErased, FREE_WRONG_CODES};

use super::{
    super::testing::{NOW, PASSWORD_HASH, opened, registered, session},
    *,
};

type Decision = Box<dyn FnOnce(Option<&Account>) -> Decided>;

fn enrolled() -> SecondFactorEnrolled {
    SecondFactorEnrolled { totp_secret: "sealed".into(), recovery_hashes: vec!["a".into(), "b".into()] }
}

/// The history of a confirmed factor.
fn confirmed() -> Vec<AccountEvent> {
    vec![enrolled().into(), confirmed_by(7)]
}

fn confirmed_by(step: u64) -> AccountEvent {
    SecondFactorConfirmed { step }.into()
}

fn passed(code: UsedCode) -> AccountEvent {
    SecondFactorPassed { code }.into()
}

fn refused() -> AccountEvent {
    SecondFactorRefused {}.into()
}

fn removed() -> AccountEvent {
    SecondFactorRemoved {}.into()
}

/// `history`, followed by as many wrong codes as are allowed without a delay.
fn with_too_many_wrong_codes(history: impl IntoIterator<Item = AccountEvent>) -> Vec<AccountEvent> {
    let wrong = (0..FREE_WRONG_CODES).map(|_| refused());
    history.into_iter().chain(wrong).collect()
}

/// The events of a checked code, which must be right unless it is refused.
fn events(judged: Result<CheckedCode, Refusal>) -> Decided {
    let judged = judged?;
    assert_eq!(judged.is_right, !judged.events.contains(&refused()));
    Ok(judged.events)
}

fn enroll_with(password_hash: &'static str) -> Decision {
    Box::new(move |account| enroll(account, &password_hash.into(), &enrolled()))
}

fn confirm_at(now: Timestamp, code: Option<UsedCode>) -> Decision {
    Box::new(move |account| events(confirm(account, now, |_, _| code)))
}

fn judge_at(now: Timestamp, code: Option<UsedCode>) -> Decision {
    Box::new(move |account| events(judge(account.unwrap(), now, |_, _| code)))
}

fn remove_with(password_hash: &'static str, code: Option<UsedCode>) -> Decision {
    Box::new(move |account| events(remove(account, &password_hash.into(), NOW, |_, _| code)))
}

fn check_before_erasure_with(password_hash: &'static str, code: Option<UsedCode>) -> Decision {
    Box::new(move |account| {
        let hash = password_hash.into();
        events(check_before_erasure(account, &hash, NOW, |_, _| code))
    })
}

fn erase_with(password_hash: &'static str, code: Option<UsedCode>) -> Decision {
    Box::new(move |account| erase(account, &password_hash.into(), NOW, |_, _| code))
}

/// Continues a login that is still valid, in session 1; the sessions in `ended` have ended.
fn go_on(ended: &'static [u128], code: Option<UsedCode>) -> Decision {
    Box::new(move |account| {
        let ended: Vec<_> = ended.iter().copied().map(session).collect();
        events(go_on_with_login(account, session(1), &ended, NOW, |_, _| true, |_, _| code))
    })
}

#[test]
fn a_factor_is_set_up_by_whoever_knows_the_password() {
    registered([]).when(enroll_with(PASSWORD_HASH)).then([enrolled().into()]);
    registered([]).when(enroll_with("other")).then_refused(Refusal::PasswordHasChanged);
}

#[test]
fn only_a_factor_that_was_never_confirmed_is_replaced() {
    registered([enrolled().into()]).when(enroll_with(PASSWORD_HASH)).then([enrolled().into()]);
    registered(confirmed()).when(enroll_with(PASSWORD_HASH)).then_refused(Refusal::SecondFactorExists);
}

#[test]
fn a_factor_counts_once_a_code_of_the_app_has_confirmed_it() {
    let pending = registered([enrolled().into()]);
    pending.when(judge_at(NOW, Some(UsedCode::Totp(7)))).then_refused(Refusal::SecondFactorIsUnknown);
    pending.when(confirm_at(NOW, Some(UsedCode::Totp(7)))).then([confirmed_by(7)]);
    for code in [None, Some(UsedCode::Recovery(0))] {
        pending.when(confirm_at(NOW, code)).then([refused()]);
    }
}

#[test]
fn only_a_factor_that_waits_for_it_is_confirmed() {
    registered([]).when(confirm_at(NOW, None)).then_refused(Refusal::SecondFactorIsUnknown);
    registered(confirmed())
        .when(confirm_at(NOW, Some(UsedCode::Totp(8))))
        .then_refused(Refusal::SecondFactorExists);
}

#[test]
fn nobody_guesses_a_factor_into_force() {
    let guessed = registered(with_too_many_wrong_codes([enrolled().into()]));
    guessed
        .when(confirm_at(NOW, Some(UsedCode::Totp(7))))
        .then_refused(Refusal::TooManyWrongCodes { wait_seconds: 30 });
    guessed.when(confirm_at(NOW.plus_seconds(30), Some(UsedCode::Totp(7)))).then([confirmed_by(7)]);
}

#[test]
fn a_right_code_passes_and_a_wrong_one_is_counted() {
    let account = registered(confirmed());
    for code in [UsedCode::Totp(8), UsedCode::Recovery(1)] {
        account.when(judge_at(NOW, Some(code))).then([passed(code)]);
    }
    account.when(judge_at(NOW, None)).then([refused()]);
}

#[test]
fn after_many_wrong_codes_those_of_the_app_have_to_wait_but_recovery_codes_pass() {
    let guessed = registered(with_too_many_wrong_codes(confirmed()));
    let (app, recovery) = (UsedCode::Totp(8), UsedCode::Recovery(0));
    for code in [None, Some(app)] {
        guessed.when(judge_at(NOW, code)).then_refused(Refusal::TooManyWrongCodes { wait_seconds: 30 });
    }
    guessed.when(judge_at(NOW, Some(recovery))).then([passed(recovery)]);
    guessed.when(judge_at(NOW.plus_seconds(30), Some(app))).then([passed(app)]);
}

#[test]
fn a_right_code_ends_the_count_of_wrong_ones() {
    let history = with_too_many_wrong_codes(confirmed());
    let history = history.into_iter().chain([passed(UsedCode::Recovery(0))]);
    registered(history).when(judge_at(NOW, Some(UsedCode::Totp(8)))).then([passed(UsedCode::Totp(8))]);
}

#[test]
fn a_login_goes_on_with_a_right_code_only() {
    let account = registered(confirmed());
    let code = UsedCode::Totp(8);
    account.when(go_on(&[], Some(code))).then([passed(code), opened(1, &[])]);
    account.when(go_on(&[], None)).then([refused()]);
}

#[test]
fn sessions_that_have_ended_make_room_for_that_of_a_login() {
    let code = UsedCode::Totp(8);
    registered(confirmed().into_iter().chain([opened(2, &[]), opened(3, &[])]))
        .when(go_on(&[2], Some(code)))
        .then([passed(code), opened(1, &[2])]);
}

#[test]
fn a_login_that_has_opened_its_session_needs_no_other_code() {
    for code in [None, Some(UsedCode::Totp(8))] {
        registered(confirmed().into_iter().chain([opened(1, &[])])).when(go_on(&[], code)).then_nothing();
    }
}

#[test]
fn a_login_that_is_over_does_not_go_on() {
    let code = Some(UsedCode::Totp(8));
    // The factor was removed, or never confirmed.
    let histories: [Vec<AccountEvent>; 2] =
        [confirmed().into_iter().chain([removed()]).collect(), vec![enrolled().into()]];
    for history in histories {
        registered(history).when(go_on(&[], code)).then_refused(Refusal::LoginIsOver);
    }
    registered(confirmed())
        .when(|account| events(go_on_with_login(account, session(1), &[], NOW, |_, _| false, |_, _| code)))
        .then_refused(Refusal::LoginIsOver);
}

#[test]
fn a_factor_is_given_up_for_a_right_code_only() {
    let account = registered(confirmed());
    let code = UsedCode::Recovery(1);
    account.when(remove_with(PASSWORD_HASH, Some(code))).then([passed(code), removed()]);
    account.when(remove_with(PASSWORD_HASH, None)).then([refused()]);
    account.when(remove_with("other", Some(code))).then_refused(Refusal::PasswordHasChanged);
}

#[test]
fn an_erasure_uses_its_code_up_and_a_wrong_one_is_counted_before() {
    let account = registered(confirmed());
    let code = UsedCode::Recovery(1);
    account.when(check_before_erasure_with(PASSWORD_HASH, Some(code))).then_nothing();
    account.when(check_before_erasure_with(PASSWORD_HASH, None)).then([refused()]);
    account.when(erase_with(PASSWORD_HASH, Some(code))).then([passed(code), AccountErased {}.into()]);
    account.when(erase_with(PASSWORD_HASH, None)).then_refused(Refusal::CodeIsWrong);
    for decision in [check_before_erasure_with, erase_with] {
        account.when(decision("other", Some(code))).then_refused(Refusal::PasswordHasChanged);
    }
    for history in [vec![], vec![enrolled().into()]] {
        registered(history).when(erase_with(PASSWORD_HASH, None)).then([AccountErased {}.into()]);
    }
    registered(confirmed().into_iter().chain([AccountErased {}.into()]))
        .when(erase_with(PASSWORD_HASH, None))
        .then_nothing();
}

#[test]
fn an_account_that_may_not_be_used_has_no_use_of_a_factor() {
    let cases: [(AccountEvent, Refusal); 2] = [
        (AccountDisabled::default().into(), Refusal::AccountIsDisabled),
        (AccountErased {}.into(), Refusal::AccountIsUnknown),
    ];
    let code = Some(UsedCode::Recovery(0));
    for (last, refusal) in cases {
        let account = registered(confirmed().into_iter().chain([last]));
        for decision in [
            enroll_with(PASSWORD_HASH),
            confirm_at(NOW, code),
            go_on(&[], code),
            remove_with(PASSWORD_HASH, code),
            check_before_erasure_with(PASSWORD_HASH, code),
        ] {
            account.when(decision).then_refused(refusal.clone());
        }
    }
}
