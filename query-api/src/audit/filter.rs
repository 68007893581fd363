//! The filters and pages of the audit trail, and their SQL. Pure.
//!
//! The newest comes first, by the time at which it was recorded and then by position. Each column that can be filtered
//! by has an index in that order, so that a page is one range of one index.

use database::{Value, placeholders};
use events::{Actor, Timestamp, UserId};
use http_api::{BadCursor, CursorKey};
use serde::Serialize;

const PURPOSE: &str = "audit trail";

/// Of people who were erased, and whose rows the projector is still working on, what will be gone is left out.
const COLUMNS: &str = "position, stream, version, event_id, type, subject, actor,
    CASE WHEN subject IN (SELECT subject FROM unfinished_erasures) THEN 'erased' ELSE correlation_id END AS correlation_id,
    causation_id, recorded_at,
    CASE WHEN type IN ('operation.started', 'operation.finished')
        OR subject NOT IN (SELECT subject FROM unfinished_erasures) THEN operation END AS operation";

/// Who acted, without the program by which a person may have acted. Ids have 36 characters, other actors fewer.
const PERSON: &str = "substr(actor, 1, 36)";

/// The conditions of an entry; `None` means any.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AuditFilter {
    /// The person that it is about.
    pub subject: Option<UserId>,
    /// The actor who caused it. A person's programs count as the person.
    pub actor: Option<Actor>,
    /// The type of the event, such as `task.created`.
    pub kind: Option<String>,
    /// The stream.
    pub stream: Option<String>,
    /// The request that caused it.
    pub correlation_id: Option<String>,
    /// Recorded at this time or later.
    pub from: Option<Timestamp>,
    /// Recorded before this time.
    pub to: Option<Timestamp>,
}

/// Where the next page of the audit trail begins: the last entry of the page before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuditCursor {
    pub(crate) recorded_at: i64,
    /// The position in the row, which may be damaged.
    pub(crate) position: i64,
}

#[derive(Serialize)]
struct Binding<'a> {
    viewer: UserId,
    filter: &'a AuditFilter,
}

impl AuditCursor {
    /// The signed text of this cursor, for the client.
    pub(crate) fn write(self, key: &CursorKey, viewer: UserId, filter: &AuditFilter) -> String {
        let mut bytes = self.recorded_at.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.position.to_be_bytes());
        key.seal(PURPOSE, &Binding { viewer, filter }, bytes)
    }

    /// Reads what [`Self::write`] wrote for the same person and the same filter.
    pub(crate) fn read(
        key: &CursorKey,
        cursor: &str,
        viewer: UserId,
        filter: &AuditFilter,
    ) -> Result<Self, BadCursor> {
        let bytes = key.open(PURPOSE, &Binding { viewer, filter }, cursor)?;
        let (recorded_at, position) = bytes.split_first_chunk::<8>().ok_or(BadCursor)?;
        Ok(Self {
            recorded_at: i64::from_be_bytes(*recorded_at),
            position: i64::from_be_bytes(position.try_into().map_err(|_| BadCursor)?),
        })
    }
}

impl AuditFilter {
    /// Whether several columns are compared for equality, of which an index has only one.
    pub(crate) fn is_compound(&self) -> bool {
        self.equalities().len() > 1
    }

    /// The statement for a page, the newest first.
    pub(super) fn page(&self, after: Option<AuditCursor>, rows: u32) -> (String, Vec<Value>) {
        let mut statement = self.statement();
        if let Some(cursor) = after {
            statement.and("(recorded_at, position) <", &[cursor.recorded_at.into(), cursor.position.into()]);
        }
        statement.end(&format!("ORDER BY recorded_at DESC, position DESC LIMIT {rows}"))
    }

    /// The statement for the entries between two positions, in the order of the log.
    pub(super) fn between(&self, after: u64, to: u64) -> (String, Vec<Value>) {
        let mut statement = self.statement();
        statement.and("position >", &[after.into()]);
        statement.and("position <=", &[to.into()]);
        statement.end("ORDER BY position")
    }

    fn statement(&self) -> Statement {
        let mut statement = Statement::default();
        for (column, value) in self.equalities() {
            statement.and(&format!("{column} ="), &[value]);
        }
        if self.correlation_id.is_some() {
            statement.conditions.push(
                "(correlation_id = 'erased' OR subject NOT IN (SELECT subject FROM unfinished_erasures))"
                    .to_owned(),
            );
        }
        for (bound, comparison) in [(self.from, ">="), (self.to, "<")] {
            if let Some(bound) = bound {
                statement.and(&format!("recorded_at {comparison}"), &[bound.as_micros().into()]);
            }
        }
        statement
    }

    fn equalities(&self) -> Vec<(&'static str, Value)> {
        let mut equalities = Vec::new();
        if let Some(subject) = self.subject {
            equalities.push(("subject", subject.0.into()));
        }
        if let Some(actor) = self.actor {
            let column = match actor {
                Actor::Program { .. } => "actor",
                Actor::User(_) | Actor::Operator | Actor::System => PERSON,
            };
            equalities.push((column, actor.to_string().into()));
        }
        let texts =
            [("type", &self.kind), ("stream", &self.stream), ("correlation_id", &self.correlation_id)];
        for (column, text) in texts {
            if let Some(text) = text {
                equalities.push((column, text.as_str().into()));
            }
        }
        equalities
    }
}

#[derive(Default)]
struct Statement {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Statement {
    fn and(&mut self, comparison: &str, values: &[Value]) {
        let first = self.values.len() + 1;
        self.values.extend_from_slice(values);
        let placeholders = placeholders(first..self.values.len() + 1);
        self.conditions.push(match values.len() {
            1 => format!("{comparison} {placeholders}"),
            _ => format!("{comparison} ({placeholders})"),
        });
    }

    fn end(self, order: &str) -> (String, Vec<Value>) {
        let mut sql = format!("SELECT {COLUMNS} FROM audit_log");
        if !self.conditions.is_empty() {
            sql += " WHERE ";
            sql += &self.conditions.join(" AND ");
        }
        sql += " ";
        sql += order;
        (sql, self.values)
    }
}
