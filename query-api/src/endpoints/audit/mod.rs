//! The endpoints of the audit tree. Hashes reveal nothing without the events, so everything but the export is public.

pub(crate) mod checkpoint;
pub(crate) mod consistency;
pub(crate) mod export;
pub(crate) mod proof;
pub(crate) mod tile;

use audit_tree::Tree;
use events::UserId;
use http::HeaderValue;
use http_api::whole_number;
use uuid::Uuid;

use crate::{
    admission::{Admitted, Cost},
    app_state::AppState,
    error::ApiError,
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// `Cache-Control` of resources that the next checkpoint replaces.
const FOR_A_MOMENT: HeaderValue = HeaderValue::from_static("public, max-age=1");

/// All anonymous callers count as one person.
const ANYONE: UserId = UserId(Uuid::nil());

/// Admits an anonymous caller; all of them share one person's part of the connections.
async fn admit_anyone(state: &AppState) -> Result<Admitted, ApiError> {
    Ok(state.admission.admit(ANYONE, Cost::Ordinary).await?)
}

async fn newest(state: &AppState) -> Result<Tree, ApiError> {
    state.audit_tree.newest().await?.ok_or(ApiError::NotInTheTree)
}

fn number(text: &str) -> Result<u64, String> {
    whole_number(0..=i64::MAX.unsigned_abs())(text)
}
