//! Reading tasks: which ones, in what order, from where on. Must not know HTTP.

mod cursor;
mod filter;
mod read;
mod row;
mod sort;
mod statement;

pub(crate) use cursor::{BadCursor, CursorKey};
pub(crate) use filter::{Filter, Range};
pub(crate) use read::{ListError, Listing, find, list};
pub(crate) use row::TaskView;
pub(crate) use sort::{Sort, SortBy};

#[cfg(test)]
pub(crate) use statement::{MOST_CANDIDATES, Statement};
#[cfg(test)]
mod tests;
