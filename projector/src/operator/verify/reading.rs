//! Reads the log page by page and folds the events.

use event_store::{EventStore, StoreError};
use events::StreamName;

use crate::projecting::{
    decode::{Decoded, decode},
    fold::{Fold, GapPolicy, HoleFound},
};

/// The most rows and events that are read at once.
pub(super) const PAGE: usize = 2_000;

/// Folds one event. An event that does not fit is parked, so missing events are never reported.
pub(super) fn fold_in(fold: &mut Fold, event: Decoded) {
    let (Ok(()) | Err(HoleFound)) = fold.take(&event, None, GapPolicy::Park);
}

/// Gives every event of `stream` to `each`, with no more than a page of them in memory.
pub(super) async fn each_of_stream(
    store: &dyn EventStore,
    stream: &StreamName,
    mut each: impl FnMut(Decoded),
) -> Result<(), StoreError> {
    let mut version = 0;
    loop {
        let page = store.stream_page(stream, version, PAGE).await?;
        let (more, last) = (page.more, page.version());
        decode(store, page.entries).await?.into_iter().for_each(&mut each);
        match last {
            Some(last) if more && last > version => version = last,
            _ => return Ok(()),
        }
    }
}
