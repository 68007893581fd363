//! Reading tasks: which ones, in what order, from where on. Must not know HTTP.

mod changes;
mod cursor;
mod filter;
mod history;
mod read;
mod row;
mod sort;
mod statement;
mod summary;

pub(crate) use changes::{ChangesError, Since, changes};
pub(crate) use filter::{Filter, Range};
pub(crate) use history::{HistoryError, HistoryPlace, Moment, history, past_task};
pub(crate) use read::{ListError, Listing, PATIENCE, find, list};
pub(crate) use row::TaskView;
pub(crate) use sort::{Sort, SortBy};
pub(crate) use summary::summary;

#[cfg(test)]
pub(crate) use statement::{MOST_CANDIDATES, Statement};
#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
