//! `GET /audit/export?from=&to=`: the events themselves, one a line, for auditors who check them against a checkpoint.

use std::future::ready;

use auth_client::AuditReader;
use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use events::{Role, UserId};
use futures::{StreamExt as _, stream};
use http::{HeaderValue, header};
use http_api::Parameters;
use log_transfer::ExportedEvent;

use super::number;
use crate::{admission::Cost, app_state::AppState, error::ApiError};

const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
const NOT_AT_ALL: HeaderValue = HeaderValue::from_static("no-store");
/// Events read at once.
const PAGE: usize = 500;

/// The state of an export.
struct Export {
    state: AppState,
    caller: UserId,
    after: i64,
    to: i64,
}

/// Answers with the events from position `from` up to `to`, both included; without `to` up to the present end of the
/// log.
pub(crate) async fn export(
    State(state): State<AppState>,
    AuditReader(caller): AuditReader,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    caller.require(Role::Auditor)?;
    let mut parameters = Parameters::parse(query.as_deref().unwrap_or_default())?;
    let from = parameters.single("from", number)?.unwrap_or(0).max(1);
    let to = parameters.single("to", number)?;
    parameters.finish()?;
    let head = state.store.head().await?;
    let export = Export {
        caller: caller.user_id(),
        state,
        after: runtime::signed(from - 1),
        to: runtime::signed(to.map_or(head, |to| to.min(head))),
    };
    // An error on the first page is still a normal response.
    let (first, rest) = page(export).await?;
    // A page is read when the client has most of the one before, so that a slow one costs the memory of one.
    let rest = stream::try_unfold(rest, |rest| async move {
        match rest {
            Some(rest) => page(rest).await.map(Some).map_err(broken_off),
            None => Ok(None),
        }
    });
    let pages = stream::once(ready(Ok(first))).chain(rest);
    let headers = [(header::CONTENT_TYPE, LINES), (header::CACHE_CONTROL, NOT_AT_ALL)];
    Ok((headers, Body::from_stream(pages)).into_response())
}

/// The next lines, and the rest of the export. Nothing is held between two pages, which may be far apart in time.
async fn page(mut export: Export) -> Result<(Bytes, Option<Export>), ApiError> {
    if export.after >= export.to {
        return Ok((Bytes::new(), None));
    }
    let page = {
        let _admitted = export.state.admission.admit(export.caller, Cost::High).await?;
        export.state.store.stored_page(export.after, PAGE).await?
    };
    let mut lines = Vec::new();
    for event in page.events.iter().filter(|event| event.position <= export.to) {
        serde_json::to_writer(&mut lines, &ExportedEvent::of(event))?;
        lines.push(b'\n');
    }
    let next = page.events.last().filter(|_| page.more).map(|event| event.position);
    let rest = next.map(|after| {
        export.after = after;
        export
    });
    Ok((lines.into(), rest))
}

/// Ends the response without its proper end, so that it does not look complete.
fn broken_off(error: ApiError) -> std::io::Error {
    tracing::warn!(?error, "an export was broken off");
    std::io::Error::other("the log cannot be read")
}
