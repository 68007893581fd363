//! `GET /auth/users?role=&email=&limit=&cursor=`: accounts for admins, the oldest first, from the read model.

use std::sync::Arc;

use api_types::{ManagedUser, ManagedUsers, User};
use auth_client::Caller;
use axum::{
    Json,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use database::{DatabaseError, Row, Value};
use events::{Role, Timestamp, UserId, fold_part_of_address};
use http::HeaderMap;
use http_api::{AtLeast, Parameters, Problem, ProblemCode};
use read_models::{Dialect, in_role_list, roles_of_list};
use sha2::{Digest, Sha256};

use crate::{
    auth::Auth,
    error::{ApiError, Failure},
};

const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 200;

#[derive(Debug, Default, PartialEq, Eq)]
struct Request {
    role: Option<Role>,
    /// Part of an address, folded.
    email: Option<String>,
    limit: u64,
    after: Option<Place>,
}

/// The time and the id of an account, which the order goes by.
type Place = (Timestamp, UserId);

impl Request {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut parameters = Parameters::parse(query)?;
        let role = parameters.single("role", |value| value.parse::<Role>())?;
        let email = parameters.single("email", |value| Ok(fold_part_of_address(value)))?;
        let limit = parameters.single("limit", |value| match value.parse() {
            Ok(limit) if (1..=MAX_LIMIT).contains(&limit) => Ok(limit),
            _ => Err(format!("must be from 1 to {MAX_LIMIT}")),
        })?;
        let cursor = parameters.single("cursor", |value| Ok(value.to_owned()))?;
        parameters.finish()?;
        let mut request = Self {
            role,
            email: email.filter(|text| !text.is_empty()),
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            after: None,
        };
        if let Some(cursor) = cursor {
            request.after = Some(request.read_cursor(&cursor).ok_or_else(bad_cursor)?);
        }
        Ok(request)
    }

    fn read_cursor(&self, cursor: &str) -> Option<Place> {
        let text = String::from_utf8(BASE64URL.decode(cursor).ok()?).ok()?;
        let mut parts = text.split('~');
        let (query, at, id) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || query != self.fingerprint() {
            return None;
        }
        Some((Timestamp::from_micros(at.parse().ok()?), id.parse().ok()?))
    }

    fn cursor(&self, (at, id): Place) -> String {
        BASE64URL.encode(format!("{}~{}~{id}", self.fingerprint(), at.as_micros()))
    }

    /// A cursor only goes on with the query that it came from.
    fn fingerprint(&self) -> String {
        hex::encode(&Sha256::digest(format!("{:?}~{:?}", self.role, self.email))[..6])
    }

    fn sql(&self, dialect: Dialect) -> (String, Vec<Value>) {
        let contains = |column: &str, value: usize| dialect.contains(column, &format!("${value}"));
        let mut sql = "SELECT id, email, display_name, roles, disabled, created_at FROM accounts WHERE 1 = 1"
            .to_owned();
        let mut values: Vec<Value> = Vec::new();
        if let Some(role) = self.role {
            values.push(in_role_list(role).into());
            sql.push_str(&format!(" AND {}", contains("roles", values.len())));
        }
        if let Some(email) = &self.email {
            values.push(email.as_str().into());
            sql.push_str(&format!(" AND {}", contains("email_search", values.len())));
        }
        if let Some((at, id)) = self.after {
            values.extend([at.as_micros().into(), id.0.into()]);
            sql.push_str(&format!(
                " AND (created_at, id) > (${}, ${})",
                values.len() - 1,
                values.len()
            ));
        }
        sql.push_str(&format!(" ORDER BY created_at, id LIMIT {}", self.limit + 1));
        (sql, values)
    }
}

pub(crate) async fn list_users(
    State(auth): State<Arc<Auth>>,
    caller: Caller,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    caller.require(Role::Admin)?;
    let request = Request::read(query.as_deref().unwrap_or_default())?;
    let at_least = AtLeast::of(&headers).map_err(Problem::from)?;
    let shown = auth.projection.reached(caller.user_id(), &at_least).await?;
    let (sql, values) = request.sql(Dialect::of(&auth.read_models));
    let reading = async { Ok(auth.read_models.fetch_all(&sql, &values).await?) };
    let mut rows = auth.shares.list(caller.user_id(), reading).await?;
    let more = rows.len() as u64 > request.limit;
    rows.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
    // Of the last row, and not of the last that can be read: the next page must not begin with the same rows.
    let end = rows.last().filter(|_| more).map(place).transpose();
    let next_cursor = end.map_err(Failure::from)?.map(|end| request.cursor(end));
    let items = rows.iter().filter_map(|row| readable(&auth, row)).collect();
    Ok((shown, Json(ManagedUsers { items, next_cursor })).into_response())
}

fn place(row: &Row) -> Result<Place, DatabaseError> {
    Ok((
        Timestamp::from_micros(row.integer("created_at")?),
        UserId(row.uuid("id")?),
    ))
}

/// The account of a row; nothing when a newer release, or damage, has made of it what this one cannot read. The others are shown.
fn readable(auth: &Auth, row: &Row) -> Option<ManagedUser> {
    read(row)
        .inspect_err(|error| {
            auth.counters.unreadable_rows.inc();
            let id = row.uuid("id").map(|id| id.to_string()).unwrap_or_default();
            tracing::warn!(account.id = id, %error, "the row of an account cannot be read and is left out");
        })
        .ok()
}

fn read(row: &Row) -> Result<ManagedUser, DatabaseError> {
    Ok(ManagedUser {
        user: User {
            id: UserId(row.uuid("id")?),
            email: row.text("email")?,
            display_name: row.optional_text("display_name")?,
            roles: roles_of_list(&row.text("roles")?)?,
            created_at: Timestamp::from_micros(row.integer("created_at")?),
        },
        disabled: row.boolean("disabled")?,
    })
}

fn bad_cursor() -> Problem {
    Problem::new(ProblemCode::BadCursor)
        .detail("A cursor goes on with the query that it came from. Start again without one.")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn read(query: &str) -> Result<Request, &'static str> {
        Request::read(query).map_err(|problem| problem.code())
    }

    #[test]
    fn parameters_are_checked() {
        assert_eq!(read("").unwrap().limit, 50);
        assert_eq!(read("role=admin").unwrap().role, Some(Role::Admin));
        assert_eq!(
            read("email=%CE%A3%CE%91%CE%A3").unwrap().email.as_deref(),
            Some("σασ")
        );
        for bad in [
            "role=king",
            "limit=0",
            "limit=201",
            "limit=x",
            "colour=red",
            "limit=1&limit=2",
            "email=%00",
            "email=%FF",
            "email=",
        ] {
            assert_eq!(read(bad), Err("bad-parameter"), "{bad:?}");
        }
    }

    #[test]
    fn a_cursor_goes_on_with_its_own_query_only() {
        let request = read("role=user").unwrap();
        let last = (Timestamp::from_micros(7), UserId(Uuid::from_u128(1)));
        let cursor = request.cursor(last);
        let next = read(&format!("cursor={cursor}&role=user")).unwrap();
        assert_eq!(next.after, Some(last));
        assert_eq!(read(&format!("cursor={cursor}&role=admin")), Err("bad-cursor"));
        assert_eq!(read("cursor=x"), Err("bad-cursor"));
    }
}
