//! The body of a batch. A mistake here makes the whole batch invalid.

use http_api::{ErrorRoom, FieldError, Form, Problem};
use serde_json::{Map, Value};

use super::command::BatchCommand;

const MAX_COMMANDS: usize = 100;
/// The most bytes of all errors in the answer to one batch, besides the rest of each problem.
const MAX_ERROR_BYTES: usize = 24 * 1024;

/// Reads `{commands}`, 1 to 100 of them. Each is a command or the problem of an invalid one.
pub(super) fn read(mut body: Map<String, Value>) -> Result<Vec<Result<BatchCommand, Problem>>, Problem> {
    // Taken out of the body without copying, because they may be long.
    let commands = match body.get_mut("commands") {
        Some(Value::Array(commands)) => std::mem::take(commands),
        Some(_) | None => Vec::new(),
    };
    let mut form = Form::new(body);
    let count = commands.len();
    form.required("commands", |value| check(value, count));
    form.finish()?;
    let mut room = ErrorRoom::new(MAX_ERROR_BYTES);
    let commands = commands.into_iter().enumerate();
    Ok(commands.map(|(index, command)| BatchCommand::read(index, command, &mut room)).collect())
}

/// Checks that `value` was an array of an acceptable length.
fn check(value: &Value, count: usize) -> Result<(), FieldError> {
    let Value::Array(_) = value else {
        return Err(FieldError::wrong_type("an array of commands"));
    };
    match count {
        0 => Err(FieldError::new("empty", "must hold at least one command")),
        1..=MAX_COMMANDS => Ok(()),
        count => Err(FieldError::new(
            "too-many",
            format!("must hold at most {MAX_COMMANDS} commands, not {count}"),
        )),
    }
}
