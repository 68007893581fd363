//! The errors of queries, and the problems that clients see.

use audit_tree::ReadError;
use axum::response::{IntoResponse, Response};
use database::DatabaseError;
use event_store::StoreError;
use http_api::{BadCursor, BadParameter, Problem, ProblemCode, from_variants};

use crate::{admission::Overloaded, tasks::QueryError};

#[derive(Debug)]
pub(crate) enum ApiError {
    /// The request is refused, for a reason that only concerns its client.
    Request(Problem),
    /// The read models or the log do not have the answer, or do not give it.
    Query(QueryError),
    NotInTheTree,
    AuditTree(String),
    Json(serde_json::Error),
}

// What makes a query fail anywhere is as if it failed among the tasks.
from_variants! {
    ApiError {
        Problem => Request,
        BadParameter => Request,
        QueryError => Query,
        BadCursor => Query,
        DatabaseError => Query,
        StoreError => Query,
        serde_json::Error => Json,
    }
}

impl From<Overloaded> for ApiError {
    fn from(Overloaded: Overloaded) -> Self {
        Self::Request(Problem::overloaded(
            "Too many of your queries are in flight. Wait for their answers, then ask again.",
        ))
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Database(error) => error.into(),
            ReadError::Store(error) => error.into(),
            ReadError::Damaged(what) => Self::AuditTree(what),
        }
    }
}

impl ApiError {
    /// The problem for the client. Details for operators are logged here, once.
    fn into_logged_problem(self) -> Problem {
        match self {
            Self::Request(problem) => problem,
            Self::Query(error) => query(error),
            Self::NotInTheTree => Problem::not_found(),
            Self::AuditTree(error) => {
                tracing::error!(error, "the audit tree is damaged: run `taskledger audit verify`");
                Problem::internal()
            }
            Self::Json(error) => {
                tracing::error!(%error, "an answer could not be written");
                Problem::internal()
            }
        }
    }
}

fn query(error: QueryError) -> Problem {
    match error {
        QueryError::Cursor(error) => error.into(),
        QueryError::OtherLog => Problem::new(ProblemCode::BadCursor)
            .detail("The log was restored since. Forget what you know, and begin without the token."),
        QueryError::NotFound => Problem::not_found(),
        QueryError::TooSlow => {
            tracing::warn!("a query took too long and was given up");
            Problem::overloaded("The query took too long. Ask again, or for less at a time.")
        }
        QueryError::HistoryIncomplete => {
            tracing::error!(
                "a history has no beginning: the read models were projected by an earlier release; rebuild them"
            );
            Problem::unavailable("The history of this task is not available yet.")
        }
        QueryError::Database(error) if error.is_unavailable() => {
            tracing::warn!(%error, "the read models do not answer");
            Problem::unavailable("The read models do not answer at the moment.")
        }
        QueryError::Database(error) => {
            tracing::error!(%error, "a query failed");
            Problem::internal()
        }
        QueryError::Store(StoreError::Unavailable(error)) => {
            tracing::warn!(%error, "the log does not answer");
            Problem::unavailable("The log does not answer at the moment.")
        }
        QueryError::Store(StoreError::KeyUnusable(error)) => {
            tracing::warn!(error, "the key of a person cannot be used");
            Problem::unavailable("What is personal in it cannot be read at the moment. Ask an operator.")
        }
        QueryError::Store(StoreError::KeysUnavailable(error)) => {
            tracing::warn!(%error, "the keys of people cannot be used");
            Problem::unavailable("The keys of people cannot be used at the moment. Ask an operator.")
        }
        QueryError::Store(
            error @ (StoreError::Conflict { .. }
            | StoreError::Empty
            | StoreError::TooLarge { .. }
            | StoreError::Corrupt(_)),
        ) => {
            tracing::error!(%error, "the log cannot be read");
            Problem::internal()
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into_logged_problem().into_response()
    }
}
