//! Exchanges of refresh tokens.

use proptest::prelude::*;

use super::*;

/// An exchange of the valid token with the index `used`.
fn exchanged(used: u8, hash: &str) -> SessionEvent {
    SessionRefreshed { refresh_hash: hash.into(), client: Some("phone".into()), used: Some(used) }.into()
}

fn repeated(hash: &str) -> SessionEvent {
    SessionRefreshRepeated { refresh_hash: hash.into(), beside: Some(0) }.into()
}

#[test]
fn the_current_token_is_exchanged() {
    session([]).when(exchange(0, "a", "b", START)).then([refreshed("b")]);
    session([refreshed("b")]).when(exchange(1, "b", "c", START)).then([refreshed("c")]);
}

#[test]
fn a_used_token_is_told_apart_from_an_unknown_one() {
    let session = session([refreshed("b"), refreshed("c")]);
    for (generation, hash, refusal) in [
        (0, "a", Refusal::RefreshTokenIsUsed),
        (1, "b", Refusal::RefreshTokenIsUsed),
        (2, "x", Refusal::RefreshTokenIsUnknown),
        (3, "c", Refusal::RefreshTokenIsUnknown),
    ] {
        session.when(exchange(generation, hash, "d", START)).then_refused(refusal);
    }
    history([]).when(exchange(0, "a", "d", START)).then_refused(Refusal::RefreshTokenIsUnknown);
}

#[test]
fn a_session_is_refreshed_so_often_at_most() {
    let refreshes = |count: u64| (0..count).map(|number| refreshed(&number.to_string()));
    let last = MAX_EVENTS - 2;
    session(refreshes(last)).when(exchange(last, &(last - 1).to_string(), "x", START)).then([refreshed("x")]);
    let full = session(refreshes(last + 1));
    full.when(exchange(last + 1, &last.to_string(), "x", START)).then_refused(Refusal::SessionHasExpired);
    full.when(exchange(last, &(last - 1).to_string(), "x", START)).then_refused(Refusal::RefreshTokenIsUsed);
    full.when(end_by(1, EndReason::Expired)).then([ended(EndReason::Expired)]);
}

/// The session after these events, all of them at `START`.
fn at_start(events: &[SessionEvent]) -> Session {
    let id = SessionId(Uuid::from_u128(7));
    let folded = (1..)
        .zip(events)
        .fold(None, |state, (version, event)| Session::evolve(state, &id, event, version, START));
    folded.unwrap()
}

#[test]
fn a_refresh_puts_the_idle_end_off_but_never_beyond_the_week() {
    let mut started = started();
    if let SessionEvent::Started(started) = &mut started {
        started.idle_seconds = Some(DAY);
    }
    let begun = at_start(&[started]);
    let day = |number: i64| START.plus_seconds(number * i64::from(DAY));
    let refreshed_at =
        |now| Session::evolve(Some(begun.clone()), &begun.id, &refreshed("b"), 2, now).unwrap();
    assert_eq!(begun.ends_at(), day(1));
    assert_eq!(refreshed_at(day(1)).ends_at(), day(2));
    assert_eq!(refreshed_at(day(6).plus_seconds(60)).ends_at(), day(7));
    assert_eq!(exchange(0, "a", "b", day(1))(Some(&begun)), Err(Refusal::SessionHasExpired));
}

#[test]
fn the_same_client_may_repeat_its_last_refresh_within_moments() {
    let session = at_start(&[started(), refreshed("b")]);
    let with = |client, seconds| {
        let presented = Presented { generation: 0, hash: "a", client };
        let now = START.plus_seconds(seconds);
        refresh(Some(&session), presented, &"c".into(), now)
    };
    assert_eq!(with("phone", 0), Ok(vec![repeated("c")]));
    assert_eq!(with("phone", 29), Ok(vec![repeated("c")]));
    assert_eq!(with("phone", 30), Err(Refusal::RefreshTokenIsUsed));
    // The clock of the replica that made the exchange is ahead.
    assert_eq!(with("phone", -30), Ok(vec![repeated("c")]));
    assert_eq!(with("phone", -31), Err(Refusal::RefreshTokenIsUsed));
    assert_eq!(with("thief", 0), Err(Refusal::RefreshTokenIsUsed));
    let used = at_start(&[started(), refreshed("b"), refreshed("c")]);
    assert_eq!(
        exchange(0, "a", "d", START)(Some(&used)),
        Err(Refusal::RefreshTokenIsUsed),
        "the successor was used"
    );
}

/// Two tabs refreshed at the same time, and got `b` and `c`.
fn two_tabs() -> Vec<SessionEvent> {
    vec![started(), refreshed("b"), repeated("c")]
}

#[test]
fn of_two_tabs_each_goes_on_by_itself_however_late() {
    let later = START.plus_seconds(600);
    history(two_tabs()).when(exchange(1, "b", "d", later)).then([exchanged(0, "d")]);
    history(two_tabs()).when(exchange(1, "c", "d", later)).then([exchanged(1, "d")]);
    let one_went_on = [two_tabs(), vec![exchanged(0, "d")]].concat();
    history(one_went_on.clone()).when(exchange(1, "c", "e", later)).then([exchanged(0, "e")]);
    // One continues while the other sleeps for a night.
    let many = (0..50).map(|number| exchanged(1, &format!("d{number}")));
    let one_went_far = one_went_on.into_iter().chain(many).collect::<Vec<_>>();
    history(one_went_far.clone()).when(exchange(1, "c", "e", later)).then([exchanged(0, "e")]);
    // If the answer is lost, the tab may ask again.
    let both_went_on = [one_went_far, vec![exchanged(0, "e")]].concat();
    let again = exchange(1, "c", "f", START);
    let events = again(Some(&at_start(&both_went_on))).unwrap();
    let [SessionEvent::RefreshRepeated(repeated)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(repeated.beside, Some(1), "beside `e`");
}

#[test]
fn what_one_tab_has_used_ends_the_session_when_it_comes_again_though_the_other_goes_on() {
    let later = START.plus_seconds(600);
    let session = history([two_tabs(), vec![exchanged(0, "d"), exchanged(0, "e")]].concat());
    for (generation, copied) in [(0, "a"), (1, "b"), (1, "c")] {
        session.when(exchange(generation, copied, "f", later)).then_refused(Refusal::RefreshTokenIsUsed);
    }
}

#[test]
fn a_token_is_handed_out_again_so_often_at_most_and_nobody_loses_theirs() {
    let siblings = |count: usize| (1..count).map(|number| repeated(&number.to_string()));
    let almost = [started(), refreshed("b")].into_iter();
    let almost = almost.chain(siblings(MAX_REFRESH_TOKENS - 1)).collect::<Vec<_>>();
    let again = || exchange(0, "a", "x", START);
    assert_eq!(again()(Some(&at_start(&almost))), Ok(vec![repeated("x")]));
    let full = [almost, vec![repeated("x")]].concat();
    assert_eq!(again()(Some(&at_start(&full))), Err(Refusal::RefreshIsRepeatedTooOften));
    for hash in ["b", "1", "x"] {
        let events = exchange(1, hash, "y", START.plus_seconds(600))(Some(&at_start(&full)));
        assert!(matches!(events.unwrap()[..], [SessionEvent::Refreshed(_)]), "{hash}");
    }
}

#[test]
fn tokens_that_nobody_came_back_for_make_room() {
    let mut log = vec![started(), refreshed("b"), repeated("c")];
    // Each time the answer is lost, and the client continues with the second one.
    for number in 0..100 {
        let last = u8::try_from(at_start(&log).refresh_tokens.len() - 1).unwrap();
        log.push(exchanged(last, &format!("lost-{number}")));
        let beside = at_start(&log).refresh_tokens.len() - 1;
        log.push(
            SessionRefreshRepeated {
                refresh_hash: format!("kept-{number}").as_str().into(),
                beside: u8::try_from(beside).ok(),
            }
            .into(),
        );
    }
    let session = at_start(&log);
    assert_eq!(session.refresh_tokens.len(), MAX_REFRESH_TOKENS);
    assert!(exchange(101, "kept-99", "x", START)(Some(&session)).is_ok());
}

#[test]
fn before_events_said_which_token_was_used_all_were_used_up() {
    let unnamed = |hash: &str| {
        SessionRefreshed { refresh_hash: hash.into(), client: Some("phone".into()), used: None }.into()
    };
    let later = START.plus_seconds(600);
    let session = session([unnamed("b"), repeated("c"), unnamed("d")]);
    assert_eq!(session.state().unwrap().generation, 2);
    session.when(exchange(2, "d", "e", later)).then([exchanged(0, "e")]);
    session.when(exchange(1, "c", "e", later)).then_refused(Refusal::RefreshTokenIsUsed);
}

#[test]
fn refreshing_does_not_prolong_a_session() {
    let session = session([refreshed("b")]);
    assert_eq!(session.state().unwrap().expires_at, START.plus_seconds(WEEK));
}

#[test]
fn an_ended_session_refreshes_nothing() {
    let ended_by_logout = session([refreshed("b"), ended(EndReason::Logout)]);
    for (generation, hash) in [(1, "b"), (0, "a")] {
        ended_by_logout
            .when(exchange(generation, hash, "c", START))
            .then_refused(Refusal::SessionHasEnded(EndReason::Logout));
    }
    session([ended(EndReason::Expired)])
        .when(exchange(0, "a", "b", START))
        .then_refused(Refusal::SessionHasExpired);
}

proptest! {
    /// For any tokens in any order, from clients that are not fast, each token is exchanged at most once.
    #[test]
    fn no_token_is_exchanged_twice(presented in prop::collection::vec(0usize..6, 0..40)) {
        let mut log = vec![started()];
        let mut exchanged = Vec::new();
        let name = |number: usize| if number == 0 { "a".to_owned() } else { format!("t{number}") };
        for number in presented {
            let hash = name(number);
            let next = name(exchanged.len() + 1);
            if let Ok(events) = exchange(number as u64, &hash, &next, START)(history(log.clone()).state()) {
                prop_assert!(!exchanged.contains(&hash));
                exchanged.push(hash);
                log.extend(events);
            }
        }
    }
}
