//! Reads the audit trail, for the API and for the operator's tool. Knows nothing of HTTP.

mod filter;
mod read;

pub(crate) use filter::AuditCursor;
pub use filter::AuditFilter;
pub(crate) use read::page;
pub use read::{newest, read_on};

#[cfg(test)]
mod tests;
