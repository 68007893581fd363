//! `GET /audit/proof?position=&id=`: a proof that an event is in the log (C2SP `tlog-proof`). With the event's id, it
//! also contains the entry of the event: a receipt.

use std::time::Duration;

use audit_tree::{SignedCheckpoint, Tree};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use events::{EventDigest, EventId, StoredEvent};
use http::header;
use http_api::{BadParameter, Parameters};
use tokio::time::{Instant, sleep};

use super::{ANYONE, FOR_A_MOMENT, TEXT, admit_anyone, newest, number};
use crate::{app_state::AppState, error::ApiError};

/// How long it waits until a checkpoint covers an event.
const TIMEOUT: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Answers with the proof, in the tree of the last checkpoint.
pub(crate) async fn proof(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Response, ApiError> {
    let position = parameters.single("position", number)?;
    let id = parameters
        .single("id", |text| text.parse::<EventId>().map_err(|_| "expected the id of an event".to_owned()))?;
    parameters.finish()?;
    let position = position.ok_or_else(|| BadParameter::new("position", "of which event? It is needed"))?;
    let Covered { tree, index, checkpoint } = covered(&state, position).await?;
    let _admitted = admit_anyone(&state).await?;
    let proof = state.audit_tree.inclusion(&tree, index, &checkpoint).await?;
    let mut proof = proof.ok_or(ApiError::NotInTheTree)?;
    if let Some(id) = id {
        proof.extra = Some(event(&state, position, id).await?.canonical());
    }
    let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, FOR_A_MOMENT)];
    Ok((headers, proof.to_string()).into_response())
}

/// The entry of the event at `position`, if it has this id.
async fn event(state: &AppState, position: u64, id: EventId) -> Result<EventDigest, ApiError> {
    let found = state.store.stored_at(position).await?;
    let is_asked_for = |event: &EventDigest| event.id.parse() == Ok(id);
    let found = found.as_ref().map(StoredEvent::digest).filter(is_asked_for);
    found.ok_or(ApiError::NotInTheTree)
}

/// An event of the tree, and the last checkpoint, which has it.
struct Covered {
    tree: Tree,
    index: u64,
    checkpoint: SignedCheckpoint,
}

/// The event at `position` once a checkpoint covers it; waits for an event that was just appended.
async fn covered(state: &AppState, position: u64) -> Result<Covered, ApiError> {
    let _place = state.admission.await_projection(ANYONE)?;
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(covered) = look(state, position).await? {
            return Ok(covered);
        }
        if Instant::now() >= deadline {
            return Err(ApiError::NotInTheTree);
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// The event at `position`, or nothing as long as the checkpoint that covers it is to come.
async fn look(state: &AppState, position: u64) -> Result<Option<Covered>, ApiError> {
    let _admitted = admit_anyone(state).await?;
    let tree = newest(state).await?;
    if position > tree.last.position {
        return match position <= state.store.head().await? {
            true => Ok(None),
            false => Err(ApiError::NotInTheTree),
        };
    }
    let audit = &state.audit_tree;
    let index = audit.index_of(&tree, &*state.store, position).await?;
    let index = index.ok_or(ApiError::NotInTheTree)?;
    let last = audit.last_checkpoint(&tree).await?;
    let covering = last.filter(|last| index < last.checkpoint.size);
    Ok(covering.map(|checkpoint| Covered { tree, index, checkpoint }))
}
