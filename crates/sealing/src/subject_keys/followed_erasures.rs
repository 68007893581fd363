//! The erasures in the log, followed from where they were followed last: so that whoever was erased has no key again when the
//! keys were restored from a backup. How far that is stands beside the keys, and is as old as they are.

use std::collections::BTreeSet;

use event_store::{EventStore, agrees, head_point};
use events::{EventId, LogPoint, UserId};
use uuid::Uuid;

use super::{SubjectKeys, comparison::erased_between};
use crate::KeyError;

/// The erasures in a log up to a point of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasures {
    /// Whom the log has erased, and whose key is not destroyed. Destroy these keys, then [`SubjectKeys::remember`].
    pub revived: BTreeSet<UserId>,
    /// Up to where.
    until: LogPoint,
    /// How many people the log has erased up to there.
    people: u64,
}

impl SubjectKeys {
    /// The erasures in `log`. It is read from where [`Self::remember`] was called last, or from its beginning, if that place was in
    /// another history of it, or if fewer keys are destroyed than it has erased people: then some were put back.
    ///
    /// # Errors
    /// When the log or the database does not answer.
    pub async fn erasures(&self, log: &dyn EventStore) -> Result<Erasures, KeyError> {
        let until = head_point(log).await?;
        let (mut from, mut people) = self.followed().await?;
        let destroyed = self.count().await?.destroyed;
        if from.position > until.position
            || destroyed < people
            || !agrees(log, &[from]).await?.contains(&true)
        {
            (from, people) = (LogPoint::START, 0);
        }
        let erased = erased_between(log, signed(from.position), signed(until.position)).await?;
        let destroyed = self.destroyed(&erased).await?;
        people += erased.len() as u64;
        Ok(Erasures {
            revived: erased.difference(&destroyed).copied().collect(),
            until,
            people,
        })
    }

    /// Remembers that nobody is [`Erasures::revived`] any more. Returns how many more keys are destroyed than the log has erased
    /// people.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remember(&self, erasures: &Erasures) -> Result<u64, KeyError> {
        const SQL: &str = "INSERT INTO followed_erasures (number, position, event, people) VALUES (1, $1, $2, $3)
             ON CONFLICT (number) DO UPDATE SET position = excluded.position, event = excluded.event, people = excluded.people";
        if let Some(event) = erasures.until.id
            && self.followed().await?.0 != erasures.until
        {
            let values = [
                erasures.until.position.into(),
                event.0.into(),
                erasures.people.into(),
            ];
            self.0.database.execute(SQL, &values).await?;
        }
        let destroyed = self.count().await?.destroyed;
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
        let rows = self
            .0
            .database
            .fetch_all(SQL, &[after.into(), limit.into()])
            .await?;
        let read = rows.iter().map(|row| Ok(UserId(row.uuid(0)?)));
        read.collect()
    }

    /// Up to where the log was followed, and how many people it had erased up to there.
    async fn followed(&self) -> Result<(LogPoint, u64), KeyError> {
        let sql = "SELECT position, event, people FROM followed_erasures";
        let Some(row) = self.0.database.fetch_optional(sql, &[]).await? else {
            return Ok((LogPoint::START, 0));
        };
        let point = LogPoint {
            position: row.unsigned(0)?,
            id: Some(EventId(row.uuid(1)?)),
        };
        Ok((point, row.unsigned(2)?))
    }
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}
