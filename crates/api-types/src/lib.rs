//! The HTTP contract as types: requests, responses and problems, and the OpenAPI document that is made of them.
//!
//! `docs/api.md` says in words what these types say to programs. To add an endpoint, add its request and its response
//! to the file of its subject, and its operation to the file of the same subject in `openapi/`. Then write
//! `docs/openapi.json` again: `UPDATE_OPENAPI=1 cargo test --workspace --test openapi`. Nothing here decides anything,
//! and nothing here knows a web framework.

mod account;
mod admin;
mod audit;
mod audit_trail;
mod batch;
mod borrowed;
mod health;
mod history;
mod keys;
pub mod openapi;
mod problem;
mod program_token;
mod second_factor;
mod session;
mod stand_ins;
mod task;

pub use account::{ChangePassword, EraseMe, Register, Rename, ResetPassword, User, UserBody};
pub use admin::{AdminAct, ManagedUser, ManagedUsers, OfferReset, OfferedReset, SecondFactorRoles, SetRoles};
pub use audit::ConsistencyProof;
pub use audit_trail::{AuditEvent, AuditPage, AuditedOperation};
pub use batch::{Batch, BatchCommand, BatchOperation, BatchResult, BatchResults, IfMatch};
pub use borrowed::{BorrowedHistoryItem, BorrowedTask};
pub use health::{Liveness, LivenessStatus, Readiness, ReadinessStatus};
pub use history::{
    FieldChange, HistoryItem, TaskChanges, TaskEvent, TaskHistory, TaskSummary, TasksByPriority,
    TasksByStatus,
};
pub use keys::{Jwk, Jwks};
pub use problem::{FieldError, Problem, ProblemCode};
pub use program_token::{CreateProgramToken, NewProgramToken, ProgramToken, ProgramTokens};
pub use second_factor::{ConfirmTotp, EnrollTotp, RemoveTotp, SecondFactorLogin, TotpEnrolment};
pub use session::{Login, Refresh, Session, Sessions, TokenType, Tokens};
pub use task::{ChangeTask, CreateTask, NoFields, RevertTask, Task, TaskPage, UndoRequest};
