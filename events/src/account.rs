//! An account: its events, its state, and the fold from one to the other.

use std::{collections::BTreeSet, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    AdminReason, Aggregate, MAX_PROGRAM_TOKENS, PasswordReset, PendingReset, ProgramToken,
    ProgramTokenCreated, ProgramTokenRevoked, ProgramTokenUsed, ResetOffered, SecondFactor,
    SecondFactorConfirmed, SecondFactorEnrolled, SecondFactorPassed, SecondFactorRefused,
    SecondFactorRemoved, SecretHash, SessionId, StreamName, Timestamp, UsedCode, UserId, codec::catalog,
    named::named,
};

/// How many sessions of one account can be open at once. One more closes the oldest.
pub const MAX_OPEN_SESSIONS: usize = 100;

catalog! {
    /// An event of an account.
    AccountEvent {
        Registered(AccountRegistered) = "account.registered", 1;
        Renamed(AccountRenamed) = "account.renamed", 1;
        PasswordChanged(PasswordChanged) = "account.password_changed", 2;
        PasswordRehashed(PasswordRehashed) = "account.password_rehashed", 1;
        RolesChanged(RolesChanged) = "account.roles_changed", 1;
        Disabled(AccountDisabled) = "account.disabled", 1;
        Enabled(AccountEnabled) = "account.enabled", 1;
        SessionOpened(AccountSessionOpened) = "account.session_opened", 1;
        SessionsEnded(AccountSessionsEnded) = "account.sessions_ended", 1;
        TokenCreated(ProgramTokenCreated) = "account.token_created", 1;
        TokenUsed(ProgramTokenUsed) = "account.token_used", 1;
        TokenRevoked(ProgramTokenRevoked) = "account.token_revoked", 1;
        SecondFactorEnrolled(SecondFactorEnrolled) = "account.second_factor_enrolled", 1;
        SecondFactorConfirmed(SecondFactorConfirmed) = "account.second_factor_confirmed", 1;
        SecondFactorRemoved(SecondFactorRemoved) = "account.second_factor_removed", 1;
        SecondFactorPassed(SecondFactorPassed) = "account.second_factor_passed", 1;
        SecondFactorRefused(SecondFactorRefused) = "account.second_factor_refused", 1;
        ResetOffered(ResetOffered) = "account.reset_offered", 1;
        PasswordReset(PasswordReset) = "account.password_reset", 1;
        Erased(AccountErased) = "account.erased", 1;
    }
}

named! {
    /// What an account may do.
    Role {
        /// Can have tasks.
        User = "user";
        /// Can read the whole audit trail.
        Auditor = "auditor";
        /// Can manage accounts, and do everything that an auditor can do.
        Admin = "admin";
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::named(text).ok_or_else(|| format!("`{text}` is not a role: expected user, auditor or admin"))
    }
}

/// The account was created, with the role `user`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AccountRegistered {
    /// As the person wrote it, trimmed.
    pub email: String,
    /// The name to show for them.
    pub display_name: Option<String>,
    /// PHC string. Empty in what comes from the bus.
    #[serde(default)]
    pub password_hash: SecretHash,
}

/// The display name changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRenamed {
    /// The new name; `None` clears it.
    pub display_name: Option<String>,
}

/// The password changed. Closes every session but the one that it names, and takes back a reset that was offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// PHC string. Empty in what comes from the bus.
    #[serde(default)]
    pub password_hash: SecretHash,
    /// The session in which the password was changed; it stays open.
    pub surviving_session: Option<SessionId>,
}

/// The same password was hashed again with stronger parameters. Closes no session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRehashed {
    /// PHC string. Empty in what comes from the bus.
    #[serde(default)]
    pub password_hash: SecretHash,
}

/// A login succeeded and opens a session, whose own stream begins next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSessionOpened {
    /// The session that was opened.
    pub session: SessionId,
    /// Sessions that had ended, or had to close to make room for this one.
    pub closed: Vec<SessionId>,
}

/// Every session of the account was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountSessionsEnded {}

/// The roles were replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolesChanged {
    /// All roles after the change.
    pub roles: BTreeSet<Role>,
    /// Why, if an admin said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_reason: Option<AdminReason>,
}

/// The account may no longer be used. Closes every session for good, and takes back a reset that was offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDisabled {
    /// Why, if the admin said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_reason: Option<AdminReason>,
}

/// The account may be used again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountEnabled {
    /// Why, if the admin said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_reason: Option<AdminReason>,
}

/// The person was erased. Nothing follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountErased {}

impl AccountEvent {
    /// The reason that an admin gave for the event, if any.
    pub const fn admin_reason(&self) -> Option<&AdminReason> {
        match self {
            Self::RolesChanged(changed) => changed.admin_reason.as_ref(),
            Self::Disabled(disabled) => disabled.admin_reason.as_ref(),
            Self::Enabled(enabled) => enabled.admin_reason.as_ref(),
            Self::ResetOffered(offered) => offered.admin_reason.as_ref(),
            _ => None,
        }
    }
}

/// The state of one account after some version of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The person whose account it is.
    pub id: UserId,
    /// The e-mail address of the person.
    pub email: String,
    /// The name to show for them.
    pub display_name: Option<String>,
    /// The hash of the password, as a PHC string.
    pub password_hash: SecretHash,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// Whether the account may not be used.
    pub disabled: bool,
    /// The number of times that it was disabled. Sessions and tokens from before the last time are not valid.
    pub times_disabled: u64,
    /// The open sessions, the oldest first, at most [`MAX_OPEN_SESSIONS`]. A session that is missing here is not
    /// live, whatever its own stream says. A session in the list may have ended by itself.
    pub open_sessions: Vec<SessionId>,
    /// When the last session was opened, whether or not it is still open.
    pub last_login_at: Option<Timestamp>,
    /// The program tokens, the oldest first, at most [`MAX_PROGRAM_TOKENS`].
    pub program_tokens: Vec<ProgramToken>,
    /// What a login needs beside the password, once it is confirmed.
    pub second_factor: Option<SecondFactor>,
    /// A password reset that was offered and is not used yet.
    pub reset: Option<PendingReset>,
    /// Whether the person was erased.
    pub erased: bool,
    /// When the account was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Version of its stream.
    pub version: u64,
}

impl Aggregate for Account {
    type Id = UserId;
    type Event = AccountEvent;

    fn stream(id: &UserId) -> StreamName {
        StreamName::account(*id)
    }

    fn evolve(
        state: Option<Self>,
        id: &UserId,
        event: &AccountEvent,
        version: u64,
        at: Timestamp,
    ) -> Option<Self> {
        let mut account = match (state, event) {
            (None, AccountEvent::Registered(registered)) => {
                return Some(Self::registered(*id, registered, version, at));
            }
            // The events before it may have been dropped from the log. An erasure keeps nothing of them.
            (None, AccountEvent::Erased(_)) => {
                Self::registered(*id, &AccountRegistered::default(), version, at)
            }
            (None, _) => return None,
            (Some(account), _) => account,
        };
        match event {
            AccountEvent::Registered(_) => {}
            AccountEvent::Renamed(renamed) => account.display_name.clone_from(&renamed.display_name),
            AccountEvent::PasswordChanged(changed) => {
                account.password_hash.clone_from(&changed.password_hash);
                account.open_sessions.retain(|session| Some(*session) == changed.surviving_session);
                account.reset = None;
            }
            AccountEvent::PasswordRehashed(rehashed) => {
                account.password_hash.clone_from(&rehashed.password_hash);
            }
            AccountEvent::RolesChanged(changed) => account.roles.clone_from(&changed.roles),
            AccountEvent::Disabled(_) => {
                account.disabled = true;
                account.times_disabled = account.times_disabled.saturating_add(1);
                account.open_sessions.clear();
                account.reset = None;
            }
            AccountEvent::Enabled(_) => account.disabled = false,
            AccountEvent::SessionOpened(opened) => {
                account.open(opened);
                account.last_login_at = Some(at);
            }
            AccountEvent::SessionsEnded(_) => account.open_sessions.clear(),
            AccountEvent::TokenCreated(created) => account.add_program_token(ProgramToken::new(created, at)),
            AccountEvent::TokenUsed(used) => {
                let tokens = account.program_tokens.iter_mut();
                for token in tokens.filter(|token| token.id == used.token) {
                    token.last_used_at = Some(at);
                }
            }
            AccountEvent::TokenRevoked(revoked) => {
                account.program_tokens.retain(|token| token.id != revoked.token);
            }
            AccountEvent::SecondFactorEnrolled(enrolled) => {
                if account.confirmed_second_factor().is_none() {
                    account.second_factor = Some(SecondFactor::enrolled(enrolled));
                }
            }
            AccountEvent::SecondFactorConfirmed(confirmed) => {
                if let Some(factor) = &mut account.second_factor {
                    factor.pass(UsedCode::Totp(confirmed.step));
                }
            }
            AccountEvent::SecondFactorRemoved(_) => account.second_factor = None,
            AccountEvent::SecondFactorPassed(passed) => {
                if let Some(factor) = &mut account.second_factor {
                    factor.pass(passed.code);
                }
            }
            AccountEvent::SecondFactorRefused(_) => {
                if let Some(factor) = &mut account.second_factor {
                    factor.refuse(at);
                }
            }
            AccountEvent::ResetOffered(offered) => account.reset = Some(offered.into()),
            AccountEvent::PasswordReset(reset) => {
                account.password_hash.clone_from(&reset.password_hash);
                account.open_sessions.clear();
                account.reset = None;
                if reset.removes_second_factor {
                    account.second_factor = None;
                }
            }
            AccountEvent::Erased(_) => {
                account.erased = true;
                account.open_sessions.clear();
                account.last_login_at = None;
                account.program_tokens.clear();
                account.second_factor = None;
                account.reset = None;
                account.email.clear();
                account.display_name = None;
                account.password_hash = SecretHash::default();
                account.roles.clear();
            }
        }
        account.updated_at = at;
        account.version = version;
        Some(account)
    }
}

impl Account {
    /// Whether its sessions can be valid: it is neither disabled nor erased.
    pub const fn is_live(&self) -> bool {
        !self.disabled && !self.erased
    }

    /// The second factor that a login needs.
    pub fn confirmed_second_factor(&self) -> Option<&SecondFactor> {
        self.second_factor.as_ref().filter(|factor| factor.is_confirmed())
    }

    /// Whether the account lists `session` as open.
    pub fn has_open(&self, session: SessionId) -> bool {
        self.is_live() && self.open_sessions.contains(&session)
    }

    fn open(&mut self, opened: &AccountSessionOpened) {
        self.open_sessions.retain(|session| *session != opened.session && !opened.closed.contains(session));
        let surplus = (self.open_sessions.len() + 1).saturating_sub(MAX_OPEN_SESSIONS);
        self.open_sessions.drain(..surplus);
        self.open_sessions.push(opened.session);
    }

    fn add_program_token(&mut self, token: ProgramToken) {
        self.program_tokens.retain(|known| known.id != token.id);
        let surplus = (self.program_tokens.len() + 1).saturating_sub(MAX_PROGRAM_TOKENS);
        self.program_tokens.drain(..surplus);
        self.program_tokens.push(token);
    }

    fn registered(id: UserId, registered: &AccountRegistered, version: u64, at: Timestamp) -> Self {
        Self {
            id,
            email: registered.email.clone(),
            display_name: registered.display_name.clone(),
            password_hash: registered.password_hash.clone(),
            roles: BTreeSet::from([Role::User]),
            disabled: false,
            times_disabled: 0,
            open_sessions: Vec::new(),
            last_login_at: None,
            program_tokens: Vec::new(),
            second_factor: None,
            reset: None,
            erased: false,
            created_at: at,
            updated_at: at,
            version,
        }
    }
}
