//! `GET /audit/events`: the audit trail, the newest first. People see events about themselves, auditors see all.

use auth_client::AuditReader;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use events::{Actor, Due, Role, UserId};
use http::HeaderMap;
use http_api::{AtLeast, BadParameter, Parameters, request_id_of};

use super::{MAX_LIMIT, consistency::reached};
use crate::{
    admission::Cost,
    app_state::AppState,
    audit::{self, AuditCursor, AuditFilter},
    error::ApiError,
    tasks::{QueryError, TIMEOUT},
};

const DEFAULT_LIMIT: u16 = 50;
/// The longest name in a filter, in characters. None in the audit trail is longer.
const MAX_NAME: usize = 256;

pub(crate) async fn audit_events(
    State(state): State<AppState>,
    AuditReader(caller): AuditReader,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let mut filter = filter(&mut parameters)?;
    let limit = parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let cursor = parameters.single("cursor", |text| Ok(text.to_owned()))?;
    parameters.finish()?;
    let viewer = caller.user_id();
    let mut is_hidden = false;
    if !caller.has_role(Role::Auditor) {
        is_hidden = filter.subject.is_some_and(|subject| subject != viewer);
        filter.subject = Some(viewer);
    }
    let after =
        cursor.map(|cursor| AuditCursor::read(&state.cursor_key, &cursor, viewer, &filter)).transpose()?;

    let shown = reached(&state, viewer, &AtLeast::of(&headers)?).await?;
    if let Some(percent) = state.projection.any_catching_up()
        && filter.subject != Some(viewer)
    {
        return Err(AtLeast::catching_up(percent).into());
    }
    let (items, end) = if is_hidden {
        (Vec::new(), None)
    } else {
        let cost = if filter.is_compound() { Cost::High } else { Cost::Ordinary };
        let _admitted = state.admission.admit(viewer, cost).await?;
        let read_models = state.read_models_at(cost);
        let reading = audit::page(&read_models, &filter, after, limit, &state.metrics);
        tokio::time::timeout(TIMEOUT, reading).await.map_err(|_| QueryError::TooSlow)??
    };
    let page = api_types::AuditPage {
        items,
        next_cursor: end.map(|end| end.write(&state.cursor_key, viewer, &filter)),
    };
    Ok((shown.headers(), Json(page)).into_response())
}

fn filter(parameters: &mut Parameters) -> Result<AuditFilter, BadParameter> {
    let instant = |text: &str| Due::parse_start(text).map_err(|error| error.to_string());
    Ok(AuditFilter {
        subject: parameters.single("subject", |text| {
            text.parse::<UserId>().map_err(|_| "expected the id of a person".to_owned())
        })?,
        actor: parameters.single("actor", |text| {
            text.parse::<Actor>()
                .map_err(|_| "expected the id of a person, of a program, operator or system".to_owned())
        })?,
        kind: parameters.single("type", name)?,
        stream: parameters.single("stream", name)?,
        correlation_id: parameters.single("correlation_id", |text| request_id_of(text).map(String::from))?,
        from: parameters.single("from", instant)?,
        to: parameters.single("to", instant)?,
    })
}

fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("expected 1 to {MAX_NAME} visible ASCII characters"));
    }
    Ok(text.to_owned())
}
