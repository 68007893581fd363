//! `GET /auth/users?role=&email=&limit=&cursor=`: accounts for admins, the oldest first, from the read model.

use std::sync::Arc;

use api_types::{ManagedUser, ManagedUsers, User};
use auth_client::Admin;
use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use database::{DatabaseError, Dialect, Row, Value};
use events::{Role, Timestamp, UserId, fold_part_of_address};
use http::HeaderMap;
use http_api::{AtLeast, BadCursor, BadParameter, CursorKey, Parameters, Problem};
use read_models::{AccountRow, cut_page, in_role_list};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    app_state::App,
    error::{ApiError, Failure},
};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;
/// The purpose of this list's cursors, among the texts that the key signs.
const PURPOSE: &str = "accounts";

#[derive(Debug, PartialEq, Eq)]
struct Request {
    filter: Filter,
    limit: u16,
    cursor: Option<String>,
}

/// The conditions of an account; `None` means any.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Filter {
    role: Option<Role>,
    /// A part of the address, folded.
    email: Option<String>,
}

/// The place of an account in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    created_at: Timestamp,
    id: UserId,
}

/// A cursor continues only its own query of the same person.
#[derive(Serialize)]
struct Binding<'a> {
    viewer: UserId,
    filter: &'a Filter,
}

impl Cursor {
    fn encode(self, key: &CursorKey, viewer: UserId, filter: &Filter) -> String {
        let mut bytes = self.created_at.as_micros().to_be_bytes().to_vec();
        bytes.extend_from_slice(self.id.0.as_bytes());
        key.seal(PURPOSE, &Binding { viewer, filter }, bytes)
    }

    fn decode(key: &CursorKey, cursor: &str, viewer: UserId, filter: &Filter) -> Result<Self, BadCursor> {
        let bytes = key.open(PURPOSE, &Binding { viewer, filter }, cursor)?;
        let (created_at, id) = bytes.split_first_chunk::<8>().ok_or(BadCursor)?;
        Ok(Self {
            created_at: Timestamp::from_micros(i64::from_be_bytes(*created_at)),
            id: UserId(Uuid::from_slice(id).map_err(|_| BadCursor)?),
        })
    }

    fn of(row: &Row) -> Result<Self, DatabaseError> {
        Ok(Self {
            created_at: Timestamp::from_micros(row.integer("created_at")?),
            id: UserId(row.uuid("id")?),
        })
    }
}

impl Request {
    fn read(mut parameters: Parameters) -> Result<Self, BadParameter> {
        let role = parameters.single("role", |value| value.parse::<Role>())?;
        let email = parameters.single("email", |value| match fold_part_of_address(value) {
            folded if folded.is_empty() => Err("it is blank: leave it out instead".to_owned()),
            folded => Ok(folded),
        })?;
        let limit = parameters.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
        let cursor = parameters.single("cursor", |value| Ok(value.to_owned()))?;
        parameters.finish()?;
        Ok(Self { filter: Filter { role, email }, limit, cursor })
    }

    /// The accounts after this place, and one more, which shows whether there is another page.
    fn sql(&self, after: Option<Cursor>, dialect: Dialect) -> (String, Vec<Value>) {
        let contains = |column: &str, value: usize| dialect.contains(column, &format!("${value}"));
        let mut sql = format!("SELECT {} FROM accounts WHERE 1 = 1", AccountRow::COLUMNS);
        let mut values: Vec<Value> = Vec::new();
        if let Some(role) = self.filter.role {
            values.push(in_role_list(role).into());
            sql.push_str(&format!(" AND {}", contains("roles", values.len())));
        }
        if let Some(email) = &self.filter.email {
            values.push(email.as_str().into());
            sql.push_str(&format!(" AND {}", contains("email_search", values.len())));
        }
        if let Some(Cursor { created_at, id }) = after {
            values.extend([created_at.as_micros().into(), id.0.into()]);
            sql.push_str(&format!(" AND (created_at, id) > (${}, ${})", values.len() - 1, values.len()));
        }
        sql.push_str(&format!(" ORDER BY created_at, id LIMIT {}", u32::from(self.limit) + 1));
        (sql, values)
    }
}

pub(crate) async fn list_users(
    State(app): State<Arc<App>>,
    Admin(caller): Admin,
    parameters: Parameters,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let request = Request::read(parameters).map_err(Problem::from)?;
    let (key, viewer) = (app.pepper.cursor_key(), caller.user_id());
    let after = request
        .cursor
        .as_deref()
        .map(|cursor| Cursor::decode(&key, cursor, viewer, &request.filter))
        .transpose()
        .map_err(Problem::from)?;
    let at_least = AtLeast::of(&headers).map_err(Problem::from)?;
    let shown = app.projection.reached(viewer, &at_least).await?;
    let (sql, values) = request.sql(after, Dialect::of(&app.read_models));
    let reading = async { app.read_models.fetch_all(&sql, &values).await.map_err(Failure::ReadModels) };
    let mut rows = app.limits.list(viewer, reading).await?;
    // Taken from the last row, even if that is unreadable: the next page must not repeat rows.
    let end = cut_page(&mut rows, request.limit).map(Cursor::of).transpose();
    let next_cursor = end.map_err(Failure::ReadModels)?.map(|end| end.encode(&key, viewer, &request.filter));
    let items = rows.iter().filter_map(|row| readable(&app, row)).collect();
    Ok((shown, Json(ManagedUsers { items, next_cursor })).into_response())
}

/// The account of a row; `None` when a newer release or damage made it unreadable. Then the others are shown.
fn readable(app: &App, row: &Row) -> Option<ManagedUser> {
    read(row)
        .inspect_err(|error| {
            app.counters.unreadable_rows.inc();
            let id = row.uuid("id").map(|id| id.to_string()).unwrap_or_default();
            tracing::warn!(account.id = id, %error, "the row of an account cannot be read and is left out");
        })
        .ok()
}

fn read(row: &Row) -> Result<ManagedUser, DatabaseError> {
    let account = AccountRow::of(row)?;
    Ok(ManagedUser {
        user: User {
            id: account.id,
            email: account.email,
            display_name: account.display_name,
            roles: account.roles,
            created_at: account.created_at,
        },
        disabled: account.disabled,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Request, String> {
        Parameters::parse(query).and_then(Request::read).map_err(|error| error.name)
    }

    #[test]
    fn parameters_are_checked() {
        assert_eq!(read("").unwrap().limit, 50);
        assert_eq!(read("role=admin").unwrap().filter.role, Some(Role::Admin));
        assert_eq!(read("email=%CE%A3%CE%91%CE%A3").unwrap().filter.email.as_deref(), Some("σασ"));
        for bad in [
            "role=king",
            "limit=0",
            "limit=201",
            "limit=x",
            "limit=+5",
            "limit=%2B5",
            "colour=red",
            "limit=1&limit=2",
            "email=%00",
            "email=%FF",
            "email=",
            "email=%20",
            "email=%E3%80%80%09",
        ] {
            let name = bad.split('=').next().unwrap_or_default();
            assert_eq!(read(bad), Err(name.to_owned()), "{bad:?}");
        }
    }

    #[test]
    fn a_cursor_goes_on_with_its_own_query_only() {
        let key = CursorKey::new([7; 32]);
        let (viewer, other) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let filter = |query: &str| read(query).unwrap().filter;
        let last = Cursor { created_at: Timestamp::from_micros(7), id: UserId(Uuid::from_u128(3)) };
        let asked = filter("role=user");
        let cursor = last.encode(&key, viewer, &asked);
        assert_eq!(Cursor::decode(&key, &cursor, viewer, &asked), Ok(last));
        for (key, viewer, filter) in [
            (&key, viewer, filter("role=admin")),
            (&key, viewer, filter("role=user&email=a")),
            (&key, other, filter("role=user")),
            (&CursorKey::new([8; 32]), viewer, filter("role=user")),
        ] {
            assert_eq!(Cursor::decode(key, &cursor, viewer, &filter), Err(BadCursor));
        }
        assert_eq!(Cursor::decode(&key, "x", viewer, &asked), Err(BadCursor));
    }
}
