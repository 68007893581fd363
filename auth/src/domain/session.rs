//! Decisions about sessions.

use events::{
    EndReason, GoodRefreshToken, MAX_REFRESH_TOKENS, SecretHash, Session, SessionEnded, SessionEvent,
    SessionRefreshRepeated, SessionRefreshed, SessionStarted, Timestamp, UserId,
};

use super::Refusal;

/// For so long after a refresh its client may present the same token again, because the answer was lost or another of its
/// tabs was faster. Longer than a client takes to try again, and too short to be of use to whoever finds an old token.
const REPEAT_WITHIN_SECONDS: i64 = 5;
/// A session that has so many events is not refreshed any more, so that its stream stays short enough to be read by a replica
/// that has not seen it: one every 148 seconds for the whole seven days.
pub(crate) const MAX_EVENTS: u64 = 4_096;

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
/// client within moments and nobody has used the successor, it gets another successor, which is then exchanged by itself: so
/// two tabs go on beside each other, and of each the tokens are good once.
pub(crate) fn refresh(
    session: Option<&Session>,
    presented: Presented<'_>,
    next: &SecretHash,
    now: Timestamp,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session.ok_or(Refusal::RefreshTokenIsUnknown)?;
    let good = index(session, |token| {
        token.generation == presented.generation && *token.hash == *presented.hash
    });
    let is_used = good.is_none() && presented.generation < session.generation;
    if good.is_none() && !is_used {
        return Err(Refusal::RefreshTokenIsUnknown);
    }
    match session.ended {
        Some((_, EndReason::Expired)) if !is_used => return Err(Refusal::SessionHasExpired),
        Some((_, reason)) => return Err(Refusal::SessionHasEnded(reason)),
        None => {}
    }
    let may_go_on = session.is_live(now) && session.version < MAX_EVENTS;
    let successor = |token: &GoodRefreshToken| came_of(token, presented, now);
    match (good, index(session, successor)) {
        (Some(_), _) if !may_go_on => Err(Refusal::SessionHasExpired),
        (Some(used), _) => Ok(vec![
            SessionRefreshed {
                refresh_hash: next.clone(),
                client: Some(presented.client.to_owned()),
                used: Some(used),
            }
            .into(),
        ]),
        // One more would push out one that this client got a moment ago.
        (None, Some(0)) if session.refresh_tokens.len() >= MAX_REFRESH_TOKENS => {
            Err(Refusal::RefreshIsRepeatedTooOften)
        }
        (None, Some(beside)) if may_go_on => Ok(vec![
            SessionRefreshRepeated {
                refresh_hash: next.clone(),
                beside: Some(beside),
            }
            .into(),
        ]),
        (None, _) => Err(Refusal::RefreshTokenIsUsed),
    }
}

/// The first good token of `session` that `is_it`.
fn index(session: &Session, is_it: impl Fn(&GoodRefreshToken) -> bool) -> Option<u8> {
    let index = session.refresh_tokens.iter().position(is_it)?;
    u8::try_from(index).ok()
}

/// Whether the token that is `presented` was exchanged for `token`, a moment ago and by the same client. The successor is
/// unused then, for else it would not be good. When it was exchanged is what another replica's clock said, which may be ahead of
/// `now`.
fn came_of(token: &GoodRefreshToken, presented: Presented<'_>, now: Timestamp) -> bool {
    token.predecessor.as_ref().is_some_and(|exchanged| {
        let start = exchanged.at.plus_seconds(-Timestamp::CLOCK_LEEWAY_SECONDS);
        let end = exchanged.at.plus_seconds(REPEAT_WITHIN_SECONDS);
        *exchanged.hash == *presented.hash
            && exchanged.client.as_deref() == Some(presented.client)
            && (start..end).contains(&now)
    })
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

/// Ends a session of `account`. One that is closed stays as it is.
pub(crate) fn end(
    session: Option<&Session>,
    account: UserId,
    reason: EndReason,
    now: Timestamp,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session
        .filter(|session| session.account == account)
        .ok_or(Refusal::SessionIsUnknown)?;
    Ok(if session.is_closed(now) {
        Vec::new()
    } else {
        vec![SessionEnded { reason }.into()]
    })
}

#[cfg(test)]
mod tests;
