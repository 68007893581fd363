//! Every reason why a query is not answered, and the problem that the caller sees.

use audit_tree::ReadError;
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use event_store::StoreError;
use http_api::{Allowance, BadCursor, BadParameter, Problem, ProblemCode};

use crate::{
    admission::Overloaded,
    stream_limits::TooManyStreams,
    tasks::{ChangesError, HistoryError, ListError},
};

/// Streams of events that one person follows at the same time.
const STREAMS: Allowance = Allowance::at_once("streams", 8);

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The query string or a header is wrong.
    BadParameter(BadParameter),
    /// The cursor is forged, spoiled, or of another query.
    BadCursor(BadCursor),
    /// The token says what was seen of another log.
    OtherLog,
    /// A precondition cannot be read.
    Precondition(Problem),
    /// The task is at another version than `If-Match` names.
    VersionMismatch {
        /// Where it is.
        actual: u64,
    },
    /// There is no such task for this caller.
    TaskNotFound,
    /// The read models have not come as far as the caller has.
    ProjectionBehind(Problem),
    /// The caller asks for too much at the same time, or everybody does.
    Overloaded,
    /// There are as many streams as there may be.
    TooManyStreams,
    /// The query took too long and was given up.
    TooSlow,
    /// The read models did not answer, or not as they should.
    Database(DatabaseError),
    /// The log did not answer, or not as it should.
    Store(StoreError),
    /// The history was not projected from its beginning.
    HistoryIncomplete,
    /// The audit tree does not have it.
    NotInTheTree,
    /// The audit tree is damaged.
    AuditTree(String),
    /// The answer cannot be written as JSON.
    Json(serde_json::Error),
}

impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error) => Self::Database(error),
            ReadError::Store(error) => Self::Store(error),
            ReadError::Damaged(what) => Self::AuditTree(what),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<BadParameter> for ApiError {
    fn from(error: BadParameter) -> Self {
        Self::BadParameter(error)
    }
}

impl From<Problem> for ApiError {
    fn from(problem: Problem) -> Self {
        Self::Precondition(problem)
    }
}

impl From<DatabaseError> for ApiError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor(error) => Self::BadCursor(error),
            ListError::Database(error) => Self::Database(error),
            ListError::TooSlow => Self::TooSlow,
        }
    }
}

impl From<BadCursor> for ApiError {
    fn from(error: BadCursor) -> Self {
        Self::BadCursor(error)
    }
}

impl From<TooManyStreams> for ApiError {
    fn from(TooManyStreams: TooManyStreams) -> Self {
        Self::TooManyStreams
    }
}

impl From<ChangesError> for ApiError {
    fn from(error: ChangesError) -> Self {
        match error {
            ChangesError::OtherLog => Self::OtherLog,
            ChangesError::Database(error) => Self::Database(error),
            ChangesError::Store(error) => Self::Store(error),
        }
    }
}

impl From<HistoryError> for ApiError {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::NotFound => Self::TaskNotFound,
            HistoryError::Incomplete => Self::HistoryIncomplete,
            HistoryError::Database(error) => Self::Database(error),
        }
    }
}

impl From<Overloaded> for ApiError {
    fn from(Overloaded: Overloaded) -> Self {
        Self::Overloaded
    }
}

impl From<ApiError> for Problem {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::BadParameter(error) => error.into(),
            ApiError::VersionMismatch { actual } => Problem::version_mismatch(actual),
            ApiError::BadCursor(error) => error.into(),
            ApiError::OtherLog => Problem::new(ProblemCode::BadCursor)
                .detail("The log was restored since. Forget what you know, and begin without the token."),
            ApiError::TaskNotFound => Problem::not_found(),
            ApiError::Overloaded => Problem::overloaded(
                "Too many of your queries are in flight. Wait for their answers, then ask again.",
            ),
            ApiError::TooManyStreams => {
                Problem::used_up(STREAMS).detail("You have too many streams of events. Close one of them.")
            }
            ApiError::TooSlow => {
                tracing::warn!("a query took too long and was given up");
                Problem::overloaded("The query took too long. Ask again, or for less at a time.")
            }
            ApiError::Database(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the read models do not answer");
                Problem::unavailable("The read models do not answer at the moment.")
            }
            ApiError::Database(error) => {
                tracing::error!(%error, "a query failed");
                Problem::internal()
            }
            ApiError::Store(error) => {
                tracing::warn!(%error, "the log does not answer");
                Problem::unavailable("The log does not answer at the moment.")
            }
            ApiError::HistoryIncomplete => {
                tracing::error!(
                    "a history has no beginning: the read models were projected by an earlier release; rebuild them"
                );
                Problem::unavailable("The history of this task is not available yet.")
            }
            ApiError::NotInTheTree => Problem::not_found(),
            ApiError::AuditTree(error) => {
                tracing::error!(error, "the audit tree is damaged: run `taskledger audit verify`");
                Problem::internal()
            }
            ApiError::Precondition(problem) | ApiError::ProjectionBehind(problem) => problem,
            ApiError::Json(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
