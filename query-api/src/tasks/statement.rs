//! SQL for lists of tasks. Pure.
//!
//! Each begins with the owner and with `deleted_at` spelled as the partial indexes spell it, orders by the
//! very columns that they keep, and continues after a place by comparing rows: so a page is one range
//! of one index, however many tasks there are. Never `OFFSET` to reach a page, which reads all that it skips.
//!
//! A filter without an index examines [`MAX_LOOKED_AT`] tasks for a page, whether they pass it or not, so that a
//! rare tag does not read all tasks of its owner.
//!
//! The cost of a word is limited: `grams` rules out nearly every task without it, and the text of at most
//! [`MAX_CANDIDATES`] others is read (docs/adr/0012).

use database::{Dialect, Value, list_parameter};
use events::{Timestamp, UserId};
use read_models::{bits_of_word, in_tag_list};
use uuid::Uuid;

use super::{
    Filter, Range, Sort, SortBy,
    cursor::{SortKey, TaskCursor},
    row,
};

/// The most tasks that have all grams of a search, and whose text is read for one page.
pub(crate) const MAX_CANDIDATES: usize = 1_000;

/// The most tasks that are examined for one page when a filter has to be compared with each.
pub(crate) const MAX_LOOKED_AT: usize = 10_000;

/// The most grams of one word that are searched for in each task, and of all words unless there are more words.
const MAX_GRAMS_OF_A_WORD: usize = 6;
const MAX_GRAMS: usize = 16;

/// The columns for filters, besides those that are shown.
const COMPARED: &str = "due_at, overdue_at, tag_list, search_text";

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    dialect: Dialect,
    pub(crate) text: String,
    pub(crate) values: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) owner: UserId,
    pub(crate) filter: &'a Filter,
    pub(crate) sort: Sort,
    /// The end of the previous page.
    pub(crate) after: Option<&'a TaskCursor>,
    pub(crate) rows: u16,
    /// Tasks that were due before this time are overdue.
    pub(crate) now: Timestamp,
}

impl Page<'_> {
    /// The most tasks that are examined for the page, if a condition needs neither the sorted index nor the grams;
    /// `None` for no limit.
    pub(crate) fn most_looked_at(self) -> Option<usize> {
        if !self.filter.words.is_empty() {
            return Some(MAX_CANDIDATES);
        }
        let mut left = self.filter.clone();
        match self.sort.by {
            SortBy::CreatedAt => left.created = Range::default(),
            SortBy::UpdatedAt => left.updated = Range::default(),
            SortBy::Due | SortBy::Priority | SortBy::Title => {}
        }
        left.deleted = false;
        (left != Filter::default()).then_some(MAX_LOOKED_AT)
    }
}

impl Statement {
    /// The tasks of a page, read along the index that keeps their order, and after them a row that marks its end
    /// ([`row::is_end`]), if the page is not full although there may be more. With words, only the first
    /// [`MAX_CANDIDATES`] tasks with all grams are examined; without words the first [`MAX_LOOKED_AT`], if the
    /// filter has conditions that the index lacks.
    pub(crate) fn page(dialect: Dialect, page: Page<'_>) -> Self {
        let (column, direction, rows) = (page.sort.column(), page.sort.direction(), page.rows);
        let columns = row::COLUMNS;
        let mut statement = Self::of(dialect);
        let Some(most) = page.most_looked_at() else {
            statement.text =
                format!("SELECT {columns}, {column} AS place, CAST(0 AS BIGINT) AS is_end FROM tasks");
            statement.range(page);
            // The number is in the text, so that the planner knows that few rows are wanted.
            statement.text += &format!(" ORDER BY {column} {direction}, id {direction} LIMIT {rows}");
            return statement;
        };
        statement.text = format!(
            "SELECT {columns}, place, CAST(0 AS BIGINT) AS is_end FROM (SELECT {columns}, {column} AS place, {COMPARED} FROM tasks"
        );
        statement.range(page);
        statement.text +=
            &format!(" ORDER BY {column} {direction}, id {direction} LIMIT {most}) AS looked_at WHERE TRUE");
        if page.filter.words.is_empty() {
            statement.only(page.filter, page.now);
        }
        statement.exactly(page.filter);
        // The examined tasks are in order and stay so: neither database reorders rows that it reads one by one, and
        // the end is read only if the page is not full. Both parts see one state: otherwise a task that disappears in
        // between would move the end of the page.
        let (nothing, last) = (row::NOTHING, most - 1);
        statement.text += &format!(
            " UNION ALL SELECT {nothing}, place, CAST(1 AS BIGINT) AS is_end FROM (SELECT id, {column} AS place FROM tasks"
        );
        statement.range(page);
        statement.text += &format!(
            " ORDER BY {column} {direction}, id {direction} LIMIT 1 OFFSET {last}) AS last_looked_at LIMIT {rows}"
        );
        statement
    }

    /// The ids of tasks of `owner` that may contain all words of `filter`, in no order: [`MAX_CANDIDATES`], and one
    /// more when there are more.
    pub(crate) fn candidates(dialect: Dialect, owner: UserId, filter: &Filter) -> Self {
        let mut statement = Self::of(dialect);
        statement.text = format!("SELECT id FROM tasks{}", index_of_grams(dialect, filter.deleted));
        statement.owned(owner, filter);
        statement.grams(filter);
        statement.text += &format!(" LIMIT {}", MAX_CANDIDATES + 1);
        statement
    }

    /// Like [`Self::page`], for the few tasks whose ids are in `ids`.
    pub(crate) fn page_among(dialect: Dialect, page: Page<'_>, ids: &[Uuid]) -> Self {
        let (column, direction, rows) = (page.sort.column(), page.sort.direction(), page.rows);
        let mut statement = Self::of(dialect);
        // Materialized, so that the few tasks are sorted, instead of reading all tasks of the owner in order.
        statement.text =
            format!("WITH found AS MATERIALIZED (SELECT id AS task, {column} AS place FROM tasks");
        statement.among(page.owner, page.filter, page.now, ids);
        statement.after(page);
        let order = format!("ORDER BY place {direction}, task {direction}");
        let columns = row::COLUMNS;
        statement.text += &format!(
            "), page AS MATERIALIZED (SELECT task, place FROM found {order} LIMIT {rows}) \
             SELECT {columns}, place, CAST(0 AS BIGINT) AS is_end FROM page JOIN tasks ON id = task {order}"
        );
        statement
    }

    /// How many tasks of `owner` pass `filter` at `now`, as `total`.
    pub(crate) fn count(dialect: Dialect, owner: UserId, filter: &Filter, now: Timestamp) -> Self {
        let mut statement = Self::of(dialect);
        statement.text = "SELECT COUNT(*) AS total FROM tasks".to_owned();
        statement.owned(owner, filter);
        statement.only(filter, now);
        statement.grams(filter);
        statement.exactly(filter);
        statement
    }

    /// Like [`Self::count`], for the tasks whose ids are in `ids`.
    pub(crate) fn count_among(
        dialect: Dialect,
        owner: UserId,
        filter: &Filter,
        now: Timestamp,
        ids: &[Uuid],
    ) -> Self {
        let mut statement = Self::of(dialect);
        statement.text = "SELECT COUNT(*) AS total FROM tasks".to_owned();
        statement.among(owner, filter, now, ids);
        statement
    }

    const fn of(dialect: Dialect) -> Self {
        Self { dialect, text: String::new(), values: Vec::new() }
    }

    /// The conditions that the index can check: not those that need the text, and without words none that the index
    /// lacks.
    fn range(&mut self, page: Page<'_>) {
        self.owned(page.owner, page.filter);
        if page.filter.words.is_empty() {
            match page.sort.by {
                SortBy::CreatedAt => self.within("created_at", page.filter.created),
                SortBy::UpdatedAt => self.within("updated_at", page.filter.updated),
                // The column is never null, and has the due date of a task that has one.
                SortBy::Due => self.within(page.sort.column(), page.filter.due),
                SortBy::Priority | SortBy::Title => {}
            }
        } else {
            self.only(page.filter, page.now);
            self.grams(page.filter);
        }
        self.after(page);
    }

    /// The tasks of `ids` that pass `filter`. The owner is compared in a way that no index supports: otherwise a
    /// database that expects an average owner would read all of their tasks with their texts.
    fn among(&mut self, owner: UserId, filter: &Filter, now: Timestamp, ids: &[Uuid]) {
        self.values.push(list_parameter(ids.iter().map(Uuid::to_string)));
        let few = self.dialect.one_of("id", "uuid", self.values.len());
        let owner = self.bind(owner.0.into());
        let deleted = deleted(filter);
        self.text += &format!(" WHERE {few} AND CAST(owner AS TEXT) = CAST({owner} AS TEXT) AND {deleted}");
        self.only(filter, now);
        self.exactly(filter);
    }

    fn after(&mut self, page: Page<'_>) {
        if let Some(place) = page.after {
            let (column, comparison) = (page.sort.column(), page.sort.comparison());
            let key = self.bind(match &place.key {
                SortKey::Number(number) => (*number).into(),
                SortKey::Text(text) => text.as_str().into(),
            });
            let id = self.bind(place.id.0.into());
            self.and(&format!("({column}, id) {comparison} ({key}, {id})"));
        }
    }

    fn owned(&mut self, owner: UserId, filter: &Filter) {
        let owner = self.bind(owner.0.into());
        let deleted = deleted(filter);
        self.text += &format!(" WHERE owner = {owner} AND {deleted}");
    }

    /// All conditions except the owner, the trash and the words.
    fn only(&mut self, filter: &Filter, now: Timestamp) {
        let Filter {
            statuses,
            priorities,
            tags,
            due,
            created,
            updated,
            completed,
            overdue,
            words: _,
            deleted: _,
        } = filter;
        self.any_of("status", statuses.iter().map(|status| status.name().into()));
        self.any_of("priority", priorities.iter().map(|priority| priority.rank().into()));
        self.within("due_at", *due);
        self.within("created_at", *created);
        self.within("updated_at", *updated);
        self.within("completed_at", *completed);
        if *overdue {
            let now = self.bind(now.as_micros().into());
            self.and(&format!("overdue_at <= {now} AND status NOT IN ('done', 'cancelled')"));
        }
        for tag in tags {
            self.contains("tag_list", &in_tag_list(tag));
        }
    }

    /// Requires all grams of every word. The longest words come first, because they exclude the most.
    fn grams(&mut self, filter: &Filter) {
        let mut words: Vec<&String> = filter.words.iter().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let most = (MAX_GRAMS / words.len().max(1)).clamp(1, MAX_GRAMS_OF_A_WORD);
        let mut bits: Vec<_> = words.iter().flat_map(|word| bits_of_word(word, most)).collect();
        // The number of parameters is one of a few, so that there are few prepared statements. A repeated gram costs
        // nothing in rows that were excluded before.
        if let Some(last) = bits.last().copied() {
            bits.resize(bits.len().next_power_of_two(), last);
        }
        for bit in bits {
            let hash = self.bind(i64::from(bit.hash).into());
            let mask = self.bind(i64::from(bit.mask).into());
            let condition = has_bit(self.dialect, &hash, &mask);
            self.and(&condition);
        }
    }

    /// Requires every word in the text.
    fn exactly(&mut self, filter: &Filter) {
        for word in &filter.words {
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
        let part = self.bind(part.into());
        let condition = self.dialect.contains(column, &part);
        self.and(&condition);
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

/// The same text as in the partial indexes.
const fn deleted(filter: &Filter) -> &'static str {
    if filter.deleted { "deleted_at IS NOT NULL" } else { "deleted_at IS NULL" }
}

/// The condition that `grams` has a [`read_models::Bit`], given as two parameters. A row without `grams` may have them
/// all.
fn has_bit(dialect: Dialect, hash: &str, mask: &str) -> String {
    match dialect {
        Dialect::Postgres => {
            format!("COALESCE(get_byte(grams, ({hash} % octet_length(grams))::int) & {mask}, 1) <> 0")
        }
        // SQLite can read a byte of a value only as a character.
        Dialect::Sqlite => {
            format!("COALESCE(unicode(substr(grams, 1 + {hash} % length(grams), 1)) & {mask}, 1) <> 0")
        }
    }
}

/// The index hint after the table name `tasks`, for statements that read the `grams` of all tasks of an owner, in
/// the trash or outside. SQLite needs it, because it ignores the length of rows; PostgreSQL stores long texts
/// outside of them.
const fn index_of_grams(dialect: Dialect, deleted: bool) -> &'static str {
    match (dialect, deleted) {
        (Dialect::Postgres, _) => "",
        (Dialect::Sqlite, false) => " INDEXED BY tasks_by_created_at",
        (Dialect::Sqlite, true) => " INDEXED BY trash_by_created_at",
    }
}
