//! The body of a batch: what is wrong here is wrong with the whole.

use serde_json::{Map, Value};
use service::{Form, Invalid, Problem};

use super::command::BatchCommand;

/// In one batch.
const MOST_COMMANDS: usize = 100;

/// `{commands}`, 1 to 100 of them, each a command or what is wrong with it.
pub(super) fn read(body: Map<String, Value>) -> Result<Vec<Result<BatchCommand, Problem>>, Problem> {
    let mut form = Form::new(body);
    let commands = form.required("commands", commands);
    form.finish()?;
    commands.ok_or_else(Problem::internal)
}

fn commands(value: &Value) -> Result<Vec<Result<BatchCommand, Problem>>, Invalid> {
    let Value::Array(commands) = value else {
        return Err(Invalid::wrong_type("an array of commands"));
    };
    match commands.len() {
        0 => Err(Invalid::new("empty", "must hold at least one command")),
        1..=MOST_COMMANDS => {
            let commands = commands.iter().enumerate();
            Ok(commands
                .map(|(index, command)| BatchCommand::read(index, command))
                .collect())
        }
        count => Err(Invalid::new(
            "too-many",
            format!("must hold at most {MOST_COMMANDS} commands, not {count}"),
        )),
    }
}
