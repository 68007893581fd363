//! Values that the document shows in several places. What it shows in one place is written there.

use serde_json::{Value, json};

use crate::{FieldError, Problem, ProblemCode};

pub(super) const CREATED: &str = "2026-11-22T20:30:50.417526Z";
/// A minute later.
pub(super) const CHANGED: &str = "2026-11-22T20:31:50.417526Z";
/// An hour later.
pub(super) const HOUR_LATER: &str = "2026-11-22T21:30:50.417526Z";
pub(super) const TASK: &str = "01a204f4-5231-77cc-84db-0e3c4efea8f4";
pub(super) const USER: &str = "01a204f4-51d1-74f1-ba83-57b2e65ebd4d";
pub(super) const REQUEST: &str = "01a204f4-5228-71ff-b156-69d5c038e1d4";
pub(super) const EMAIL: &str = "ada@example.org";
pub(super) const PASSWORD: &str = "correct horse battery";
pub(super) const NEW_PASSWORD: &str = "plum tractor canyon";
pub(super) const MFA_TOKEN: &str = "AaIE9FHRdPG6g1eyteS9TQGiBPRR";
/// A code of an authenticator app.
pub(super) const CODE: &str = "287082";
pub(super) const RESET_TOKEN: &str = "AaIE9FHRdPG6g1eyteS9TRs0Nj6w";
pub(super) const REFRESH_TOKEN: &str = "AaIE9FHzfTKcGkwd46Wx8AAAAAAAAAAA";
/// Why an admin did something.
pub(super) const REASON: &str = "Ticket 4711";

/// A new task.
pub(super) fn task() -> Value {
    json!({
        "id": TASK,
        "title": "Write the report",
        "description": "Two pages.",
        "status": "open",
        "priority": "high",
        "due": "2026-12-01T09:00:00Z",
        "tags": ["work", "q4"],
        "created_at": CREATED,
        "updated_at": CREATED,
        "completed_at": null,
        "deleted_at": null,
        "version": 1,
    })
}

/// The same task after a change.
pub(super) fn task_with(status: &str) -> Value {
    let mut task = task();
    task["status"] = status.into();
    task["updated_at"] = CHANGED.into();
    task["completed_at"] = (status == "done").then_some(CHANGED).into();
    task["version"] = 2.into();
    task
}

pub(super) fn batch_results() -> Value {
    let refused = ProblemCode::VersionMismatch;
    json!({"results": [
        {"status": 201, "task": task()},
        {"status": refused.status(), "problem": problem(refused)},
    ]})
}

pub(super) fn user() -> Value {
    json!({
        "id": USER,
        "email": EMAIL,
        "display_name": "Ada",
        "roles": ["user"],
        "created_at": CREATED,
    })
}

pub(super) fn tokens() -> Value {
    json!({
        "access_token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl",
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": REFRESH_TOKEN,
        "refresh_expires_in": 259_200,
        "user": user(),
    })
}

/// A problem of this code.
pub(super) fn problem(code: ProblemCode) -> Problem {
    let errors = match code {
        ProblemCode::ValidationFailed => vec![FieldError {
            pointer: "/title".to_owned(),
            code: "too-long".into(),
            detail: "must have at most 200 characters, has 201".to_owned(),
        }],
        _ => Vec::new(),
    };
    Problem {
        r#type: format!("/problems/{code}"),
        title: code.title().into(),
        status: code.status(),
        detail: None,
        code,
        errors,
        mfa_token: (code == ProblemCode::SecondFactorRequired).then(|| MFA_TOKEN.to_owned()),
        request_id: Some(REQUEST.to_owned()),
    }
}
