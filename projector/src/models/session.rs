//! `sessions`: one row for each login, including ended ones. It has no secrets.

use std::collections::BTreeSet;

use database::{DatabaseError, Row, Value};
use events::{EndReason, Session, SessionEvent, SessionId, Timestamp, UserId};
use uuid::Uuid;

use super::model::{Model, micros};
use super::table::{Column, Table};

impl Model for Session {
    const TABLE: Table = Table {
        name: "sessions",
        columns: &[
            ("id", Column::Uuid),
            ("account", Column::Uuid),
            ("started_at", Column::Integer),
            ("last_refreshed_at", Column::Integer),
            ("expires_at", Column::Integer),
            ("ip", Column::Text),
            ("user_agent", Column::Text),
            ("ended_at", Column::Integer),
            ("end_reason", Column::Text),
            ("version", Column::Integer),
            ("position", Column::Integer),
        ],
    };

    const SUBJECT: &'static str = "account";

    const ERASURE: &'static [&'static str] = &["account = $1"];

    fn named(_: Uuid, event: &SessionEvent) -> Option<UserId> {
        if let SessionEvent::Started(started) = event { Some(started.account) } else { None }
    }

    fn subject(&self) -> UserId {
        self.account
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let texts = [("ip", self.ip.as_deref()), ("user_agent", self.user_agent.as_deref())];
        texts.into_iter().filter_map(|(name, text)| Some((name, text?)))
    }

    fn values(&self, position: u64, row: &mut Vec<Value>) {
        row.extend([
            self.id.0.into(),
            self.account.0.into(),
            self.started_at.as_micros().into(),
            self.last_refreshed_at.as_micros().into(),
            self.expires_at.as_micros().into(),
            self.ip.clone().into(),
            self.user_agent.clone().into(),
            micros(self.ended.map(|(at, _)| at)),
            self.ended.map(|(_, reason)| reason.name()).into(),
            self.version.into(),
            position.into(),
        ]);
    }

    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let ended = match (row.optional_integer("ended_at")?, row.optional_text("end_reason")?) {
            (Some(at), Some(name)) => Some((Timestamp::from_micros(at), reason(&name)?)),
            _ => None,
        };
        Ok(Self {
            id: SessionId(row.uuid("id")?),
            account: UserId(row.uuid("account")?),
            refresh_tokens: Vec::new(),
            idle_seconds: None,
            generation: 0,
            started_at: Timestamp::from_micros(row.integer("started_at")?),
            last_refreshed_at: Timestamp::from_micros(row.integer("last_refreshed_at")?),
            expires_at: Timestamp::from_micros(row.integer("expires_at")?),
            ip: row.optional_text("ip")?,
            user_agent: row.optional_text("user_agent")?,
            methods: BTreeSet::new(),
            ended,
            version: row.unsigned("version")?,
        })
    }
}

fn reason(name: &str) -> Result<EndReason, DatabaseError> {
    EndReason::named(name).ok_or_else(|| read_models::unexpected("end_reason", name))
}
