//! The events of Taskledger: identifiers, payloads, envelope and folds.
//!
//! Everything here is pure. There is no I/O, no clock and no random number: time and ids come in from
//! the roles. To add an event, add its payload beside its siblings (`task.rs`, `account.rs`,
//! `session.rs`, `email.rs`, `admins.rs`, `operation.rs`), a line to that file's table, an arm to the fold, and a
//! golden file. To change one, never edit it: raise its version in the table and add a step to `upcast.rs`.

mod account;
mod admins;
mod aggregate;
mod as_text;
mod bounded_text;
mod catalog;
mod closed_streams;
mod codec;
mod codec_error;
mod consistency_token;
mod description;
mod drop_command;
mod due;
mod email;
mod email_address;
mod encoded;
mod envelope;
mod ids;
mod invisible;
mod log_point;
mod named;
mod operation;
mod partition;
mod password_reset;
mod personal;
mod program_token;
mod second_factor;
mod secret_hash;
mod secrets;
mod session;
mod stored;
mod subject_hash;
mod tags;
mod task;
mod text;
mod timestamp;
mod title;
mod upcast;

pub use account::{
    Account, AccountDisabled, AccountEnabled, AccountErased, AccountEvent, AccountRegistered, AccountRenamed,
    AccountSessionOpened, AccountSessionsEnded, MAX_OPEN_SESSIONS, PasswordChanged, PasswordRehashed, Role,
    RolesChanged,
};
pub use admins::{AdminAdded, AdminRemoved, Admins, AdminsEvent, KnownAgain, SecondFactorRolesChanged};
pub use aggregate::{Aggregate, StreamEvent};
pub use bounded_text::{AdminReason, BoundedText};
pub use catalog::Event;
pub use closed_streams::{ClosedStream, Closing, Droppable};
pub use codec_error::CodecError;
pub use consistency_token::{ConsistencyToken, ParseConsistencyTokenError};
pub use description::Description;
pub use drop_command::{DropCommand, ExportedPayloads};
pub use due::{Due, ParseDueError};
pub use email::{EmailClaimed, EmailEvent, EmailReleased};
pub use email_address::{EmailAddress, NotAnAddress, fold_part_of_address, holds_address};
pub use encoded::Encoded;
pub use envelope::{Actor, CorrelationId, Encoding, KeyText, Metadata, NewEvent, RecordedEvent, Traceparent};
pub use ids::{
    EventId, OperationId, ParseIdError, ParseStreamError, SessionId, StreamKind, StreamName, TaskId, TokenId,
    UserId,
};
pub use invisible::{is_ignorable, is_invisible, turns_direction};
pub use log_point::LogPoint;
pub use operation::{
    OperationEvent, OperationFinished, OperationOutcome, OperationReason, OperationStarted, OperatorCommand,
    OperatorName,
};
pub use partition::PartitionCount;
pub use password_reset::{PasswordReset, PendingReset, ResetOffered};
pub use personal::{
    DividedPayload, ERASED, ERASED_EMAIL, PERSONAL_MEMBERS, SEALED_MEMBER, divide_payload, erased_payload,
    sealed_part, unite_payload,
};
pub use program_token::{
    MAX_PROGRAM_TOKENS, ProgramToken, ProgramTokenCreated, ProgramTokenRevoked, ProgramTokenUsed, Scope,
};
pub use second_factor::{
    FREE_WRONG_CODES, SecondFactor, SecondFactorConfirmed, SecondFactorEnrolled, SecondFactorPassed,
    SecondFactorRefused, SecondFactorRemoved, UsedCode,
};
pub use secret_hash::SecretHash;
pub use secrets::{SECRET_MEMBERS, may_hold_secrets, public_payload};
pub use session::{
    AuthenticationMethod, EndReason, ExchangedRefreshToken, GoodRefreshToken, MAX_REFRESH_TOKENS, Session,
    SessionEnded, SessionEvent, SessionRefreshRepeated, SessionRefreshed, SessionStarted,
};
pub use stored::{EventDigest, StoredEvent, StoredPayload, sha256, sha256_bytes};
pub use tags::{InvalidTag, Tags};
pub use task::{
    Priority, Status, Task, TaskCancelled, TaskCompleted, TaskCreated, TaskDeleted, TaskDescribed, TaskEvent,
    TaskPrioritized, TaskPurged, TaskRenamed, TaskReopened, TaskRestored, TaskScheduled, TaskStarted,
    TaskTagged,
};
pub use text::{InvalidText, fold_text, line, paragraphs};
pub use timestamp::{ParseTimestampError, Timestamp};
pub use title::Title;
