//! `GET /tasks/{id}`: one task as it is now, or as it was.

use auth_client::TaskOwner;
use axum::{
    Json,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use events::{TaskId, Timestamp};
use http::{HeaderMap, StatusCode, header};
use http_api::{AtLeast, BadParameter, Parameters, Preconditions, ReadOutcome};
use serde::Serialize;

use super::consistency::reached;
use crate::{
    admission::Cost,
    app_state::App,
    error::ApiError,
    tasks::{self, Moment},
};

/// Answers with the task and its version as `ETag`, `304` when the caller has that version, `412` when
/// `If-Match` names another. With `version` or `as_of` it is the task as it was, also of one in the trash.
pub(crate) async fn get_task(
    State(app): State<App>,
    TaskOwner(caller): TaskOwner,
    id: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let moment = moment(Parameters::parse(query.as_deref().unwrap_or_default())?)?;
    let conditions = Preconditions::of(&headers)?;
    let at_least = AtLeast::of(&headers)?;
    let id = task_id(id)?;

    let shown = reached(&app, caller.user_id(), &at_least).await?;
    let _admitted = app.admission.admit(caller.user_id(), Cost::Ordinary).await?;
    let headers = shown.headers();
    match moment {
        None => {
            let row = tasks::find(&app.read_models, caller.user_id(), id)
                .await?
                .ok_or(ApiError::TaskNotFound)?;
            let task = tasks::task_of(&row)?;
            answer(&conditions, headers, task.version, &task)
        }
        Some(moment) => {
            let task = tasks::past_task(&app.read_models, caller.user_id(), id, moment).await?;
            answer(&conditions, headers, task.version, &task)
        }
    }
}

fn answer(
    conditions: &Preconditions,
    mut headers: HeaderMap,
    version: u64,
    task: &impl Serialize,
) -> Result<Response, ApiError> {
    headers.insert(header::ETAG, http_api::etag(version));
    match conditions.of_read(version) {
        ReadOutcome::Show => Ok((headers, Json(task)).into_response()),
        ReadOutcome::NotModified => Ok((StatusCode::NOT_MODIFIED, headers).into_response()),
        ReadOutcome::Mismatch => Err(ApiError::VersionMismatch { actual: version }),
    }
}

/// The requested state; `None` for the present one.
fn moment(mut parameters: Parameters) -> Result<Option<Moment>, BadParameter> {
    let version = parameters.single("version", |text| match text.parse() {
        Ok(version @ 1..) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(version),
        _ => Err("expected a version, a whole number from 1".to_owned()),
    })?;
    let as_of = parameters.single("as_of", |text| {
        text.parse::<Timestamp>().map_err(|error| error.to_string())
    })?;
    parameters.finish()?;
    match (version, as_of) {
        (Some(_), Some(_)) => Err(BadParameter::new(
            "as_of",
            "it cannot be given together with version",
        )),
        (Some(version), None) => Ok(Some(Moment::Version(version))),
        (None, Some(instant)) => Ok(Some(Moment::AsOf(instant))),
        (None, None) => Ok(None),
    }
}

/// The task in a path. An id that is not even text does not exist either.
pub(super) fn task_id(id: Result<Path<String>, PathRejection>) -> Result<TaskId, ApiError> {
    id.ok()
        .and_then(|Path(id)| id.parse().ok())
        .ok_or(ApiError::TaskNotFound)
}
