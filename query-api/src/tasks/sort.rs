//! The orders of lists, and the indexed columns of `tasks` for them.

use std::str::FromStr;

use serde::Serialize;

/// An order: by one value, and by id among equals, both in the same direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Sort {
    pub(crate) by: SortBy,
    pub(crate) descending: bool,
}

/// The values that tasks can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum SortBy {
    CreatedAt,
    UpdatedAt,
    Due,
    Priority,
    Title,
}

impl Default for Sort {
    /// The newest first.
    fn default() -> Self {
        Self { by: SortBy::CreatedAt, descending: true }
    }
}

impl Sort {
    /// The sorted column, which has an index. Never null: a task without a due date comes last in either direction,
    /// and each direction has its own column and index for that.
    pub(crate) const fn column(self) -> &'static str {
        match (self.by, self.descending) {
            (SortBy::CreatedAt, _) => "created_at",
            (SortBy::UpdatedAt, _) => "updated_at",
            (SortBy::Due, false) => "due_ascending",
            (SortBy::Due, true) => "due_descending",
            (SortBy::Priority, _) => "priority",
            (SortBy::Title, _) => "title_sort",
        }
    }

    pub(crate) const fn direction(self) -> &'static str {
        if self.descending { "DESC" } else { "ASC" }
    }

    /// The comparison of a later row.
    pub(crate) const fn comparison(self) -> &'static str {
        if self.descending { "<" } else { ">" }
    }
}

impl FromStr for Sort {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let by = match name {
            "created_at" => SortBy::CreatedAt,
            "updated_at" => SortBy::UpdatedAt,
            "due" => SortBy::Due,
            "priority" => SortBy::Priority,
            "title" => SortBy::Title,
            _ => {
                return Err(
                    "expected created_at, updated_at, due, priority or title, with a - in front for descending order",
                );
            }
        };
        Ok(Self { by, descending })
    }
}
