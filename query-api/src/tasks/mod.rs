//! Reads tasks: filters, orders and pages. Knows nothing of HTTP.

mod change_token;
mod changes;
mod cursor;
mod error;
mod filter;
mod follow;
mod history;
mod read;
mod row;
mod sort;
mod statement;
mod summary;

pub(crate) use change_token::ChangeToken;
pub(crate) use changes::changes;
pub(crate) use error::QueryError;
pub(crate) use filter::{Filter, Range};
pub(crate) use follow::Follower;
pub(crate) use history::{HistoryCursor, Moment, history, history_item_of, past_task};
pub(crate) use read::{Listing, TIMEOUT, find, list};
pub(crate) use row::task_of;
pub(crate) use sort::{Sort, SortBy};
pub(crate) use summary::summary;

#[cfg(test)]
pub(crate) use statement::{MAX_CANDIDATES, MAX_LOOKED_AT, Statement};
#[cfg(test)]
mod history_tests;
#[cfg(test)]
pub(crate) use tests::explain_sql;
#[cfg(test)]
mod tests;
