//! The errors of commands, and the problems that clients see.

use axum::response::{IntoResponse, Response};
use event_store::StoreError;
use events::ConsistencyToken;
use http_api::{
    Allowance, CONSISTENCY_TOKEN, FieldError, Problem, ProblemCode, RateLimitPolicy, consistency_token,
    from_variants,
};

use crate::{
    changed_tasks::ChangedTasksError,
    domain::Refusal,
    handling::CommandError,
    idempotency::{IdempotencyError, KEYS_PER_PERSON},
};

/// The limit of idempotency keys of one person.
const KEYS: Allowance = Allowance {
    policy: RateLimitPolicy {
        name: "idempotency-keys",
        quota: KEYS_PER_PERSON,
        unit: Some("content-bytes"),
        window: Some(86_400),
    },
    retry_after: 600,
};

#[derive(Debug)]
pub(crate) enum ApiError {
    /// The request is malformed, or beyond a limit of its caller.
    Request(Problem),
    /// The command did not take effect.
    Command(CommandError),
    /// The idempotency key prevents it.
    Idempotency(IdempotencyError),
    /// The tasks of an earlier request cannot be found.
    ChangedTasks(ChangedTasksError),
}

from_variants! {
    ApiError {
        Problem => Request,
        CommandError => Command,
        ChangedTasksError => ChangedTasks,
        IdempotencyError => Idempotency,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.into_logged_problem().into_response()
    }
}

impl ApiError {
    /// The problem for the client. Details for operators are logged here, so only the code that writes the answer may
    /// call this.
    pub(crate) fn into_logged_problem(self) -> Problem {
        match self {
            Self::Request(problem) => problem,
            Self::Command(error) => command(error),
            Self::Idempotency(error) => idempotency(error),
            Self::ChangedTasks(error) => changed_tasks(error),
        }
    }
}

fn command(error: CommandError) -> Problem {
    match error {
        CommandError::Refused { refusal, seen } => seen_at(refused(refusal), seen),
        CommandError::Contended { conflicts } => {
            tracing::warn!(conflicts, "gave up on a task that others keep changing");
            Problem::unavailable("Others keep changing this task. Try again.")
        }
        CommandError::Overloaded => Problem::overloaded("Too many commands wait for their tasks. Try again."),
        CommandError::PastTooLong => {
            Problem::overloaded("What the task was takes too long to read. Try again.")
        }
        CommandError::HeldUp => Problem::unavailable(
            "An earlier command of the batch on the same task could not be carried out, so this one was not tried.",
        ),
        CommandError::Store(StoreError::Unavailable(error)) => {
            tracing::warn!(%error, "the event store is unavailable");
            Problem::unavailable(
                "The event store cannot be reached. The command may or may not have taken effect: \
                 to try again safely, send an Idempotency-Key.",
            )
        }
        CommandError::Store(StoreError::KeyUnusable(error)) => {
            tracing::warn!(error, "the key of a person cannot be used");
            Problem::unavailable(
                "Your data cannot be read or written at the moment. The command did not take effect. Ask an operator.",
            )
        }
        CommandError::Store(StoreError::KeysUnavailable(error)) => {
            tracing::warn!(%error, "the keys of people cannot be used");
            Problem::unavailable(
                "The keys of people cannot be used at the moment. The command did not take effect. Ask an operator.",
            )
        }
        CommandError::Store(
            error @ (StoreError::Conflict { .. }
            | StoreError::Empty
            | StoreError::TooLarge { .. }
            | StoreError::Corrupt(_)),
        ) => {
            tracing::error!(%error, "a command failed");
            Problem::internal()
        }
        CommandError::Unreadable(error) => {
            tracing::error!(%error, "the history of a task cannot be read");
            Problem::internal()
        }
    }
}

fn changed_tasks(error: ChangedTasksError) -> Problem {
    match error {
        ChangedTasksError::Behind => Problem::new(ProblemCode::ProjectionBehind)
            .detail("What that request did is not known yet. Nothing was undone: ask again.")
            .retry_after(1),
        ChangedTasksError::Crowded => {
            Problem::overloaded("Too many requests wait for what is to be undone. Try again.")
        }
        ChangedTasksError::Slow => {
            Problem::overloaded("It takes too long to find what is to be undone. Try again.")
        }
        ChangedTasksError::TooMany => {
            let detail = "names more than one request: more than 100 tasks were changed under it";
            Problem::validation(vec![FieldError::new("too-many", detail).at("/request_id")])
        }
        ChangedTasksError::Log(error) => command(CommandError::Store(error)),
        ChangedTasksError::ReadModels(error) if error.is_unavailable() => {
            tracing::warn!(%error, "the read models do not answer");
            Problem::unavailable("The read models do not answer at the moment. Nothing was undone.")
        }
        ChangedTasksError::ReadModels(error) => {
            tracing::error!(%error, "the tasks of a request cannot be read");
            Problem::internal()
        }
    }
}

fn refused(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::TaskNotFound { .. } | Refusal::NotOwner { .. } | Refusal::TaskIsDeleted { .. } => {
            Problem::not_found()
        }
        // Ids of new tasks are made here, and a task that an earlier try made is found by its idempotency key.
        Refusal::TaskExists { .. } => {
            tracing::error!(%refusal, "a new task has the id of another");
            Problem::internal()
        }
        Refusal::NoSuchVersion { version } => Problem::validation(vec![
            FieldError::new("unknown-version", format!("the task was never at version {version}"))
                .at("/to_version"),
        ]),
        Refusal::ChangedSince => Problem::new(ProblemCode::ChangedSince),
        Refusal::VersionMismatch { actual } => Problem::version_mismatch(actual),
        Refusal::IllegalTransition { from, to } => Problem::new(ProblemCode::IllegalTransition)
            .detail(format!("A task that is {} cannot become {}.", from.name(), to.name())),
    }
}

fn seen_at(problem: Problem, seen: Option<ConsistencyToken>) -> Problem {
    match seen {
        Some(token) => problem.header(CONSISTENCY_TOKEN.clone(), consistency_token(token)),
        None => problem,
    }
}

fn idempotency(error: IdempotencyError) -> Problem {
    match error {
        IdempotencyError::Reused => Problem::new(ProblemCode::IdempotencyKeyReused).detail(
            "A key stands for one request: the same method, path, conditions and body. Use a new one.",
        ),
        IdempotencyError::Busy => Problem::unavailable(
            "An earlier request with this Idempotency-Key is still being worked on. Try again.",
        ),
        IdempotencyError::Database(error) if error.is_unavailable() => {
            tracing::warn!(%error, "the table of idempotency keys is unavailable");
            Problem::unavailable("The idempotency key cannot be checked. Try again with the same key.")
        }
        IdempotencyError::Database(error) => {
            tracing::error!(%error, "the table of idempotency keys cannot be used");
            Problem::unavailable("The idempotency key cannot be checked. Try again with the same key.")
        }
        IdempotencyError::TooMany => Problem::used_up(KEYS).detail(
            "Too many idempotency keys within a day. There is room again when the oldest are a day old.",
        ),
        IdempotencyError::Unreadable(error) => {
            tracing::error!(%error, "an answer cannot be stored or read");
            Problem::internal()
        }
    }
}
