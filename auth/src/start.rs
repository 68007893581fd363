//! Starts the role: reads the keys, answers token checks, and serves the endpoints.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use auth_client::{KEYS_QUEUE, VERIFY_QUEUE, Verifier};
use axum::Router;
use bus::{Bus, BusCollector, Responder, ResponderOptions};
use http_api::Health;
use runtime::Background;
use tokio_util::sync::CancellationToken;

use crate::{
    account_snapshots::{AccountSnapshots, keep_few},
    aggregates::repository,
    auth::Auth,
    config::{Config, Dependencies},
    endpoints::concurrency_limits::ConcurrencyLimits,
    erasure::{finish_what_has_begun, replay_erasures, replay_new_erasures},
    key_count::count_keys,
    key_reload::KeyFiles,
    keys,
    metrics::Counters,
    password::{Hasher, Policy},
    projection::AwaitedProjection,
    public_keys::PublicKeys,
    routes::{AppState, routes},
    second_factor::Sealing,
    throttle::{Throttle, keep_bounded},
    token::AccessTokens,
    token_check::TokenCheck,
};

/// Everyone asks for the keys at the start, and seldom later.
const KEYS_OPTIONS: ResponderOptions = ResponderOptions {
    queue_limit: 1_000,
    concurrency: 4,
};
/// Between two attempts to answer token checks.
const SERVE_AGAIN: Duration = Duration::from_secs(1);

/// Starts answering token checks and returns the endpoints of auth. The first start on an empty event store
/// creates the keys.
///
/// # Errors
/// A sentence about the setting, file or server that cannot be used.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<Router> {
    config.validate().map_err(anyhow::Error::msg)?;
    let head = dependencies
        .store
        .head()
        .await
        .context("auth cannot read the event store")?;
    let directory = config.keys_directory.clone();
    let keys = tokio::task::spawn_blocking(move || keys::open(&directory, head == 0)).await??;

    BusCollector::register(Arc::clone(&dependencies.bus), dependencies.metrics.registry())?;
    let auth = Arc::new(Auth::new(&config, &dependencies, keys)?);
    // Before anybody is answered: the keys, or the log, may come from a backup.
    replay_erasures(&auth).await?;
    auth.recall_hash_costs().await;
    let check = Arc::new(TokenCheck(Arc::clone(&auth)));
    let options = ResponderOptions {
        queue_limit: config.check_queue,
        concurrency: config.check_concurrency,
    };
    answer_requests(&auth, Arc::clone(&check), options, background);
    keep_tidy(&auth, background);
    keep_up(&auth, background);

    let state = AppState {
        auth,
        verifier: Verifier::direct(check),
    };
    let metrics = dependencies.metrics.clone();
    let health = health(dependencies);
    Ok(http_api::with_middleware(routes(state), "auth", &metrics, health))
}

/// Answers the other roles, about tokens and with the public keys.
fn answer_requests(
    auth: &Arc<Auth>,
    check: Arc<TokenCheck>,
    options: ResponderOptions,
    background: &Background,
) {
    let bus = || Arc::clone(&auth.bus);
    let checks = answer(bus(), VERIFY_QUEUE, options, check, background.stop());
    background.spawn("token checks", checks);
    let keys = Arc::new(PublicKeys(Arc::clone(auth)));
    let keys = answer(bus(), KEYS_QUEUE, KEYS_OPTIONS, keys, background.stop());
    background.spawn("public keys", keys);
}

/// Deletes what is not needed any more, and finishes what was broken off.
fn keep_tidy(auth: &Arc<Auth>, background: &Background) {
    let tidying = keep_bounded(Arc::clone(&auth.throttle), background.stop());
    background.spawn("old counters of failed logins", tidying);
    let snapshots = keep_few(auth.operations.clone(), background.stop());
    background.spawn("old snapshots of accounts", snapshots);
    let finishing = finish_what_has_begun(Arc::clone(auth), background.stop());
    background.spawn_until_stopped("erasures that have begun", finishing);
    let replaying = replay_new_erasures(Arc::clone(auth), background.stop());
    background.spawn_until_stopped("erasures in the log", replaying);
}

/// Learns what operators and other processes have done.
fn keep_up(auth: &Arc<Auth>, background: &Background) {
    auth.projection.follow(background);
    let keys = Arc::clone(auth).keep_keys(background.stop());
    background.spawn_until_stopped("signing keys", keys);
    let costs = Arc::clone(auth).keep_recalling_hash_costs(background.stop());
    background.spawn_until_stopped("what hashes cost", costs);
    let counting = count_keys(Arc::clone(auth), background.stop());
    background.spawn_until_stopped("count of the keys of people", counting);
}

fn health(dependencies: Dependencies) -> Health {
    let Dependencies {
        store,
        bus,
        read_models,
        operations,
        ..
    } = dependencies;
    Health::new()
        .event_store(store, |store| async move { store.can_append().await })
        .bus(move || bus.is_connected())
        .operations(
            operations,
            |operations| async move { operations.can_write().await },
        )
        .read_models(read_models, |read_models| async move { read_models.ping().await })
}

impl Auth {
    pub(crate) fn new(
        config: &Config,
        dependencies: &Dependencies,
        keys: keys::Keys,
    ) -> anyhow::Result<Self> {
        let Dependencies {
            store,
            keys: subject_keys,
            bus,
            read_models,
            operations,
            clock,
            partitions,
            metrics,
            ..
        } = dependencies.clone();
        let hasher = Hasher::new(
            config.argon2,
            config.hashing_threads,
            config.hashing_queue,
            config.failed_login_time,
        )
        .context("passwords cannot be hashed")?;
        let password_policy = Policy::open(
            config.min_password_characters,
            config.breached_passwords.as_deref(),
        )?;
        let sealing = || Sealing::new(&keys.pepper).context("the pepper cannot seal");
        let snapshots = AccountSnapshots::new(operations.clone(), sealing()?);
        let sealing = sealing()?;
        let (issuer, audience) = (config.issuer.clone(), config.audience.clone());
        Ok(Self {
            accounts: repository(&store, &clock).with_snapshots(Arc::new(snapshots)),
            impersonal_accounts: repository(&store, &clock).impersonal(),
            sessions: repository(&store, &clock),
            impersonal_sessions: repository(&store, &clock).impersonal(),
            // Nothing in them is personal, and one person's key must not be in everybody's way.
            claims: repository(&store, &clock).impersonal(),
            admins: repository(&store, &clock).impersonal(),
            projection: AwaitedProjection::new(read_models.clone(), Arc::clone(&store), partitions),
            store,
            throttle: Arc::new(Throttle::new(operations.clone(), Arc::clone(&clock))),
            shares: ConcurrencyLimits::new(),
            clock,
            hasher,
            password_policy,
            tokens: AccessTokens::new(keys.keyring, issuer, audience, config.access_token_ttl),
            key_files: KeyFiles::new(config.keys_directory.clone()),
            pepper: keys.pepper,
            sealing,
            second_factor_roles: config.second_factor_roles.clone(),
            refresh_ttl_seconds: i64::try_from(config.session_ttl.as_secs()).unwrap_or(i64::MAX),
            idle_seconds: u32::try_from(config.session_idle.as_secs()).unwrap_or(u32::MAX),
            bus,
            subject_keys,
            read_models,
            operations,
            counters: Counters::new(&metrics),
        })
    }
}

/// Serves the queue until told to stop. The bus reconnects by itself; only a first connection can fail.
async fn answer(
    bus: Arc<dyn Bus>,
    queue: &str,
    options: ResponderOptions,
    responder: Arc<dyn Responder>,
    stop: CancellationToken,
) {
    loop {
        let served = bus
            .serve(queue, options, Arc::clone(&responder), stop.clone())
            .await;
        match served {
            Err(error) => tracing::warn!(%error, queue, "requests cannot be answered yet"),
            Ok(()) if stop.is_cancelled() => return,
            Ok(()) => tracing::warn!(queue, "answering requests ended early"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(SERVE_AGAIN) => {}
        }
    }
}
