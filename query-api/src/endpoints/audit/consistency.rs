//! `GET /audit/consistency?from=&to=`: a proof that the log only grew between two sizes (RFC 9162, section 2.1.4).

use api_types::ConsistencyProof;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;
use http_api::{BadParameter, Parameters};

use super::{FOR_A_MOMENT, admit_anyone, newest, number};
use crate::{app_state::AppState, error::ApiError};

/// Answers with the hashes of the proof. Without `to` it goes up to the last checkpoint.
pub(crate) async fn consistency(
    State(state): State<AppState>,
    mut parameters: Parameters,
) -> Result<Response, ApiError> {
    let from = parameters.single("from", number)?;
    let to = parameters.single("to", number)?;
    parameters.finish()?;
    let from = from.ok_or_else(|| BadParameter::new("from", "which size? It is needed"))?;
    let _admitted = admit_anyone(&state).await?;
    let tree = newest(&state).await?;
    let signed = state.audit_tree.last_checkpoint(&tree).await?;
    let size = signed.map_or(0, |signed| signed.checkpoint.size);
    let to = to.unwrap_or(size);
    if to > size {
        let detail = format!("the last checkpoint has {size} events");
        return Err(BadParameter::new("to", detail).into());
    }
    let hashes = state.audit_tree.consistency(&tree, from, to).await?;
    let hashes = hashes.ok_or_else(|| BadParameter::new("from", format!("it is larger than {to}")))?;
    let proof = ConsistencyProof { from, to, consistency: hashes.iter().map(ToString::to_string).collect() };
    Ok(([(header::CACHE_CONTROL, FOR_A_MOMENT)], Json(proof)).into_response())
}
