//! A row of `accounts`, without the secrets.

use std::collections::BTreeSet;

use database::{DatabaseError, Row};
use events::{Role, Timestamp, UserId};

use crate::roles_of_list;

/// An account as its row describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The person.
    pub id: UserId,
    /// The e-mail address, as it was registered.
    pub email: String,
    /// The display name.
    pub display_name: Option<String>,
    /// The roles.
    pub roles: BTreeSet<Role>,
    /// Whether an admin has disabled it.
    pub disabled: bool,
    /// When it was registered.
    pub created_at: Timestamp,
}

impl AccountRow {
    /// The columns that [`Self::of`] reads.
    pub const COLUMNS: &str = "id, email, display_name, roles, disabled, created_at";

    /// Reads a row that has [`Self::COLUMNS`] among its columns.
    ///
    /// # Errors
    /// When a column has an invalid value.
    pub fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            id: UserId(row.uuid("id")?),
            email: row.text("email")?,
            display_name: row.optional_text("display_name")?,
            roles: roles_of_list(&row.text("roles")?)?,
            disabled: row.boolean("disabled")?,
            created_at: Timestamp::from_micros(row.integer("created_at")?),
        })
    }
}
