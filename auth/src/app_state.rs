//! The dependencies of all endpoints, commands of operators and background work.

use std::sync::Arc;

use anyhow::Context;
use auth_client::{ISSUER, Verifier};
use axum::extract::FromRef;
use database::Database;
use event_store::EventStore;
use runtime::Clock;
use sealing::SubjectKeys;

use crate::{
    account_snapshots::AccountSnapshots,
    accounts::Accounts,
    config::{Config, Dependencies},
    effective_roles::EffectiveRoles,
    endpoints::concurrency_limits::ConcurrencyLimits,
    key_reload::KeyReload,
    keys::{AccountCipher, Keys, Pepper},
    metrics::Counters,
    password::{Hasher, Policy},
    projection::AwaitedProjection,
    revocations::Revocations,
    sessions::Sessions,
    throttle::Throttle,
    token::AccessTokens,
};

/// What the parts of the role share.
pub(crate) struct App {
    pub(crate) accounts: Accounts,
    pub(crate) sessions: Sessions,
    pub(crate) roles: EffectiveRoles,
    pub(crate) revocations: Revocations,
    pub(crate) hasher: Hasher,
    pub(crate) password_policy: Policy,
    pub(crate) throttle: Arc<Throttle>,
    pub(crate) tokens: Arc<AccessTokens>,
    pub(crate) key_reload: Arc<KeyReload>,
    pub(crate) pepper: Pepper,
    pub(crate) cipher: AccountCipher,
    pub(crate) idle_seconds: u32,
    pub(crate) limits: ConcurrencyLimits,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) subject_keys: SubjectKeys,
    pub(crate) operations: Database,
    pub(crate) read_models: Database,
    pub(crate) projection: AwaitedProjection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) counters: Counters,
}

#[derive(Clone)]
pub(crate) struct AppState {
    pub(crate) app: Arc<App>,
    pub(crate) verifier: Arc<Verifier>,
}

impl FromRef<AppState> for Arc<App> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.app)
    }
}

impl FromRef<AppState> for Arc<Verifier> {
    fn from_ref(state: &AppState) -> Self {
        Self::clone(&state.verifier)
    }
}

impl App {
    pub(crate) fn new(
        config: &Config,
        dependencies: &Dependencies,
        keys: Keys,
        password_policy: Policy,
        counters: Counters,
    ) -> anyhow::Result<Self> {
        let Dependencies { store, keys: subject_keys, bus, read_models, operations, clock, partitions } =
            dependencies.clone();
        let hasher = Hasher::new(
            config.argon2,
            config.hashing_threads,
            config.hashing_queue,
            config.failed_login_time,
        )
        .context("passwords cannot be hashed")?;
        let cipher = || AccountCipher::new(&keys.pepper).context("the pepper cannot encrypt");
        let snapshots = AccountSnapshots::new(operations.clone(), cipher()?);
        let cipher = cipher()?;
        let revocations = Revocations::new(bus);
        let tokens = Arc::new(AccessTokens::new(
            keys.keyring,
            ISSUER.to_owned(),
            ISSUER.to_owned(),
            config.access_token_ttl,
        ));
        let directory = config.keys_directory.clone();
        let key_reload = KeyReload::new(directory, Arc::clone(&tokens), revocations.clone());
        Ok(Self {
            accounts: Accounts::new(Arc::clone(&store), &clock, snapshots, counters.admins_to_name.clone()),
            sessions: Sessions::new(&store, &clock, revocations.clone(), counters.ended_sessions.clone()),
            roles: EffectiveRoles::new(config.second_factor_roles.clone()),
            revocations,
            hasher,
            password_policy,
            throttle: Arc::new(Throttle::new(operations.clone(), Arc::clone(&clock))),
            tokens,
            key_reload: Arc::new(key_reload),
            pepper: keys.pepper,
            cipher,
            idle_seconds: u32::try_from(config.session_idle.as_secs()).unwrap_or(u32::MAX),
            limits: ConcurrencyLimits::new(),
            subject_keys,
            operations,
            projection: AwaitedProjection::new(read_models.clone(), Arc::clone(&store), partitions),
            read_models,
            store,
            clock,
            counters,
        })
    }
}
