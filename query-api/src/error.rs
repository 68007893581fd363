//! The errors of queries, and the problems that clients see.

use audit_tree::ReadError;
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use event_store::StoreError;
use http_api::{BadCursor, BadParameter, Problem, ProblemCode};

use crate::{
    admission::Overloaded,
    tasks::{ChangesError, HistoryError, ListError},
};

/// Why a query failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// The query string or a header is wrong.
    BadParameter(BadParameter),
    /// The cursor is invalid, or belongs to another query.
    BadCursor(BadCursor),
    /// The token is from another log.
    OtherLog,
    /// The request is refused before anything is read.
    Request(Problem),
    /// The task is at another version than `If-Match` names.
    VersionMismatch {
        /// The version of the task.
        actual: u64,
    },
    /// There is no such task for this caller.
    TaskNotFound,
    /// The read models do not have the state that the caller asks for.
    ProjectionBehind(Problem),
    /// The caller has too many queries at the same time, or all callers have.
    Overloaded,
    /// The query took too long and was cancelled.
    TooSlow,
    /// The read models failed.
    Database(DatabaseError),
    /// The log failed.
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
        Self::Request(problem)
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

impl ApiError {
    /// The problem for the client. Details for operators are logged here, once.
    fn into_logged_problem(self) -> Problem {
        match self {
            Self::BadParameter(error) => error.into(),
            Self::VersionMismatch { actual } => Problem::version_mismatch(actual),
            Self::BadCursor(error) => error.into(),
            Self::OtherLog => Problem::new(ProblemCode::BadCursor)
                .detail("The log was restored since. Forget what you know, and begin without the token."),
            Self::TaskNotFound => Problem::not_found(),
            Self::Overloaded => Problem::overloaded(
                "Too many of your queries are in flight. Wait for their answers, then ask again.",
            ),
            Self::TooSlow => {
                tracing::warn!("a query took too long and was given up");
                Problem::overloaded("The query took too long. Ask again, or for less at a time.")
            }
            Self::Database(error) if error.is_unavailable() => {
                tracing::warn!(%error, "the read models do not answer");
                Problem::unavailable("The read models do not answer at the moment.")
            }
            Self::Database(error) => {
                tracing::error!(%error, "a query failed");
                Problem::internal()
            }
            Self::Store(StoreError::Unavailable(error)) => {
                tracing::warn!(%error, "the log does not answer");
                Problem::unavailable("The log does not answer at the moment.")
            }
            Self::Store(StoreError::KeyUnusable(error)) => {
                tracing::warn!(error, "the key of a person cannot be used");
                Problem::unavailable("What is personal in it cannot be read at the moment. Ask an operator.")
            }
            Self::Store(
                error @ (StoreError::Conflict { .. }
                | StoreError::Empty
                | StoreError::TooLarge { .. }
                | StoreError::Corrupt(_)),
            ) => {
                tracing::error!(%error, "the log cannot be read");
                Problem::internal()
            }
            Self::HistoryIncomplete => {
                tracing::error!(
                    "a history has no beginning: the read models were projected by an earlier release; rebuild them"
                );
                Problem::unavailable("The history of this task is not available yet.")
            }
            Self::NotInTheTree => Problem::not_found(),
            Self::AuditTree(error) => {
                tracing::error!(error, "the audit tree is damaged: run `taskledger audit verify`");
                Problem::internal()
            }
            Self::Request(problem) | Self::ProjectionBehind(problem) => problem,
            Self::Json(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into_logged_problem().into_response()
    }
}
