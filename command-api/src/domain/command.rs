//! The commands.

use super::{
    CancelTask, ChangeTask, CompleteTask, CreateTask, DeleteTask, ReopenTask, RestoreTask, RevertTask,
    StartTask, UndoTask,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Create(CreateTask),
    /// Change some of its fields.
    Change(ChangeTask),
    Start(StartTask),
    Complete(CompleteTask),
    /// Cancel it.
    Cancel(CancelTask),
    /// Open it again.
    Reopen(ReopenTask),
    /// Move it to the trash.
    Delete(DeleteTask),
    /// Restore it from the trash.
    Restore(RestoreTask),
    /// Bring it back to an earlier version.
    Revert(RevertTask),
    /// Undo the changes of a request.
    Undo(Box<UndoTask>),
}

impl Command {
    /// The name in metrics.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Change(_) => "change",
            Self::Start(_) => "start",
            Self::Complete(_) => "complete",
            Self::Cancel(_) => "cancel",
            Self::Reopen(_) => "reopen",
            Self::Delete(_) => "delete",
            Self::Restore(_) => "restore",
            Self::Revert(_) => "revert",
            Self::Undo(_) => "undo",
        }
    }
}

macro_rules! from {
    ($($command:ident => $variant:ident;)+) => {
        $(
            impl From<$command> for Command {
                fn from(command: $command) -> Self {
                    Self::$variant(command)
                }
            }
        )+
    };
}

impl From<UndoTask> for Command {
    fn from(command: UndoTask) -> Self {
        Self::Undo(Box::new(command))
    }
}

from! {
    CreateTask => Create;
    ChangeTask => Change;
    StartTask => Start;
    CompleteTask => Complete;
    CancelTask => Cancel;
    ReopenTask => Reopen;
    DeleteTask => Delete;
    RestoreTask => Restore;
    RevertTask => Revert;
}
