//! The filter of a list of tasks. Pure: knows neither HTTP nor SQL.

use std::collections::BTreeSet;

use events::{Priority, Status, Timestamp};
use serde::Serialize;

/// The conditions for listed tasks; the default is all that are not in the trash.
///
/// Equal filters serialize equally, because cursors are bound to the text: every condition belongs in here, and the
/// current time does not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Filter {
    /// Any of these statuses; all when empty.
    pub(crate) statuses: BTreeSet<Status>,
    /// Any of these priorities; all when empty.
    pub(crate) priorities: BTreeSet<Priority>,
    /// All of these tags.
    pub(crate) tags: BTreeSet<String>,
    /// The due date; a day counts as its first instant in UTC.
    pub(crate) due: Range,
    pub(crate) created: Range,
    /// The time of the last change.
    pub(crate) updated: Range,
    pub(crate) completed: Range,
    /// Only tasks that were due in the past and are neither done nor cancelled.
    pub(crate) overdue: bool,
    /// The folded words; each must occur in the title, the description or a tag.
    pub(crate) words: BTreeSet<String>,
    /// Only the trash, instead of everything else.
    pub(crate) deleted: bool,
}

/// A range of time, open where a bound is missing. With any bound, a missing value is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(crate) struct Range {
    /// The first instant inside.
    pub(crate) after: Option<Timestamp>,
    /// The first instant outside.
    pub(crate) before: Option<Timestamp>,
}
