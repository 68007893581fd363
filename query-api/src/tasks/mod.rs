//! Reads tasks: filters, orders and pages. Knows nothing of HTTP.

mod change_token;
mod changes;
mod cursor;
mod filter;
mod follow;
mod history;
mod read;
mod row;
mod sort;
mod statement;
mod summary;

pub(crate) use change_token::ChangeToken;
pub(crate) use changes::{ChangesError, changes};
pub(crate) use filter::{Filter, Range};
pub(crate) use follow::Follower;
pub(crate) use history::{HistoryError, HistoryPlace, Moment, history, history_item_of, past_task};
pub(crate) use read::{ListError, Listing, TIMEOUT, find, list};
pub(crate) use row::task_of;
pub(crate) use sort::{Sort, SortBy};
pub(crate) use summary::summary;

#[cfg(test)]
pub(crate) use statement::{MOST_CANDIDATES, MOST_LOOKED_AT, Statement};
#[cfg(test)]
mod history_tests;
#[cfg(test)]
pub(crate) use tests::explain_sql;
#[cfg(test)]
mod tests;
