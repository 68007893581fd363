//! `GET /audit/proof?position=`: that an event is in the log (C2SP `tlog-proof`).

use std::time::Duration;

use audit_tree::{SignedCheckpoint, Tree};
use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use http::header;
use http_api::{BadParameter, Parameters};
use tokio::time::{Instant, sleep};

use super::{ANYONE, FOR_A_MOMENT, TEXT, admit_anyone, newest, number};
use crate::{app::App, error::ApiError};

/// How long an event that is in the log may take to be in a checkpoint.
const PATIENCE: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Answers with the proof, in the tree of the last checkpoint.
pub(crate) async fn proof(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Response, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref().unwrap_or_default())?;
    let position = parameters.single("position", number)?;
    parameters.finish()?;
    let position = position.ok_or_else(|| BadParameter::new("position", "of which event? It is needed"))?;
    let (tree, signed) = covered(&app, position).await?;
    let _admitted = admit_anyone(&app).await?;
    let audit = &app.audit;
    let index = audit.tree.index_of(&tree, &*audit.store, position).await?;
    let proof = match index {
        Some(index) => audit.tree.inclusion(&tree, index, &signed).await?,
        None => None,
    };
    let proof = proof.ok_or(ApiError::NotInTheTree)?;
    let headers = [
        (header::CONTENT_TYPE, TEXT),
        (header::CACHE_CONTROL, FOR_A_MOMENT),
    ];
    Ok((headers, proof.to_string()).into_response())
}

/// The tree and its last checkpoint once that covers the event; what has just been appended is waited for.
async fn covered(app: &App, position: u64) -> Result<(Tree, SignedCheckpoint), ApiError> {
    let _place = app.admission.await_projection(ANYONE)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let tree = newest(app).await?;
        let signed = app.audit.tree.last_checkpoint(&tree).await?;
        let is_there = position <= tree.last.position
            && signed
                .as_ref()
                .is_some_and(|signed| signed.checkpoint.size == tree.size);
        if let Some(signed) = signed
            && (is_there || Instant::now() >= deadline)
        {
            return Ok((tree, signed));
        }
        if position > tree.last.position && position > app.audit.store.head().await?
            || Instant::now() >= deadline
        {
            return Err(ApiError::NotInTheTree);
        }
        sleep(LOOK_EVERY).await;
    }
}
