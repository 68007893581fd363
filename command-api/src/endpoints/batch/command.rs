//! One command of a batch: from JSON to the domain's command. Each error has its pointer in the whole body.

use api_types::BatchOperation;
use events::TaskId;
use http_api::{ErrorRoom, FieldError, Form, Problem, text};
use serde_json::{Map, Value};

use super::if_match::if_match;
use crate::{
    domain::{
        CancelTask, Command, CompleteTask, DeleteTask, ExpectedVersion, ReopenTask, RestoreTask, StartTask,
    },
    endpoints::{change_task, create_task, fields},
};

pub(in crate::endpoints) struct BatchCommand {
    /// The task that it is about; `None` for a creation.
    pub(in crate::endpoints) task: Option<TaskId>,
    pub(in crate::endpoints) expected: ExpectedVersion,
    pub(in crate::endpoints) command: Command,
}

impl BatchCommand {
    /// Reads the command at `index`: `{op, id?, if_match?, …fields}`. Its errors are listed as long as `room` is
    /// left.
    pub(super) fn read(index: usize, value: Value, room: &mut ErrorRoom) -> Result<Self, Problem> {
        parse(value).map_err(|errors| {
            let at = |error: FieldError| FieldError {
                pointer: format!("/commands/{index}{}", error.pointer),
                ..error
            };
            Problem::validation_within(errors.into_iter().map(at).collect(), room)
        })
    }
}

fn parse(value: Value) -> Result<BatchCommand, Vec<FieldError>> {
    let Value::Object(mut fields) = value else {
        return Err(vec![FieldError::wrong_type("an object")]);
    };
    let head: Map<String, Value> = fields.remove_entry("op").into_iter().collect();
    // The operation decides which other fields are allowed.
    let mut head = Form::new(head);
    let Some(op) = head.required("op", op) else {
        return Err(head.into_errors());
    };
    let mut form = Form::new(fields);
    let (task, expected) = match op {
        BatchOperation::Create => (None, ExpectedVersion::Any),
        BatchOperation::Update
        | BatchOperation::Start
        | BatchOperation::Complete
        | BatchOperation::Cancel
        | BatchOperation::Reopen
        | BatchOperation::Delete
        | BatchOperation::Restore => {
            (form.required("id", id), fields::not_null(&mut form, "if_match", if_match).unwrap_or_default())
        }
    };
    let command = command(op, &mut form);
    let errors = form.into_errors();
    match command {
        Some(command) if errors.is_empty() => Ok(BatchCommand { task, expected, command }),
        Some(_) | None => Err(errors),
    }
}

/// Mistakes are `None`, or rejected in the form.
fn command(op: BatchOperation, form: &mut Form) -> Option<Command> {
    Some(match op {
        BatchOperation::Create => create_task::read(form)?.into(),
        BatchOperation::Update => change_task::read(form).into(),
        BatchOperation::Start => StartTask.into(),
        BatchOperation::Complete => CompleteTask.into(),
        BatchOperation::Cancel => CancelTask.into(),
        BatchOperation::Reopen => ReopenTask.into(),
        BatchOperation::Delete => DeleteTask.into(),
        BatchOperation::Restore => RestoreTask.into(),
    })
}

fn op(value: &Value) -> Result<BatchOperation, FieldError> {
    fields::one_of(value, "must be create, update, start, complete, cancel, reopen, delete or restore")
}

fn id(value: &Value) -> Result<TaskId, FieldError> {
    text(value)?.parse().map_err(|_| FieldError::new("malformed", "must be the id of a task, a UUID"))
}
