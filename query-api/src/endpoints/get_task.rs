//! `GET /tasks/{id}`: one task as it is now, or as it was.

use auth_client::TaskOwner;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use events::{TaskId, Timestamp, UserId};
use http::{HeaderMap, StatusCode, header};
use http_api::{
    AtLeast, BadParameter, Parameters, PathId, Preconditions, Problem, ReadOutcome, whole_number,
};
use serde::Serialize;

use super::{bad_instant, consistency::reached};
use crate::{
    admission::Cost,
    app_state::AppState,
    error::ApiError,
    tasks::{self, Moment, QueryError},
};

/// Answers with the task and its version as `ETag`, `304` when the caller has that version, `412` when
/// `If-Match` names another. With `version` or `as_of` it is the task as it was, also of one in the trash.
pub(crate) async fn get_task(
    State(state): State<AppState>,
    TaskOwner(caller): TaskOwner,
    id: PathId<TaskId>,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let moment = moment(parameters)?;
    let conditions = Preconditions::of(&headers)?;
    let at_least = AtLeast::of(&headers)?;
    let (owner, id) = (caller.user_id(), id.or_not_found()?);

    let shown = reached(&state, owner, &at_least).await?;
    Ok(shown.mark(show(&state, owner, id, moment, &conditions).await))
}

async fn show(
    state: &AppState,
    owner: UserId,
    id: TaskId,
    moment: Option<Moment>,
    conditions: &Preconditions,
) -> Result<Response, ApiError> {
    let _admitted = state.admission.admit(owner, Cost::Ordinary).await?;
    match moment {
        None => {
            let row = tasks::find(&state.read_models, owner, id).await?.ok_or(QueryError::NotFound)?;
            let task = tasks::task_of(&row)?;
            answer(conditions, task.version, &task)
        }
        Some(moment) => {
            let task = tasks::past_task(&state.read_models, owner, id, moment).await?;
            answer(conditions, task.version, &task)
        }
    }
}

fn answer(conditions: &Preconditions, version: u64, task: &impl Serialize) -> Result<Response, ApiError> {
    let etag = [(header::ETAG, http_api::etag(version))];
    match conditions.of_read(version) {
        ReadOutcome::Show => Ok((etag, Json(task)).into_response()),
        ReadOutcome::NotModified => Ok((StatusCode::NOT_MODIFIED, etag).into_response()),
        ReadOutcome::Mismatch => Err(Problem::version_mismatch(version).into()),
    }
}

/// The requested state; `None` for the present one.
fn moment(mut parameters: Parameters) -> Result<Option<Moment>, BadParameter> {
    let version = parameters.single("version", whole_number(1..=u64::MAX))?;
    let as_of = parameters
        .single("as_of", |text| text.parse::<Timestamp>().map_err(|error| bad_instant(text, &error)))?;
    parameters.finish()?;
    match (version, as_of) {
        (Some(_), Some(_)) => Err(BadParameter::new("as_of", "it cannot be given together with version")),
        (Some(version), None) => Ok(Some(Moment::Version(version))),
        (None, Some(instant)) => Ok(Some(Moment::AsOf(instant))),
        (None, None) => Ok(None),
    }
}
