//! Which tasks to list. Pure: knows neither HTTP nor SQL.

use std::collections::BTreeSet;

use events::{Priority, Status, Timestamp};
use serde::Serialize;

/// Which of the caller's tasks to list; the default is all that are not in the trash.
///
/// Equal filters serialize equally, which is what cursors are bound to: whatever narrows the list belongs
/// in here, and the current time does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Filter {
    /// Any of them; all when empty.
    pub(crate) statuses: BTreeSet<Status>,
    /// Any of them; all when empty.
    pub(crate) priorities: BTreeSet<Priority>,
    /// All of them.
    pub(crate) tags: BTreeSet<String>,
    /// When it is due; a day counts as its first instant in UTC.
    pub(crate) due: Range,
    /// When it came to be.
    pub(crate) created: Range,
    /// When it last changed.
    pub(crate) updated: Range,
    /// When it was finished.
    pub(crate) completed: Range,
    /// Only what is due in the past and neither done nor cancelled.
    pub(crate) overdue: bool,
    /// Folded; each occurs in the title, the description or a tag.
    pub(crate) words: BTreeSet<String>,
    /// Only the trash, instead of everything else.
    pub(crate) deleted: bool,
}

/// A stretch of time, open where a bound is missing. With any bound, a missing value is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Range {
    /// The first instant inside.
    pub(crate) after: Option<Timestamp>,
    /// The first instant outside.
    pub(crate) before: Option<Timestamp>,
}
