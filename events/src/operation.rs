//! What operators do at the command line, with who does it and why: a stream for each command that changes something.

use serde::{Deserialize, Serialize};

use crate::{BoundedText, codec::catalog};

catalog! {
    /// What can happen to a command of an operator.
    OperationEvent {
        Started(OperationStarted) = "operation.started", 1;
        Finished(OperationFinished) = "operation.finished", 1;
    }
}

/// A command, with what it is about where that is no person: `parked discard 1207`.
pub type OperatorCommand = BoundedText<400>;
/// The name of an operator.
pub type OperatorName = BoundedText<400>;
/// Why an operator gave a command.
pub type OperationReason = BoundedText<2_000>;

/// An operator is about to do something. Recorded before anything is done, so that nothing is done unrecorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationStarted {
    /// The command that was given.
    pub command: OperatorCommand,
    /// Who, as they say or as their system knows them.
    pub by: OperatorName,
    /// Why, if they said so.
    pub reason: Option<OperationReason>,
}

/// The command has ended. One that was broken off, by a crash for example, has no such event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperationFinished {
    /// How the command ended.
    pub outcome: OperationOutcome,
    /// What came of it, in a few words, if there is more to say.
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
