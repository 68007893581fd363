//! `accounts`: one row for each account. No secret of it is projected.

use std::iter;

use database::{DatabaseError, Row, Value};
use events::{Account, AccountEvent, EmailAddress, Timestamp, UserId, fold_text};
use read_models::AccountRow;
use uuid::Uuid;

use super::model::Model;
use super::table::{Column, Table};

impl Model for Account {
    const TABLE: Table = Table {
        name: "accounts",
        columns: &[
            ("id", Column::Uuid),
            ("email", Column::Text),
            ("email_search", Column::Text),
            ("display_name", Column::Text),
            ("roles", Column::Text),
            ("disabled", Column::Boolean),
            ("created_at", Column::Integer),
            ("updated_at", Column::Integer),
            ("version", Column::Integer),
            ("position", Column::Integer),
        ],
    };

    const SUBJECT: &'static str = "id";

    const ERASURE: &'static [&'static str] = &["id = $1"];

    fn named(id: Uuid, _: &AccountEvent) -> Option<UserId> {
        Some(UserId(id))
    }

    fn subject(&self) -> UserId {
        self.id
    }

    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let display_name = self.display_name.as_deref().map(|name| ("display_name", name));
        iter::once(("email", &*self.email)).chain(display_name)
    }

    fn values(&self, position: u64, row: &mut Vec<Value>) {
        row.extend([
            self.id.0.into(),
            self.email.clone().into(),
            email_search(&self.email).into(),
            self.display_name.clone().into(),
            read_models::role_list(&self.roles).into(),
            self.disabled.into(),
            self.created_at.as_micros().into(),
            self.updated_at.as_micros().into(),
            self.version.into(),
            position.into(),
        ]);
    }

    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let account = AccountRow::of(row)?;
        Ok(Self {
            id: account.id,
            email: account.email,
            display_name: account.display_name,
            password_hash: events::SecretHash::default(),
            roles: account.roles,
            disabled: account.disabled,
            open_sessions: Vec::new(),
            last_login_at: None,
            program_tokens: Vec::new(),
            second_factor: None,
            reset: None,
            times_disabled: 0,
            erased: false,
            created_at: account.created_at,
            updated_at: Timestamp::from_micros(row.integer("updated_at")?),
            version: row.unsigned("version")?,
        })
    }
}

/// The text for searching parts of an address. An address that was registered under other rules is only folded.
fn email_search(email: &str) -> String {
    EmailAddress::parse(email).map_or_else(|_| fold_text(email), |address| address.search_text())
}
