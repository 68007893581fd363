//! `GET /audit/tile/…`: tiles of the tree and of its entries (C2SP `tlog-tiles`).

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use http::{HeaderMap, HeaderValue, header};
use transparency_log::Tile;

use super::{admit_anyone, newest};
use crate::{app_state::AppState, endpoints::tagged::tagged, error::ApiError};

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// A tile of a tree never changes, but its path does not name the tree: after a repair another one begins under it.
const FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// Answers with the hashes of the tile, if the last checkpoint covers it.
pub(crate) async fn tile(
    State(state): State<AppState>,
    path: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let path = path.map_err(|_| ApiError::NotInTheTree)?;
    let tile = Tile::parse(&path).map_err(|_| ApiError::NotInTheTree)?;
    let _admitted = admit_anyone(&state).await?;
    let tree = newest(&state).await?;
    let audit = &state.audit_tree;
    let last = audit.last_checkpoint(&tree).await?;
    if !last.is_some_and(|last| tile.is_within(last.checkpoint.size)) {
        return Err(ApiError::NotInTheTree);
    }
    let bytes = audit.tile(&tree, tile).await?.ok_or(ApiError::NotInTheTree)?;
    let answer = HeaderMap::from_iter([(header::CACHE_CONTROL, FOR_AN_HOUR)]);
    tagged(&headers, answer, BYTES, bytes)
}
