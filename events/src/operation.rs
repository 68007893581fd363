//! The commands of operators that change something, with who gave them and why. Each command has its own stream.

use serde::{Deserialize, Serialize};

use crate::{BoundedText, codec::catalog};

catalog! {
    /// An event of a command of an operator.
    OperationEvent {
        Started(OperationStarted) = "operation.started", 1;
        Finished(OperationFinished) = "operation.finished", 1;
    }
}

/// The text of a command, including what it is about if that is not a person, for example `parked discard 1207`.
pub type OperatorCommand = BoundedText<400>;
/// The name of an operator.
pub type OperatorName = BoundedText<400>;
/// Why an operator gave a command.
pub type OperationReason = BoundedText<2_000>;

/// An operator is about to run a command. Recorded before the command changes anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStarted {
    /// The command that was given.
    pub command: OperatorCommand,
    /// The operator's name, as given or as the operating system knows it.
    pub by: OperatorName,
    /// Why, if they said so.
    pub reason: Option<OperationReason>,
}

/// The command has ended. A command that was interrupted, by a crash for example, has no such event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationFinished {
    /// How the command ended.
    pub outcome: OperationOutcome,
    /// The result in a few words, if there is more to say.
    pub result: Option<BoundedText<400>>,
}

/// How a command of an operator ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// All of it was done.
    Succeeded,
    /// Something of it was not done.
    Failed,
}
