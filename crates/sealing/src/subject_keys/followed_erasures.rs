//! Follows the erasures in the log, so that no erased person has a key again after the keys were restored from a
//! backup. The position is stored beside the keys, and is as old as they are.

use std::collections::BTreeSet;

use database::{left_out, readable_page};
use event_store::{EventStore, has_all, head_point};
use events::{EventId, LogPoint, UserId};
use runtime::signed;
use uuid::Uuid;

use super::{SubjectKeys, comparison::erased_between};
use crate::KeyError;

/// The erasures in a log up to some point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasures {
    /// Erased people whose key is not destroyed. Destroy these keys, then call [`SubjectKeys::remember`].
    pub revived: BTreeSet<UserId>,
    /// The point of the log.
    until: LogPoint,
    /// The number of people that were erased up to there.
    people: u64,
}

impl SubjectKeys {
    /// The erasures in `log`. Reading begins at the point of the last [`Self::remember`]. It begins at the start of
    /// the log if that point is from another history, or if fewer keys are destroyed than people were erased, so that
    /// some were restored.
    ///
    /// # Errors
    /// When the log or the database does not answer.
    pub async fn erasures(&self, log: &dyn EventStore) -> Result<Erasures, KeyError> {
        let until = head_point(log).await?;
        let (mut from, mut people) = self.followed().await?;
        let destroyed = self.count_destroyed().await?;
        if from.position > until.position || destroyed < people || !has_all(log, &[from]).await? {
            (from, people) = (LogPoint::START, 0);
        }
        let erased = erased_between(log, signed(from.position), signed(until.position)).await?;
        let destroyed = self.destroyed(&erased).await?;
        people += erased.len() as u64;
        Ok(Erasures { revived: erased.difference(&destroyed).copied().collect(), until, people })
    }

    /// Records that no key of [`Erasures::revived`] is left. Returns how many more keys are destroyed than people
    /// were erased.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remember(&self, erasures: &Erasures) -> Result<u64, KeyError> {
        const SQL: &str = "INSERT INTO followed_erasures (number, position, event, people) VALUES (1, $1, $2, $3)
             ON CONFLICT (number) DO UPDATE SET position = excluded.position, event = excluded.event, people = excluded.people";
        if let Some(event) = erasures.until.id
            && self.followed().await?.0 != erasures.until
        {
            let values = [erasures.until.position.into(), event.0.into(), erasures.people.into()];
            self.0.database.execute(SQL, &values).await?;
        }
        let destroyed = self.count_destroyed().await?;
        Ok(destroyed.saturating_sub(erasures.people))
    }

    /// Up to `limit` people after `after` whose keys are destroyed, in the order of their ids.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn destroyed_page(&self, after: Option<UserId>, limit: u64) -> Result<Vec<UserId>, KeyError> {
        const SQL: &str = "SELECT subject FROM data_keys WHERE destroyed_at IS NOT NULL AND subject > $1
             ORDER BY subject LIMIT $2";
        let after = after.map_or_else(Uuid::nil, |after| after.0);
        let values = vec![after.into(), limit.into()];
        let page = readable_page(&self.0.database, "data_keys", &["subject"], SQL, values, |row| {
            Ok(UserId(row.uuid("subject")?))
        });
        Ok(page.await?)
    }

    /// The point up to which the log was followed, and the number of people erased up to there. If that cannot be
    /// read, the log is followed from its beginning.
    async fn followed(&self) -> Result<(LogPoint, u64), KeyError> {
        let sql = "SELECT position, event, people FROM followed_erasures";
        let Some(row) = self.0.database.fetch_optional(sql, &[]).await? else {
            return Ok((LogPoint::START, 0));
        };
        let followed = || {
            let point = LogPoint { position: row.unsigned(0)?, id: Some(EventId(row.uuid(1)?)) };
            Ok((point, row.unsigned(2)?))
        };
        let followed = left_out("followed_erasures", 0_usize, &row, followed());
        Ok(followed.unwrap_or((LogPoint::START, 0)))
    }
}
