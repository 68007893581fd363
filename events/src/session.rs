//! A session: its events, its state, and the fold from one to the other.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Aggregate, SecretHash, SessionId, StreamName, Timestamp, UserId, codec::catalog, named::named};

/// How many refresh tokens of one session are good at once.
pub const MAX_REFRESH_TOKENS: usize = 32;

/// How long after its end a session that ran out counts as closed.
const CLOSED_AFTER_SECONDS: i64 = 24 * 60 * 60;

catalog! {
    /// An event of a session.
    SessionEvent {
        Started(SessionStarted) = "session.started", 2;
        Refreshed(SessionRefreshed) = "session.refreshed", 3;
        RefreshRepeated(SessionRefreshRepeated) = "session.refresh_repeated", 2;
        Ended(SessionEnded) = "session.ended", 1;
    }
}

named! {
    /// Why a session ended.
    EndReason {
        /// The person ended it.
        Logout = "logout";
        /// The person ended all of theirs.
        LogoutAll = "logout_all";
        /// A refresh token was presented a second time.
        ReuseDetected = "reuse_detected";
        /// The password changed elsewhere.
        PasswordChanged = "password_changed";
        /// The account was disabled.
        Disabled = "disabled";
        /// Its refresh token ran out.
        Expired = "expired";
        /// The person was erased.
        Erased = "erased";
    }
}

named! {
    /// How the person of a login was authenticated (RFC 8176).
    AuthenticationMethod {
        /// By a password.
        Pwd = "pwd";
        /// By a one-time code.
        Otp = "otp";
        /// By more than one factor.
        Mfa = "mfa";
    }
}

/// A login succeeded and began the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionStarted {
    /// The person who has logged in.
    pub account: UserId,
    /// Hex SHA-256 of the first refresh token. Empty in what comes from the bus.
    #[serde(default)]
    pub refresh_hash: SecretHash,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
    /// Where the login came from.
    pub ip: Option<String>,
    /// The program that the person has logged in with, as it calls itself.
    pub user_agent: Option<String>,
    /// How the person was authenticated. Version 1 did not have this: it was always by a password.
    #[serde(default = "by_password")]
    pub methods: BTreeSet<AuthenticationMethod>,
    /// The session ends after this many seconds without a refresh. Version 1 did not have this: such a session has no
    /// idle limit.
    #[serde(default)]
    pub idle_seconds: Option<u32>,
}

fn by_password() -> BTreeSet<AuthenticationMethod> {
    [AuthenticationMethod::Pwd].into()
}

/// A refresh token was exchanged for the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRefreshed {
    /// Hex SHA-256 of the new refresh token. Empty in what comes from the bus.
    #[serde(default)]
    pub refresh_hash: SecretHash,
    /// A fingerprint of the client, so that it is recognised when it repeats a refresh whose answer was lost. Version
    /// 1 did not have this.
    #[serde(default)]
    pub client: Option<String>,
    /// The index of the refresh token that was exchanged, among the valid ones, from 0; the others stay valid.
    /// Earlier versions did not have this: then the last one was exchanged, and all others became invalid.
    #[serde(default)]
    pub used: Option<u8>,
}

/// A refresh token that had been exchanged came again from the same client within moments: the answer was lost, or
/// two tabs refreshed at once. The client gets one more valid refresh token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRefreshRepeated {
    /// Hex SHA-256 of the further refresh token. Empty in what comes from the bus.
    #[serde(default)]
    pub refresh_hash: SecretHash,
    /// The index of the valid token that came from the repeated one, from 0. Version 1 did not have this: the last
    /// one.
    #[serde(default)]
    pub beside: Option<u8>,
}

/// A valid refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoodRefreshToken {
    /// Hex SHA-256 of the token.
    pub hash: SecretHash,
    /// How many tokens came before it, each exchanged for the next.
    pub generation: u64,
    /// The token that was exchanged for it; `None` for the first.
    pub predecessor: Option<ExchangedRefreshToken>,
}

/// A refresh token that was exchanged for the next one, which is still valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangedRefreshToken {
    /// Hex SHA-256 of the token.
    pub hash: SecretHash,
    /// When this token was exchanged.
    pub at: Timestamp,
    /// The fingerprint of the client that exchanged it.
    pub client: Option<String>,
}

/// The session is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// Why the session has ended.
    pub reason: EndReason,
}

/// The state of one session after some version of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The id of the session.
    pub id: SessionId,
    /// The person who has logged in.
    pub account: UserId,
    /// The valid refresh tokens, the newest last, at most [`MAX_REFRESH_TOKENS`]. There is one, unless a token was
    /// repeated within moments. Each is exchanged by itself.
    pub refresh_tokens: Vec<GoodRefreshToken>,
    /// After how many seconds without a refresh it ends by itself.
    pub idle_seconds: Option<u32>,
    /// The highest generation of its refresh tokens so far.
    pub generation: u64,
    /// When it began.
    pub started_at: Timestamp,
    /// When a token was last refreshed; the start, before the first time.
    pub last_refreshed_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// Where the login came from.
    pub ip: Option<String>,
    /// The program that the person has logged in with, as it calls itself.
    pub user_agent: Option<String>,
    /// How the person was authenticated.
    pub methods: BTreeSet<AuthenticationMethod>,
    /// When and why it ended, once it has.
    pub ended: Option<(Timestamp, EndReason)>,
    /// Version of its stream.
    pub version: u64,
}

impl Aggregate for Session {
    type Id = SessionId;
    type Event = SessionEvent;

    fn stream(id: &SessionId) -> StreamName {
        StreamName::session(*id)
    }

    fn evolve(
        state: Option<Self>,
        id: &SessionId,
        event: &SessionEvent,
        version: u64,
        at: Timestamp,
    ) -> Option<Self> {
        let mut session = match (state, event) {
            (None, SessionEvent::Started(started)) => return Some(Self::started(*id, started, version, at)),
            (None, _) => return None,
            (Some(session), _) => session,
        };
        match event {
            SessionEvent::Started(_) => {}
            SessionEvent::Refreshed(refreshed) => session.exchange(refreshed, at),
            SessionEvent::RefreshRepeated(repeated) => session.repeat(repeated),
            SessionEvent::Ended(ended) => session.ended = session.ended.or(Some((at, ended.reason))),
        }
        session.version = version;
        Some(session)
    }
}

impl Session {
    /// Whether it began with a second factor.
    pub fn has_second_factor(&self) -> bool {
        self.methods.contains(&AuthenticationMethod::Mfa)
    }

    /// Whether its tokens are valid at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.ends_at()
    }

    /// When it ends by itself, if it is not refreshed any more.
    pub fn ends_at(&self) -> Timestamp {
        let idle = |seconds| self.last_refreshed_at.plus_seconds(i64::from(seconds));
        self.idle_seconds.map_or(self.expires_at, |seconds| self.expires_at.min(idle(seconds)))
    }

    /// Whether the session has ended, or has run out so long ago that no clock can disagree. Nothing is appended to
    /// its stream then, so its payloads may be dropped.
    pub fn is_closed(&self, now: Timestamp) -> bool {
        self.ended.is_some() || now >= self.ends_at().plus_seconds(CLOSED_AFTER_SECONDS)
    }

    fn exchange(&mut self, refreshed: &SessionRefreshed, at: Timestamp) {
        let tokens = &mut self.refresh_tokens;
        let used = match refreshed.used.map(usize::from) {
            Some(index) => (index < tokens.len()).then(|| tokens.remove(index)),
            None => std::mem::take(tokens).pop(),
        };
        let (hash, generation) =
            used.map_or((SecretHash::default(), self.generation), |used| (used.hash, used.generation));
        self.last_refreshed_at = at;
        self.add_refresh_token(GoodRefreshToken {
            hash: refreshed.refresh_hash.clone(),
            generation: generation.saturating_add(1),
            predecessor: Some(ExchangedRefreshToken { hash, at, client: refreshed.client.clone() }),
        });
    }

    fn repeat(&mut self, repeated: &SessionRefreshRepeated) {
        let tokens = &self.refresh_tokens;
        let beside = match repeated.beside {
            Some(index) => tokens.get(usize::from(index)),
            None => tokens.last(),
        };
        if let Some(beside) = beside {
            let hash = repeated.refresh_hash.clone();
            self.add_refresh_token(GoodRefreshToken { hash, ..beside.clone() });
        }
    }

    fn add_refresh_token(&mut self, token: GoodRefreshToken) {
        let surplus = (self.refresh_tokens.len() + 1).saturating_sub(MAX_REFRESH_TOKENS);
        self.refresh_tokens.drain(..surplus);
        self.generation = self.generation.max(token.generation);
        self.refresh_tokens.push(token);
    }

    fn started(id: SessionId, started: &SessionStarted, version: u64, at: Timestamp) -> Self {
        Self {
            id,
            account: started.account,
            refresh_tokens: vec![GoodRefreshToken {
                hash: started.refresh_hash.clone(),
                generation: 0,
                predecessor: None,
            }],
            idle_seconds: started.idle_seconds,
            generation: 0,
            started_at: at,
            last_refreshed_at: at,
            expires_at: started.expires_at,
            ip: started.ip.clone(),
            user_agent: started.user_agent.clone(),
            methods: started.methods.clone(),
            ended: None,
            version,
        }
    }
}
