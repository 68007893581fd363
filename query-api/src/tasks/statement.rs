//! SQL for lists of tasks, in the dialect that PostgreSQL and SQLite share. Pure.
//!
//! Each begins with the owner and with `deleted_at` spelled as the partial indexes spell it, orders by the
//! very columns that they keep, and continues after a place by comparing rows: so a page is one range
//! of one index, however many tasks there are. Never `OFFSET`, which reads all that it skips.

use database::Value;
use events::{Timestamp, UserId};

use super::{
    Filter, Range, Sort,
    cursor::{Place, SortKey},
    row,
};

/// A query and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

impl Statement {
    /// At most `rows` tasks of `owner` that pass `filter` at `now`, in the order of `sort`, after a place.
    pub(crate) fn page(
        owner: UserId,
        filter: &Filter,
        sort: Sort,
        after: Option<&Place>,
        rows: u16,
        now: Timestamp,
    ) -> Self {
        let (column, direction) = (sort.column(), sort.direction());
        let mut statement = Self {
            text: format!("SELECT {}, {column} AS place FROM tasks", row::COLUMNS),
            values: Vec::new(),
        };
        statement.only(owner, filter, now);
        if let Some(place) = after {
            let key = statement.bind(match &place.key {
                SortKey::Number(number) => (*number).into(),
                SortKey::Text(text) => text.as_str().into(),
            });
            let id = statement.bind(place.id.0.into());
            statement.and(&format!("({column}, id) {} ({key}, {id})", sort.comparison()));
        }
        // The number stands in the text so that the planner knows that few rows are wanted.
        statement.text += &format!(" ORDER BY {column} {direction}, id {direction} LIMIT {rows}");
        statement
    }

    /// How many tasks of `owner` pass `filter` at `now`, as `total`.
    pub(crate) fn count(owner: UserId, filter: &Filter, now: Timestamp) -> Self {
        let mut statement = Self {
            text: "SELECT COUNT(*) AS total FROM tasks".to_owned(),
            values: Vec::new(),
        };
        statement.only(owner, filter, now);
        statement
    }

    fn only(&mut self, owner: UserId, filter: &Filter, now: Timestamp) {
        let Filter {
            statuses,
            priorities,
            tags,
            due,
            created,
            updated,
            completed,
            overdue,
            words,
            deleted,
        } = filter;
        let owner = self.bind(owner.0.into());
        let deleted = if *deleted {
            "deleted_at IS NOT NULL"
        } else {
            "deleted_at IS NULL"
        };
        self.text += &format!(" WHERE owner = {owner} AND {deleted}");

        self.any_of("status", statuses.iter().map(|status| status.name().into()));
        self.any_of(
            "priority",
            priorities.iter().map(|priority| priority.rank().into()),
        );
        self.within("due_at", *due);
        self.within("created_at", *created);
        self.within("updated_at", *updated);
        self.within("completed_at", *completed);
        if *overdue {
            let now = self.bind(now.as_micros().into());
            self.and(&format!(
                "overdue_at <= {now} AND status NOT IN ('done', 'cancelled')"
            ));
        }
        for tag in tags {
            self.contains("tag_list", &format!("\u{1f}{tag}\u{1f}"));
        }
        for word in words {
            self.contains("search_text", word);
        }
    }

    fn any_of(&mut self, column: &str, values: impl Iterator<Item = Value>) {
        let placeholders: Vec<_> = values.map(|value| self.bind(value)).collect();
        if !placeholders.is_empty() {
            self.and(&format!("{column} IN ({})", placeholders.join(", ")));
        }
    }

    fn within(&mut self, column: &str, Range { after, before }: Range) {
        for (bound, comparison) in [(after, ">="), (before, "<")] {
            if let Some(bound) = bound {
                let bound = self.bind(bound.as_micros().into());
                self.and(&format!("{column} {comparison} {bound}"));
            }
        }
    }

    fn contains(&mut self, column: &str, part: &str) {
        let pattern = self.bind(format!("%{}%", escaped(part)).into());
        self.and(&format!(r"{column} LIKE {pattern} ESCAPE '\'"));
    }

    fn and(&mut self, condition: &str) {
        self.text += " AND ";
        self.text += condition;
    }

    fn bind(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }
}

/// `text` as a pattern of `LIKE … ESCAPE '\'` that matches only itself.
fn escaped(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}
