//! Starts the role: reads the keys, answers token checks, and serves the endpoints.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use auth_client::{KEYS_QUEUE, VERIFY_QUEUE, Verifier};
use bus::{Bus, BusCollector, Responder, ResponderOptions};
use http_api::{Health, HttpService, Server};
use runtime::{Background, Metrics, Rounds, read_at_start};
use tokio_util::sync::CancellationToken;

use crate::{
    account_snapshots,
    app_state::{App, AppState},
    config::{Config, Dependencies},
    erasure::{erase_leftovers, finish_pending_erasures, replay_erasures, replay_new_erasures},
    keys,
    metrics::Counters,
    password::Policy,
    pepper_check::check_pepper,
    public_keys::PublicKeys,
    routes::routes,
    subject_key_metrics::count_keys,
    throttle,
    token_check::TokenCheck,
};

/// The role's name in metrics and logs.
pub(crate) const ROLE: &str = "auth";
/// The limits of requests for the keys, which every role sends at the start and seldom later.
const KEYS_OPTIONS: ResponderOptions = ResponderOptions { queue_limit: 1_000, concurrency: 4 };
/// The pause between two attempts to answer requests.
const SERVE_RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Checks the file of breached passwords, if there is one.
///
/// # Errors
/// When it cannot be used.
pub fn check_breached_passwords(config: &Config) -> anyhow::Result<()> {
    let breached = config.breached_passwords.as_deref();
    Policy::open(config.min_password_characters, breached)?;
    Ok(())
}

/// Starts answering token checks and returns the endpoints of auth. The first start on an empty event store
/// creates the keys.
///
/// # Errors
/// A sentence about the setting, file or server that cannot be used.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<HttpService> {
    config.validate().map_err(anyhow::Error::msg)?;
    let head = dependencies.store.head().await.context("auth cannot read the event store")?;
    let files = config.clone();
    let read = read_at_start(move || {
        let keys = keys::open(&files.keys_directory, head == 0)?;
        let policy = Policy::open(files.min_password_characters, files.breached_passwords.as_deref())?;
        anyhow::Ok((keys, policy))
    });
    let (keys, password_policy) = read.await.context("auth cannot read its files")??;
    check_pepper(&config.keys_directory, &*dependencies.store, &keys.pepper).await?;

    let metrics = Metrics::new(ROLE);
    BusCollector::register(Arc::clone(&dependencies.bus), metrics.registry())?;
    let counters = Counters::new(&metrics);
    let app = App::new(&config, &dependencies, keys, password_policy, counters)?;
    let app = Arc::new(app);
    // Before anybody is answered: the keys, or the log, may come from a backup.
    replay_erasures(&app).await?;
    app.recall_hash_costs().await;
    let check = Arc::new(TokenCheck(Arc::clone(&app)));
    let options = ResponderOptions { queue_limit: config.check_queue, concurrency: config.check_concurrency };
    answer_requests(&app, &dependencies.bus, Arc::clone(&check), options, background);
    spawn_cleanup(&app, background);
    spawn_refreshing(&app, background);

    let state = AppState { app, verifier: Verifier::direct(check) };
    let health = health(dependencies);
    Ok(http_api::with_middleware(routes(state), ROLE, &metrics, health))
}

/// Answers the other roles, about tokens and with the public keys.
fn answer_requests(
    app: &Arc<App>,
    bus: &Arc<dyn Bus>,
    check: Arc<TokenCheck>,
    options: ResponderOptions,
    background: &Background,
) {
    let checks = answer(Arc::clone(bus), VERIFY_QUEUE, options, check, background.stop());
    background.spawn("token checks", checks);
    let keys = Arc::new(PublicKeys(Arc::clone(app)));
    let keys = answer(Arc::clone(bus), KEYS_QUEUE, KEYS_OPTIONS, keys, background.stop());
    background.spawn("public keys", keys);
}

/// Deletes what is not needed any more, and finishes what was interrupted.
fn spawn_cleanup(app: &Arc<App>, background: &Background) {
    let tidying = throttle::keep_cleaning_up(Arc::clone(&app.throttle), background.stop());
    background.spawn("old counters of failed logins", tidying);
    let snapshots = account_snapshots::keep_cleaning_up(app.operations.clone(), background.stop());
    background.spawn("old snapshots of accounts", snapshots);
    let finishing = finish_pending_erasures(Arc::clone(app), background.stop());
    background.spawn_until_stopped("erasures that have begun", finishing);
    let replaying = replay_new_erasures(Arc::clone(app), background.stop());
    background.spawn_until_stopped("erasures in the log", replaying);
    let leftovers = erase_leftovers(Arc::clone(app), background.stop());
    background.spawn_until_stopped("what is left of erased people", leftovers);
}

/// Learns what operators and other processes have done.
fn spawn_refreshing(app: &Arc<App>, background: &Background) {
    app.projection.follow(background);
    let keys = Arc::clone(&app.key_reload).keep_renewing(background.stop());
    background.spawn_until_stopped("signing keys", keys);
    let costs = Arc::clone(app).keep_recalling_hash_costs(background.stop());
    background.spawn_until_stopped("what hashes cost", costs);
    let counting = count_keys(Arc::clone(app), background.stop());
    background.spawn_until_stopped("count of the keys of people", counting);
}

fn health(dependencies: Dependencies) -> Health {
    let bus = dependencies.bus;
    Health::new()
        .server(Server::EventStore, dependencies.store, async |store| store.can_append().await)
        .bus(move || bus.is_connected())
        .server(Server::Operations, dependencies.operations, async |operations| operations.can_write().await)
        .server(Server::ReadModels, dependencies.read_models, async |read_models| read_models.ping().await)
}

/// Serves the queue until `stop` is cancelled. The bus reconnects by itself; only a first connection can fail.
async fn answer(
    bus: Arc<dyn Bus>,
    queue: &str,
    options: ResponderOptions,
    responder: Arc<dyn Responder>,
    stop: CancellationToken,
) {
    let mut rounds = Rounds::every(SERVE_RETRY_INTERVAL, stop.clone());
    while rounds.next().await {
        let serving = bus.serve(queue, options, Arc::clone(&responder), stop.clone());
        match serving.await {
            Err(error) => tracing::warn!(%error, queue, "requests cannot be answered yet"),
            Ok(()) if stop.is_cancelled() => {}
            Ok(()) => tracing::warn!(queue, "answering requests ended early"),
        }
    }
}
