//! Deletes payloads and keeps their hashes, in one transaction that does not block appends on PostgreSQL.

use std::collections::HashMap;

use database::{Database, DatabaseError, Dialect, list_parameter};
use events::{EventDigest, StoredPayload};

use super::record::{columns, stored};
use crate::{DropError, StoreError};

pub(super) async fn drop_payloads(database: &Database, events: &[EventDigest]) -> Result<u64, DropError> {
    const SQL: &str = "UPDATE events SET data = $2, data_sha256 = $3 WHERE position = $1";
    let unavailable = |error: DatabaseError| DropError::Store(StoreError::unavailable(error));
    let mut transaction = database.begin().await.map_err(unavailable)?;
    let select = format!(
        concat!("SELECT ", columns!(), " FROM events WHERE {}"),
        Dialect::of(database).one_of("position", "bigint", 1)
    );
    let positions = list_parameter(events.iter().map(|event| event.position));
    let rows = transaction.fetch_all(&select, &[positions]).await;
    let found = rows
        .map_err(unavailable)?
        .iter()
        .map(|row| stored(row).map(|event| (event.position, event)))
        .collect::<Result<HashMap<_, _>, _>>()?;
    let mut dropped = 0;
    for event in events {
        let there = found.get(&event.position);
        let Some(there) = there.filter(|there| there.digest() == *event) else {
            return Err(DropError::Differs(event.position));
        };
        let StoredPayload::Whole(data) = &there.data else {
            continue;
        };
        let values = [event.position.into(), Vec::new().into(), events::sha256_bytes(data).to_vec().into()];
        dropped += transaction.execute(SQL, &values).await.map_err(unavailable)?;
    }
    transaction.commit().await.map_err(unavailable)?;
    Ok(dropped)
}
