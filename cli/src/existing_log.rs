//! Opens the log for commands that need one. Nothing is created or migrated. Where the log is lost they say so, and do
//! not recommend what would put an empty one in its place.

use std::sync::Arc;

use database::Schema;
use event_store::EventStore;
use sealing::{KeyError, SealedStore, SubjectKeys};

use crate::{
    existing_database,
    platform::{self, EventLog},
    settings::Settings,
};

/// Opens the log with sealed events. A log whose import has not ended is refused.
pub(crate) async fn event_store(settings: &Settings) -> anyhow::Result<Arc<dyn EventStore>> {
    let storage = &settings.storage;
    let Some(store) = platform::find_event_store(storage).await? else {
        return Err(existing_database::absence(settings, Schema::EventStore).await?);
    };
    platform::require_whole(storage, &*store).await?;
    Ok(store)
}

pub(crate) async fn event_log(settings: &Settings) -> anyhow::Result<EventLog> {
    platform::event_log_of(settings, event_store(settings).await?).await
}

/// Opens the log with opened events for reading. Fails if events of the log are sealed and there are no keys, since
/// every sealed event would be taken for one that cannot be read.
pub(crate) async fn opened_event_store(settings: &Settings) -> anyhow::Result<Arc<dyn EventStore>> {
    let stored = event_store(settings).await?;
    let keys = platform::existing_subject_keys_of(settings, &*stored).await?;
    Ok(opened(stored, keys))
}

/// Does the same for commands that only show events. Without keys, or without a master key here, they show what can be
/// read.
pub(crate) async fn event_store_to_show(settings: &Settings) -> anyhow::Result<Arc<dyn EventStore>> {
    let stored = event_store(settings).await?;
    let keys = match platform::existing_subject_keys(settings).await {
        Err(error) if matches!(error.downcast_ref::<KeyError>(), Some(KeyError::Missing(_))) => {
            crate::complain(&format!("what is sealed stays so: {error:#}"));
            None
        }
        keys => keys?,
    };
    Ok(opened(stored, keys))
}

/// The log `stored` with its events opened, if there are `keys`.
pub(crate) fn opened(stored: Arc<dyn EventStore>, keys: Option<SubjectKeys>) -> Arc<dyn EventStore> {
    match keys {
        Some(keys) => SealedStore::over(stored, keys),
        None => stored,
    }
}
