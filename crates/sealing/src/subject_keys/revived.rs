//! After the keys were restored from a backup: whose key is there again, although the log has erased them.

use event_store::EventStore;
use events::{StreamKind, StreamName, UserId};

use super::{AT_ONCE, SubjectKey, SubjectKeys};
use crate::KeyError;

/// Records of the log that are read at once.
const PAGE: usize = 2_000;
/// What the log says of somebody who was erased.
const ERASED: &str = "account.erased";

impl SubjectKeys {
    /// Those whom `log` has erased and whose keys are not destroyed. Reads the whole log.
    ///
    /// # Errors
    /// When the log or the database does not answer.
    pub async fn revived(&self, log: &dyn EventStore) -> Result<Vec<UserId>, KeyError> {
        let erased = erased_in(log).await?;
        let mut revived = Vec::new();
        for some in erased.chunks(AT_ONCE) {
            let keys = self.load(some).await?;
            let is_destroyed = |subject: &UserId| {
                keys.iter()
                    .any(|(of, key)| of == subject && matches!(key, SubjectKey::Destroyed))
            };
            revived.extend(some.iter().filter(|subject| !is_destroyed(subject)));
        }
        Ok(revived)
    }
}

async fn erased_in(log: &dyn EventStore) -> Result<Vec<UserId>, KeyError> {
    let (mut erased, mut after) = (Vec::new(), 0);
    loop {
        let page = log.stored_page(after, PAGE).await?;
        for event in &page.events {
            after = event.position;
            if event.kind == ERASED
                && let Ok(StreamKind::Account(id)) = StreamName::raw(event.stream.as_str()).kind()
            {
                erased.push(id);
            }
        }
        if !page.more || page.events.is_empty() {
            return Ok(erased);
        }
    }
}
