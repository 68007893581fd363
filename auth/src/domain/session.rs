//! Decisions about sessions.

use events::{
    EndReason, SecretHash, Session, SessionEnded, SessionEvent, SessionRefreshRepeated, SessionRefreshed,
    SessionStarted, Timestamp, UserId,
};

use super::Refusal;

/// For so long after a refresh its client may present the same token again, because the answer was lost or another of its
/// tabs was faster. Longer than a client takes to try again, and too short to be of use to whoever finds an old token.
const REPEAT_WITHIN_SECONDS: i64 = 5;

/// A refresh token that was presented. That it was issued here has been found out before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented<'a> {
    /// How many tokens of the session came before it.
    pub(crate) generation: u64,
    /// Hex SHA-256 of it.
    pub(crate) hash: &'a str,
    /// A fingerprint of the client that presents it.
    pub(crate) client: &'a str,
}

/// Exchanges the refresh token that is `presented` for the one whose hash is `next`.
///
/// Two exchanges of one token race on the version of the stream: the second finds its token used. If it comes from the same
/// client within moments and nobody has used the successor, it gets another successor.
pub(crate) fn refresh(
    session: Option<&Session>,
    presented: Presented<'_>,
    next: &SecretHash,
    now: Timestamp,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session.ok_or(Refusal::RefreshTokenIsUnknown)?;
    let is_used = presented.generation < session.generation;
    let mut good = session.refresh_hashes.iter();
    let is_current = presented.generation == session.generation && good.any(|hash| **hash == *presented.hash);
    if !is_used && !is_current {
        return Err(Refusal::RefreshTokenIsUnknown);
    }
    match session.ended {
        Some((_, EndReason::Expired)) if !is_used => Err(Refusal::SessionHasExpired),
        Some((_, reason)) => Err(Refusal::SessionHasEnded(reason)),
        None if is_used && is_repeated(session, presented, now) => Ok(vec![
            SessionRefreshRepeated {
                refresh_hash: next.clone(),
            }
            .into(),
        ]),
        None if is_used => Err(Refusal::RefreshTokenIsUsed),
        None if !session.is_live(now) => Err(Refusal::SessionHasExpired),
        None => Ok(vec![
            SessionRefreshed {
                refresh_hash: next.clone(),
                client: Some(presented.client.to_owned()),
            }
            .into(),
        ]),
    }
}

/// Whether the token was the last to be exchanged, a moment ago and by the same client. Its successor is unused then, for
/// else there would be a later generation.
fn is_repeated(session: &Session, presented: Presented<'_>, now: Timestamp) -> bool {
    let since = session.last_refreshed_at;
    presented.generation + 1 == session.generation
        && session.refreshed_by.as_deref() == Some(presented.client)
        && session.is_live(now)
        && (since..since.plus_seconds(REPEAT_WITHIN_SECONDS)).contains(&now)
}

/// Begins the session.
pub(crate) fn start(session: Option<&Session>, started: &SessionStarted) -> Vec<SessionEvent> {
    // Its id was made a moment ago, so there is one only when an answer of the store got lost.
    if session.is_some() {
        Vec::new()
    } else {
        vec![started.clone().into()]
    }
}

/// Ends a session of `account`. One that has ended stays as it is.
pub(crate) fn end(
    session: Option<&Session>,
    account: UserId,
    reason: EndReason,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session
        .filter(|session| session.account == account)
        .ok_or(Refusal::SessionIsUnknown)?;
    Ok(if session.ended.is_some() {
        Vec::new()
    } else {
        vec![SessionEnded { reason }.into()]
    })
}

#[cfg(test)]
mod tests {
    use aggregate::testing::{Given, given};
    use events::{AuthenticationMethod, MAX_REFRESH_TOKENS, SessionId};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
    const WEEK: i64 = 7 * 24 * 3600;
    const DAY: u32 = 24 * 3600;

    /// A session of user 1, which has begun and then met `later`.
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
        SessionRefreshed {
            refresh_hash: hash.into(),
            client: Some("phone".into()),
        }
        .into()
    }

    fn repeated(hash: &str) -> SessionEvent {
        SessionRefreshRepeated {
            refresh_hash: hash.into(),
        }
        .into()
    }

    fn ended(reason: EndReason) -> SessionEvent {
        SessionEnded { reason }.into()
    }

    /// Presents the token of `generation`, and hands out `next` for it.
    fn exchange(
        generation: u64,
        presented: &str,
        next: &str,
        now: Timestamp,
    ) -> impl FnOnce(Option<&Session>) -> Result<Vec<SessionEvent>, Refusal> {
        move |session| {
            let presented = Presented {
                generation,
                hash: presented,
                client: "phone",
            };
            refresh(session, presented, &next.into(), now)
        }
    }

    fn end_by(
        number: u128,
        reason: EndReason,
    ) -> impl FnOnce(Option<&Session>) -> Result<Vec<SessionEvent>, Refusal> {
        move |session| end(session, account(number), reason)
    }

    #[test]
    fn the_current_token_is_exchanged() {
        session([])
            .when(exchange(0, "a", "b", START))
            .then([refreshed("b")]);
        session([refreshed("b")])
            .when(exchange(1, "b", "c", START))
            .then([refreshed("c")]);
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
            session
                .when(exchange(generation, hash, "d", START))
                .then_refused(refusal);
        }
        history([])
            .when(exchange(0, "a", "d", START))
            .then_refused(Refusal::RefreshTokenIsUnknown);
    }

    #[test]
    fn a_session_that_is_refreshed_for_years_stays_small() {
        let session = session((0..10_000).map(|number| refreshed(&number.to_string())));
        assert_eq!(session.state().unwrap().generation, 10_000);
        session
            .when(exchange(0, "a", "b", START))
            .then_refused(Refusal::RefreshTokenIsUsed);
    }

    #[test]
    fn the_last_microsecond_of_a_session_still_counts() {
        let end = START.plus_seconds(WEEK);
        let before = Timestamp::from_micros(end.as_micros() - 1);
        session([])
            .when(exchange(0, "a", "b", before))
            .then([refreshed("b")]);
        session([])
            .when(exchange(0, "a", "b", end))
            .then_refused(Refusal::SessionHasExpired);
    }

    /// The session whose events have all happened at `START`.
    fn at_start(events: &[SessionEvent]) -> Session {
        let id = SessionId(Uuid::from_u128(7));
        let folded = (1..).zip(events).fold(None, |state, (version, event)| {
            Session::evolve(state, id, event, version, START)
        });
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
            |now| Session::evolve(Some(begun.clone()), begun.id, &refreshed("b"), 2, now).unwrap();
        assert_eq!(begun.ends_at(), day(1));
        assert_eq!(refreshed_at(day(1)).ends_at(), day(2));
        assert_eq!(refreshed_at(day(6).plus_seconds(60)).ends_at(), day(7));
        assert_eq!(
            exchange(0, "a", "b", day(1))(Some(&begun)),
            Err(Refusal::SessionHasExpired)
        );
    }

    #[test]
    fn the_same_client_may_repeat_its_last_refresh_within_moments() {
        let session = at_start(&[started(), refreshed("b")]);
        let with = |client, seconds| {
            let presented = Presented {
                generation: 0,
                hash: "a",
                client,
            };
            let now = START.plus_seconds(seconds);
            refresh(Some(&session), presented, &"c".into(), now)
        };
        assert_eq!(with("phone", 0), Ok(vec![repeated("c")]));
        assert_eq!(with("phone", 4), Ok(vec![repeated("c")]));
        assert_eq!(with("phone", 5), Err(Refusal::RefreshTokenIsUsed));
        assert_eq!(with("phone", -1), Err(Refusal::RefreshTokenIsUsed));
        assert_eq!(with("thief", 0), Err(Refusal::RefreshTokenIsUsed));
        let used = at_start(&[started(), refreshed("b"), refreshed("c")]);
        assert_eq!(
            exchange(0, "a", "d", START)(Some(&used)),
            Err(Refusal::RefreshTokenIsUsed),
            "the successor was used"
        );
    }

    #[test]
    fn each_successor_is_good_until_one_is_used() {
        for hash in ["b", "c"] {
            session([refreshed("b"), repeated("c")])
                .when(exchange(1, hash, "d", START))
                .then([refreshed("d")]);
        }
        session([refreshed("b"), repeated("c"), refreshed("d")])
            .when(exchange(1, "c", "e", START))
            .then_refused(Refusal::RefreshTokenIsUsed);
    }

    #[test]
    fn a_session_has_so_many_good_tokens_at_most() {
        let repeats = (0..20).map(|number| repeated(&number.to_string()));
        let session = session([refreshed("b")].into_iter().chain(repeats));
        assert_eq!(session.state().unwrap().refresh_hashes.len(), MAX_REFRESH_TOKENS);
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

    #[test]
    fn a_session_begins_once() {
        let SessionEvent::Started(first) = started() else {
            panic!("not a start")
        };
        let begin = |session: Option<&Session>| Ok::<_, Refusal>(start(session, &first));
        history([]).when(begin).then([started()]);
        session([]).when(begin).then_nothing();
    }

    #[test]
    fn a_session_ends_once() {
        session([])
            .when(end_by(1, EndReason::LogoutAll))
            .then([ended(EndReason::LogoutAll)]);
        session([ended(EndReason::Logout)])
            .when(end_by(1, EndReason::LogoutAll))
            .then_nothing();
    }

    #[test]
    fn nobody_ends_the_session_of_another() {
        for others in [session([]), history([])] {
            others
                .when(end_by(2, EndReason::Logout))
                .then_refused(Refusal::SessionIsUnknown);
        }
    }

    proptest! {
        /// Whatever tokens are presented in whatever order by clients that take their time, each is exchanged at most once.
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
}
