//! Decisions about sessions.

use events::{
    EndReason, SecretHash, Session, SessionEnded, SessionEvent, SessionRefreshed, SessionStarted, Timestamp,
    UserId,
};

use super::Refusal;

/// Exchanges the refresh token of `generation` whose hash is `presented` for the one whose hash is `next`. That the token
/// was issued here has been found out before.
///
/// Two exchanges of one token race on the version of the stream: the second finds its token used.
pub(crate) fn refresh(
    session: Option<&Session>,
    generation: u64,
    presented: &str,
    next: &SecretHash,
    now: Timestamp,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session.ok_or(Refusal::RefreshTokenIsUnknown)?;
    let is_used = generation < session.generation;
    let is_current = generation == session.generation && *session.refresh_hash == *presented;
    if !is_used && !is_current {
        return Err(Refusal::RefreshTokenIsUnknown);
    }
    match session.ended {
        Some((_, EndReason::Expired)) if !is_used => Err(Refusal::SessionHasExpired),
        Some((_, reason)) => Err(Refusal::SessionHasEnded(reason)),
        None if is_used => Err(Refusal::RefreshTokenIsUsed),
        None if !session.is_live(now) => Err(Refusal::SessionHasExpired),
        None => Ok(vec![
            SessionRefreshed {
                refresh_hash: next.clone(),
            }
            .into(),
        ]),
    }
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
    use events::SessionId;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    const START: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
    const WEEK: i64 = 7 * 24 * 3600;

    fn given(events: &[SessionEvent]) -> Option<Session> {
        let id = SessionId(Uuid::from_u128(7));
        (1..).zip(events).fold(None, |state, (version, event)| {
            Session::evolve(state, id, event, version, START)
        })
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
        }
        .into()
    }

    fn refreshed(hash: &str) -> SessionEvent {
        SessionRefreshed {
            refresh_hash: hash.into(),
        }
        .into()
    }

    fn ended(reason: EndReason) -> SessionEvent {
        SessionEnded { reason }.into()
    }

    fn exchange(
        session: Option<&Session>,
        generation: u64,
        presented: &str,
        next: &str,
        now: Timestamp,
    ) -> Result<Vec<SessionEvent>, Refusal> {
        refresh(session, generation, presented, &next.into(), now)
    }

    #[test]
    fn the_current_token_is_exchanged() {
        assert_eq!(
            exchange(given(&[started()]).as_ref(), 0, "a", "b", START),
            Ok(vec![refreshed("b")])
        );
        let session = given(&[started(), refreshed("b")]);
        assert_eq!(
            exchange(session.as_ref(), 1, "b", "c", START),
            Ok(vec![refreshed("c")])
        );
    }

    #[test]
    fn a_used_token_is_told_apart_from_an_unknown_one() {
        let session = given(&[started(), refreshed("b"), refreshed("c")]);
        let with = |generation, hash| exchange(session.as_ref(), generation, hash, "d", START);
        assert_eq!(with(0, "a"), Err(Refusal::RefreshTokenIsUsed));
        assert_eq!(with(1, "b"), Err(Refusal::RefreshTokenIsUsed));
        assert_eq!(with(2, "x"), Err(Refusal::RefreshTokenIsUnknown));
        assert_eq!(with(3, "c"), Err(Refusal::RefreshTokenIsUnknown));
        assert_eq!(
            exchange(None, 0, "a", "d", START),
            Err(Refusal::RefreshTokenIsUnknown)
        );
    }

    #[test]
    fn a_session_that_is_refreshed_for_years_stays_small() {
        let log: Vec<_> = std::iter::once(started())
            .chain((0..10_000).map(|number| refreshed(&number.to_string())))
            .collect();
        let session = given(&log);
        assert_eq!(session.as_ref().unwrap().generation, 10_000);
        assert_eq!(
            exchange(session.as_ref(), 0, "a", "b", START),
            Err(Refusal::RefreshTokenIsUsed)
        );
    }

    #[test]
    fn the_last_microsecond_of_a_session_still_counts() {
        let session = given(&[started()]);
        let end = START.plus_seconds(WEEK);
        let before = Timestamp::from_micros(end.as_micros() - 1);
        assert_eq!(
            exchange(session.as_ref(), 0, "a", "b", before),
            Ok(vec![refreshed("b")])
        );
        assert_eq!(
            exchange(session.as_ref(), 0, "a", "b", end),
            Err(Refusal::SessionHasExpired)
        );
    }

    #[test]
    fn refreshing_does_not_prolong_a_session() {
        let session = given(&[started(), refreshed("b")]).unwrap();
        assert_eq!(session.expires_at, START.plus_seconds(WEEK));
    }

    #[test]
    fn an_ended_session_refreshes_nothing() {
        let session = given(&[started(), refreshed("b"), ended(EndReason::Logout)]);
        let refused = Err(Refusal::SessionHasEnded(EndReason::Logout));
        assert_eq!(exchange(session.as_ref(), 1, "b", "c", START), refused);
        assert_eq!(exchange(session.as_ref(), 0, "a", "c", START), refused);
        let session = given(&[started(), ended(EndReason::Expired)]);
        assert_eq!(
            exchange(session.as_ref(), 0, "a", "b", START),
            Err(Refusal::SessionHasExpired)
        );
    }

    #[test]
    fn a_session_ends_once() {
        assert_eq!(
            end(given(&[started()]).as_ref(), account(1), EndReason::LogoutAll),
            Ok(vec![ended(EndReason::LogoutAll)])
        );
        let session = given(&[started(), ended(EndReason::Logout)]);
        assert_eq!(
            end(session.as_ref(), account(1), EndReason::LogoutAll),
            Ok(vec![])
        );
    }

    #[test]
    fn nobody_ends_the_session_of_another() {
        let unknown = Err(Refusal::SessionIsUnknown);
        assert_eq!(
            end(given(&[started()]).as_ref(), account(2), EndReason::Logout),
            unknown
        );
        assert_eq!(end(None, account(1), EndReason::Logout), unknown);
    }

    proptest! {
        /// Whatever tokens are presented in whatever order, each is exchanged at most once.
        #[test]
        fn no_token_is_exchanged_twice(presented in prop::collection::vec(0usize..6, 0..40)) {
            let mut log = vec![started()];
            let mut exchanged = Vec::new();
            let name = |number: usize| if number == 0 { "a".to_owned() } else { format!("t{number}") };
            for number in presented {
                let hash = name(number);
                let next = name(exchanged.len() + 1);
                if let Ok(events) = exchange(given(&log).as_ref(), number as u64, &hash, &next, START) {
                    prop_assert!(!exchanged.contains(&hash));
                    exchanged.push(hash);
                    log.extend(events);
                }
            }
        }
    }
}
