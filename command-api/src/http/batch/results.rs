//! What became of the commands of a batch: as the client is told, and as a later try wants to know it.

use std::collections::BTreeMap;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use events::{ConsistencyToken, UserId};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use service::{CONSISTENCY_TOKEN, Problem};

use crate::{
    domain::Command,
    handling::{CommandError, Outcome},
    http::{
        answer::{Form, form},
        error::ApiError,
    },
    idempotency::IdempotencyError,
};

/// What became of each command, by its place.
#[derive(Serialize, Deserialize)]
pub(super) struct BatchResults {
    results: BTreeMap<usize, BatchResult>,
    /// The last position that any of them has seen.
    position: Option<u64>,
    /// Whether another try would find all of it again without being told.
    in_log: bool,
}

/// What became of one command: the answer that it would have had in a request of its own.
#[derive(Serialize, Deserialize)]
struct BatchResult {
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    results: Vec<&'a BatchResult>,
}

impl Default for BatchResults {
    fn default() -> Self {
        Self {
            results: BTreeMap::new(),
            position: None,
            in_log: true,
        }
    }
}

impl BatchResults {
    /// What an earlier try has got done, by what [`Self::progress`] told of it.
    pub(super) fn resume(progress: Option<&str>) -> Result<Self, IdempotencyError> {
        let Some(progress) = progress else {
            return Ok(Self::default());
        };
        let mut earlier: Self = serde_json::from_str(progress)?;
        earlier.results.retain(|_, result| !result.is_open());
        Ok(earlier)
    }

    /// For a later try, when not all is done.
    pub(super) fn progress(&self) -> Result<String, IdempotencyError> {
        Ok(serde_json::to_string(self)?)
    }

    /// Whether the command at `index` has been done.
    pub(super) fn contains(&self, index: usize) -> bool {
        self.results.contains_key(&index)
    }

    /// The command at `index` is none.
    pub(super) fn reject(&mut self, index: usize, problem: &Problem) {
        self.results.insert(index, BatchResult::problem(problem));
    }

    /// The command at `index` was run.
    pub(super) fn record(&mut self, index: usize, command: &Command, outcome: Result<Outcome, CommandError>) {
        let (position, effect) = match &outcome {
            Ok(outcome) => (Some(outcome.position), outcome.effect),
            Err(CommandError::Refused { seen, .. }) => (seen.map(|token| token.position), false),
            Err(
                CommandError::Contended { .. }
                | CommandError::HeldUp
                | CommandError::Store(_)
                | CommandError::Unreadable(_),
            ) => (None, true),
        };
        self.position = self.position.max(position);
        self.in_log &= effect;
        let result = match outcome {
            Ok(outcome) => BatchResult::accepted(command, &outcome),
            Err(error) => BatchResult::problem(&ApiError::from(error).into()),
        };
        self.results.insert(index, result);
    }

    /// Whether every command has been carried out or refused, so that another try would be in vain.
    pub(super) fn is_final(&self) -> bool {
        !self.results.values().any(BatchResult::is_open)
    }

    /// Whether another try would find all of it again without being told.
    pub(super) fn is_in_log(&self) -> bool {
        self.in_log
    }

    /// The answer to the batch of `caller`, with the token of the last state that it shows.
    pub(super) fn answer(&self, caller: UserId) -> Response {
        let results = self.results.values().collect();
        let mut response = Json(Answer { results }).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if let Some(position) = self.position {
            let token = ConsistencyToken::new(caller, position).to_string();
            let Ok(token) = HeaderValue::try_from(token) else {
                return Problem::internal().into_response();
            };
            headers.insert(CONSISTENCY_TOKEN.clone(), token);
        }
        response
    }
}

impl BatchResult {
    fn accepted(command: &Command, outcome: &Outcome) -> Self {
        let status = match form(command) {
            Form::Nothing => {
                return Self {
                    status: StatusCode::NO_CONTENT.as_u16(),
                    task: None,
                    problem: None,
                };
            }
            Form::Created => StatusCode::CREATED,
            Form::Task => StatusCode::OK,
        };
        match to_raw_value(&*outcome.task) {
            Ok(task) => Self {
                status: status.as_u16(),
                task: Some(task),
                problem: None,
            },
            Err(error) => {
                tracing::error!(%error, "a task cannot be written as JSON");
                Self::problem(&Problem::internal())
            }
        }
    }

    fn problem(problem: &Problem) -> Self {
        Self {
            status: problem.status().as_u16(),
            task: None,
            // Strings, numbers and lists only: writing them as JSON cannot fail.
            problem: to_raw_value(problem).ok(),
        }
    }

    /// Whether it is worth another try.
    fn is_open(&self) -> bool {
        self.status >= StatusCode::INTERNAL_SERVER_ERROR.as_u16()
    }
}
