//! Decisions about sessions.

use events::{
    EndReason, GoodRefreshToken, MAX_REFRESH_TOKENS, SecretHash, Session, SessionEnded, SessionEvent,
    SessionRefreshRepeated, SessionRefreshed, SessionStarted, Timestamp, UserId,
};

use super::Refusal;

/// For this long after a refresh was decided, the client may repeat the same token, because the answer was lost or
/// another tab was faster. While the log stands still, the append may take 20 seconds and the search for it two more
/// before the answer is `503`; then the client needs a moment to ask again. Too short to help someone who finds an old
/// token.
const REPEAT_WITHIN_SECONDS: i64 = 30;
/// A session with this many events is not refreshed any more, so that its stream stays short enough for a replica
/// that has not read it yet. It allows one refresh every 148 seconds for seven days.
pub(crate) const MAX_EVENTS: u64 = 4_096;

/// A presented refresh token that is known to have been issued here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presented<'a> {
    /// The number of tokens of the session before it.
    pub(crate) generation: u64,
    /// Hex SHA-256 of the token.
    pub(crate) hash: &'a str,
    /// A fingerprint of the client.
    pub(crate) client: &'a str,
}

/// Exchanges the `presented` refresh token for the one with the hash `next`.
///
/// Of two concurrent exchanges of one token, the second finds it used. If it comes from the same client within
/// moments, and the successor is unused, it gets another successor. So two tabs can continue separately, and each
/// token is used once.
pub(crate) fn refresh(
    session: Option<&Session>,
    presented: Presented<'_>,
    next: &SecretHash,
    now: Timestamp,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session.ok_or(Refusal::RefreshTokenIsUnknown)?;
    let good =
        index(session, |token| token.generation == presented.generation && *token.hash == *presented.hash);
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
        // Another token would displace one that this client got a moment ago.
        (None, Some(0)) if session.refresh_tokens.len() >= MAX_REFRESH_TOKENS => {
            Err(Refusal::RefreshIsRepeatedTooOften)
        }
        (None, Some(beside)) if may_go_on => {
            Ok(vec![SessionRefreshRepeated { refresh_hash: next.clone(), beside: Some(beside) }.into()])
        }
        (None, _) => Err(Refusal::RefreshTokenIsUsed),
    }
}

/// The first valid token of `session` for which `is_it` is true.
fn index(session: &Session, is_it: impl Fn(&GoodRefreshToken) -> bool) -> Option<u8> {
    let index = session.refresh_tokens.iter().position(is_it)?;
    u8::try_from(index).ok()
}

/// Whether the `presented` token was exchanged for `token` a moment ago by the same client. The successor is unused
/// then, because it is still valid. The time of the exchange is from another replica's clock, which may be ahead of
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

pub(crate) fn start(session: Option<&Session>, started: &SessionStarted) -> Vec<SessionEvent> {
    // It exists only if an answer of the store was lost, or if another request of the same login was faster.
    if session.is_some() { Vec::new() } else { vec![started.clone().into()] }
}

/// Whether the refresh token with this hash is valid in `session`.
pub(crate) fn has_token(session: &Session, hash: &SecretHash) -> bool {
    session.refresh_tokens.iter().any(|token| token.hash == *hash)
}

/// Ends a session of `account`. A closed one does not change.
pub(crate) fn end(
    session: Option<&Session>,
    account: UserId,
    reason: EndReason,
    now: Timestamp,
) -> Result<Vec<SessionEvent>, Refusal> {
    let session = session.filter(|session| session.account == account).ok_or(Refusal::SessionIsUnknown)?;
    Ok(if session.is_closed(now) { Vec::new() } else { vec![SessionEnded { reason }.into()] })
}

#[cfg(test)]
mod tests;
