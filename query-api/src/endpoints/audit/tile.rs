//! `GET /audit/tile/…`: tiles of the tree and of its entries (C2SP `tlog-tiles`). They never change.

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use transparency_log::Tile;

use super::{admit_anyone, newest};
use crate::{app_state::App, error::ApiError};

const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// Answers with the hashes of the tile, as far as the last checkpoint covers it.
pub(crate) async fn tile(
    State(app): State<App>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let path = path.map_err(|_| ApiError::NotInTheTree)?;
    let tile = Tile::parse(&path).map_err(|_| ApiError::NotInTheTree)?;
    let _admitted = admit_anyone(&app).await?;
    let tree = newest(&app).await?;
    let bytes = app
        .audit
        .tree
        .tile(&tree, tile)
        .await?
        .ok_or(ApiError::NotInTheTree)?;
    let headers = [(header::CONTENT_TYPE, BYTES), (header::CACHE_CONTROL, FOR_EVER)];
    Ok((headers, bytes).into_response())
}
