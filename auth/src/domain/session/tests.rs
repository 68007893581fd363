//! Tests of decisions about sessions.

use aggregate::testing::{Given, given};
use events::{Aggregate as _, AuthenticationMethod, SessionId};
use uuid::Uuid;

use super::*;

mod refresh;

const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const WEEK: i64 = 7 * 24 * 3600;
const DAY: u32 = 24 * 3600;

/// A session of user 1, with the events `later` after its start.
fn session(later: impl IntoIterator<Item = SessionEvent>) -> Given<Session> {
    history(std::iter::once(started()).chain(later))
}

fn history(events: impl IntoIterator<Item = SessionEvent>) -> Given<Session> {
    given(SessionId(Uuid::from_u128(7)), events)
}

fn account(number: u128) -> UserId {
    UserId(Uuid::from_u128(number))
}

fn started() -> SessionEvent {
    SessionStarted {
        account: account(1),
        refresh_hash: "a".into(),
        expires_at: START.plus_seconds(WEEK),
        ip: None,
        user_agent: None,
        methods: [AuthenticationMethod::Pwd].into(),
        idle_seconds: None,
    }
    .into()
}

fn refreshed(hash: &str) -> SessionEvent {
    SessionRefreshed { refresh_hash: hash.into(), client: Some("phone".into()), used: Some(0) }.into()
}

fn ended(reason: EndReason) -> SessionEvent {
    SessionEnded { reason }.into()
}

/// Presents the token of `generation`, and offers `next` for it.
fn exchange(
    generation: u64,
    presented: &str,
    next: &str,
    now: Timestamp,
) -> impl FnOnce(Option<&Session>) -> Result<Vec<SessionEvent>, Refusal> {
    move |session| {
        let presented = Presented { generation, hash: presented, client: "phone" };
        refresh(session, presented, &next.into(), now)
    }
}

fn end_by(
    number: u128,
    reason: EndReason,
) -> impl FnOnce(Option<&Session>) -> Result<Vec<SessionEvent>, Refusal> {
    move |session| end(session, account(number), reason, START)
}

#[test]
fn the_last_microsecond_of_a_session_still_counts() {
    let end = START.plus_seconds(WEEK);
    let before = Timestamp::from_micros(end.as_micros() - 1);
    session([]).when(exchange(0, "a", "b", before)).then([refreshed("b")]);
    session([]).when(exchange(0, "a", "b", end)).then_refused(Refusal::SessionHasExpired);
}

#[test]
fn a_session_begins_once() {
    let SessionEvent::Started(first) = started() else { panic!("not a start") };
    let begin = |session: Option<&Session>| Ok::<_, Refusal>(start(session, &first));
    history([]).when(begin).then([started()]);
    session([]).when(begin).then_nothing();
}

#[test]
fn a_session_ends_once() {
    session([]).when(end_by(1, EndReason::LogoutAll)).then([ended(EndReason::LogoutAll)]);
    session([ended(EndReason::Logout)]).when(end_by(1, EndReason::LogoutAll)).then_nothing();
}

#[test]
fn a_session_that_ran_out_a_day_ago_is_never_written_to_again() {
    let end_at =
        |now: Timestamp| move |session: Option<&Session>| end(session, account(1), EndReason::Logout, now);
    let ran_out = START.plus_seconds(WEEK);
    let closed = ran_out.plus_seconds(i64::from(DAY));
    session([]).when(end_at(closed.plus_seconds(-1))).then([ended(EndReason::Logout)]);
    session([]).when(end_at(closed)).then_nothing();
    session([refreshed("b")]).when(exchange(1, "b", "c", closed)).then_refused(Refusal::SessionHasExpired);
    // It must be refreshed once a day.
    let idle = |idle_seconds| {
        let SessionEvent::Started(started) = started() else { panic!("not a start") };
        history([SessionStarted { idle_seconds, ..started }.into()])
    };
    idle(Some(DAY)).when(end_at(START.plus_seconds(2 * i64::from(DAY)))).then_nothing();
}

#[test]
fn nobody_ends_the_session_of_another() {
    for others in [session([]), history([])] {
        others.when(end_by(2, EndReason::Logout)).then_refused(Refusal::SessionIsUnknown);
    }
}
