//! `GET /tasks`: the caller's tasks, filtered, sorted, a page at a time.

mod request;

use api_types::{BorrowedTask, TaskPage};
use auth_client::TaskOwner;
use axum::{extract::State, response::Response};
use database::Row;
use events::UserId;
use http::{HeaderMap, HeaderValue, header};
use http_api::{AtLeast, Parameters};

use super::{consistency::reached, tagged::tagged};
use crate::{
    admission::Cost,
    app_state::AppState,
    error::ApiError,
    tasks::{self, Listing},
};

/// The longest `Link` header, in bytes. Many clients and proxies accept 8 KiB of headers in total.
const MAX_LINK: usize = 4_096;

/// Answers with a page, and where the next one is.
pub(crate) async fn list_tasks(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let listing = request::parse(parameters.clone())?;
    let owner = caller.user_id();
    let shown = reached(&state, owner, &AtLeast::of(&headers)?).await?;
    Ok(shown.mark(show(&state, owner, &parameters, &listing, &headers).await))
}

async fn show(
    state: &AppState,
    owner: UserId,
    parameters: &Parameters,
    listing: &Listing,
    conditions: &HeaderMap,
) -> Result<Response, ApiError> {
    let now = state.clock.now();
    let cost = cost(listing);
    let admitted = state.admission.admit(owner, cost).await?;
    let read_models = state.read_models_at(cost);
    let page = tasks::list(&read_models, &state.cursor_key, owner, listing, now).await?;
    drop(admitted);

    let mut answer = HeaderMap::new();
    if let Some(next) = page.next_cursor.as_deref().and_then(|cursor| next_link(parameters, cursor)) {
        answer.insert(header::LINK, next);
    }
    let body = TaskPage {
        items: page.rows.iter().filter_map(|row| view(state, row)).collect(),
        next_cursor: page.next_cursor,
        total: page.total,
    };
    // A version would be a cheaper entity tag, but a list has none: its content depends on the query.
    tagged(conditions, answer, super::JSON, super::json(&body)?)
}

/// The cost of a query: high if it reads all tasks of the caller.
fn cost(listing: &Listing) -> Cost {
    if listing.count || !listing.filter.words.is_empty() { Cost::High } else { Cost::Ordinary }
}

/// The task of a row; `None` when a newer release or damage made it unreadable. Then the others are shown.
pub(super) fn view<'r>(state: &AppState, row: &'r Row) -> Option<BorrowedTask<'r>> {
    tasks::task_of(row)
        .inspect_err(|error| {
            state.metrics.unreadable_rows.inc();
            let id = row.uuid("id").map(|id| id.to_string()).unwrap_or_default();
            tracing::warn!(task.id = id, %error, "the row of a task cannot be read and is left out");
        })
        .ok()
}

/// The same query again, from `cursor` on (RFC 8288); `None` if that is too long for a header. The cursor is also in
/// the body.
fn next_link(parameters: &Parameters, cursor: &str) -> Option<HeaderValue> {
    let mut query = parameters.without("cursor");
    if !query.is_empty() {
        query.push('&');
    }
    let link = format!("</tasks?{query}cursor={cursor}>; rel=\"next\"");
    if link.len() > MAX_LINK {
        return None;
    }
    HeaderValue::try_from(link).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_repeats_the_query_from_the_cursor_on() {
        let link = |query: &str| next_link(&Parameters::parse(query).unwrap(), "NEXT").unwrap();
        assert_eq!(link(""), "</tasks?cursor=NEXT>; rel=\"next\"");
        assert_eq!(
            link("q=%3E+%C3%A9&cursor=OLD&limit=2&count=true"),
            "</tasks?q=%3E+%C3%A9&limit=2&count=true&cursor=NEXT>; rel=\"next\""
        );
    }

    #[test]
    fn a_link_that_is_too_long_is_left_out() {
        let link = |characters: usize| {
            let query = format!("q={}", "%F0%9F%8D%8E".repeat(characters));
            next_link(&Parameters::parse(&query).unwrap(), "NEXT")
        };
        assert!(link(256).is_some());
        assert!(link(400).is_none());
    }
}
