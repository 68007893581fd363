//! Assembles the role and starts its background work.

use std::sync::Arc;

use anyhow::Context as _;
use bus::{Bus, BusCollector};
use database::Database;
use event_store::{EventStore, LogWatch};
use http_api::{Health, HttpService, Server, with_middleware};
use read_models::Projection;
use relay::{Election, Relay, RelayMetrics, RelayProgress};
use runtime::{Background, Metrics};

use crate::{
    app_state::AppState,
    changed_tasks::ChangedTasks,
    config::{Config, Dependencies},
    endpoints::concurrency_limits::ConcurrencyLimits,
    handling::{CommandHandler, CommandMetrics},
    housekeeping::keep_house,
    idempotency::{IdempotencyKeys, KEYS_PER_PERSON},
    routes::router,
    trash::Trash,
};

/// The role's name in metrics and logs.
const ROLE: &str = "command-api";

/// Starts the relay and the cleaning up in the `background`, and returns the role's router.
pub async fn start(
    config: Config,
    dependencies: Dependencies,
    background: &Background,
) -> anyhow::Result<HttpService> {
    let Dependencies { store, log: stored, bus, operations, read_models, verifier, clock } = dependencies;
    let metrics = Metrics::new(ROLE);
    BusCollector::register(Arc::clone(&bus), metrics.registry())?;
    let keys = IdempotencyKeys::new(operations.clone(), KEYS_PER_PERSON);
    if !operations.is_postgres() {
        // A SQLite file belongs to one process, so nobody holds the leases any more.
        keys.release_all().await.context("cannot write to the operations database")?;
    }
    let relay = Relay {
        store: stored,
        bus: Arc::clone(&bus),
        progress: RelayProgress::new(operations.clone()),
        election: Election::new(&operations),
        partitions: config.partitions,
        metrics: RelayMetrics::new(&metrics),
    };
    background.spawn("relay", relay.run(background.stop()));
    background.spawn("housekeeping", keep_house(operations.clone(), background.stop()));
    let health = health(&store, bus, &operations);
    let log = Arc::new(LogWatch::new(Arc::clone(&store)));
    let projection = Projection::new(read_models.clone(), Arc::clone(&store), config.partitions);
    projection.follow(background);
    let metrics_of_commands = CommandMetrics::new(&metrics);
    let handler = Arc::new(CommandHandler::new(
        store,
        Arc::clone(&log),
        operations,
        Arc::clone(&clock),
        metrics_of_commands,
    ));
    if let Some(kept_for) = config.trash_kept_for {
        let trash =
            Trash { handler: Arc::clone(&handler), read_models: read_models.clone(), clock, kept_for };
        background.spawn_until_stopped("trash", trash.empty(background.stop()));
    }
    let forgetting = Arc::clone(&handler);
    background.spawn_until_stopped("watch over the log", async move {
        log.run(|| forgetting.forget_all()).await;
    });
    Ok(with_middleware(
        router(AppState {
            handler,
            keys: Arc::new(keys),
            verifier,
            shares: Arc::new(ConcurrencyLimits::new()),
            changed_tasks: ChangedTasks::new(read_models, projection),
        }),
        ROLE,
        &metrics,
        health,
    ))
}

fn health(store: &Arc<dyn EventStore>, bus: Arc<dyn Bus>, operations: &Database) -> Health {
    Health::new()
        .server(Server::EventStore, Arc::clone(store), async |store| store.can_append().await)
        .bus(move || bus.is_connected())
        .server(Server::Operations, operations.clone(), async |operations| operations.can_write().await)
}
