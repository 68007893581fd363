//! The progress of the relay in SQL: up to where the log is published, and the last position of each partition.

use database::{Database, DatabaseError, Row, readable};
use events::{EventId, LogPoint, PartitionCount};

use crate::partition_sequence::PartitionSequence;

/// The table with the progress of the relay, for each number of partitions.
#[derive(Debug, Clone)]
pub struct RelayProgress {
    operations: Database,
}

impl RelayProgress {
    /// The table in `operations`.
    pub fn new(operations: Database) -> Self {
        Self { operations }
    }

    /// The saved progress for this number of partitions, if any. It may belong to another history of the log. If a part
    /// of it cannot be read, there is none.
    pub(crate) async fn load(
        &self,
        partitions: PartitionCount,
    ) -> Result<Option<PartitionSequence>, DatabaseError> {
        let rows = self
            .operations
            .fetch_all(
                "SELECT partition, position, read_up_to, event_id FROM relay_progress WHERE partitions = $1",
                &[partitions.get().into()],
            )
            .await?;
        let mut sequence = PartitionSequence::after(partitions, LogPoint::START);
        let parts = readable("relay_progress", "partition", &rows, |row| {
            let partition = row.unsigned("partition")?;
            let partition =
                u16::try_from(partition).ok().filter(|partition| *partition < partitions.get()).ok_or_else(
                    || DatabaseError::Unexpected(format!("relay_progress has a partition {partition}")),
                )?;
            Ok((partition, row.unsigned("position")?, read_up_to(row)?))
        });
        if parts.len() != usize::from(partitions.get()) {
            return Ok(None);
        }
        for (partition, position, read_up_to) in parts {
            sequence.restore(partition, position, read_up_to);
        }
        Ok(Some(sequence))
    }

    /// Saves the progress. It may be lower than what was saved before, since a restored log is shorter.
    pub(crate) async fn save(&self, sequence: &PartitionSequence) -> Result<(), DatabaseError> {
        const POSTGRES: &str =
            "INSERT INTO relay_progress (partitions, partition, position, read_up_to, event_id)
            SELECT CAST($1 AS BIGINT), place.number - 1, CAST(place.position AS BIGINT), CAST($3 AS BIGINT),
                CAST($4 AS UUID)
            FROM json_array_elements_text(CAST(CAST($2 AS TEXT) AS JSON)) WITH ORDINALITY
                AS place (position, number)";
        const SQLITE: &str =
            "INSERT INTO relay_progress (partitions, partition, position, read_up_to, event_id)
            SELECT $1, place.key, place.value, $3, $4 FROM json_each($2) AS place";
        let sql = if self.operations.is_postgres() { POSTGRES } else { SQLITE };
        // One statement: nothing is published meanwhile.
        let sql = format!(
            "{sql} WHERE TRUE ON CONFLICT (partitions, partition) DO UPDATE
             SET position = excluded.position, read_up_to = excluded.read_up_to, event_id = excluded.event_id"
        );
        let positions: Vec<_> = sequence.positions().map(|(_, position)| position.to_string()).collect();
        let values = [
            sequence.partitions().get().into(),
            format!("[{}]", positions.join(",")).into(),
            sequence.read_up_to().position.into(),
            sequence.read_up_to().id.map(|id| id.0).into(),
        ];
        self.operations.execute(&sql, &values).await.map(drop)
    }
}

/// The last event that was published, according to a row of the table.
pub(crate) fn read_up_to(row: &Row) -> Result<LogPoint, DatabaseError> {
    Ok(LogPoint { position: row.unsigned("read_up_to")?, id: row.optional_uuid("event_id")?.map(EventId) })
}

#[cfg(test)]
mod tests {
    use test_support::{Footing, TestStorage, on_both_footings};

    use super::*;

    async fn what_is_saved_is_loaded(footing: Footing) {
        let storage = TestStorage::new(footing).await;
        let progress = RelayProgress::new(storage.operations().await);
        let partitions = PartitionCount::new(256).unwrap();
        for start in [7, 9, 8] {
            let point = |position| LogPoint { position, id: Some(EventId(runtime::new_id())) };
            let mut sequence = PartitionSequence::after(partitions, point(start));
            sequence.restore(3, 1, point(start));
            progress.save(&sequence).await.unwrap();
            assert_eq!(progress.load(partitions).await.unwrap(), Some(sequence));
        }
    }

    on_both_footings!(what_is_saved_is_loaded);

    #[tokio::test]
    async fn postgres_all_partitions_are_saved_in_one_statement() {
        let storage = TestStorage::new(Footing::Postgres).await;
        let operations = storage.operations().await;
        for sql in [
            "CREATE SEQUENCE statements",
            "CREATE FUNCTION count_statement() RETURNS trigger LANGUAGE plpgsql
             AS $$ BEGIN PERFORM nextval('statements'); RETURN NULL; END $$",
            "CREATE TRIGGER count_statement AFTER INSERT ON relay_progress
             FOR EACH STATEMENT EXECUTE FUNCTION count_statement()",
        ] {
            operations.execute(sql, &[]).await.unwrap();
        }
        let partitions = PartitionCount::new(256).unwrap();
        let progress = RelayProgress::new(operations.clone());
        let sequence = PartitionSequence::after(partitions, LogPoint::START);
        progress.save(&sequence).await.unwrap();
        let rows = operations.fetch_all("SELECT last_value FROM statements", &[]).await.unwrap();
        assert_eq!(rows[0].unsigned("last_value").unwrap(), 1);
    }
}
