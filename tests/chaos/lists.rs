//! Unreadable rows in lists do not hide the others.

use std::{collections::BTreeSet, time::Duration};

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    checks::tool,
    harness::Harness,
    support::{Person, until},
};

const RECOVERY_TIMEOUT: Duration = Duration::from_secs(40);

/// Checks that an admin can page through all readable accounts, whatever the page size.
pub(crate) async fn damaged_rows_hide_nobody_else(harness: &Harness, somebody: &Person) {
    let sql = "SELECT id, roles = '[\"emperor\"]' AS is_damaged FROM read_models.accounts";
    let rows = sqlx::query(sql).fetch_all(&harness.servers().pool).await.unwrap();
    let is_damaged = |row: &sqlx::postgres::PgRow| row.get::<bool, _>("is_damaged");
    if !rows.iter().any(is_damaged) {
        return;
    }
    let readable: BTreeSet<Uuid> = rows
        .iter()
        .filter(|row| !is_damaged(row))
        .map(|row| row.get("id"))
        .collect();
    let grant = ["users", "grant", &somebody.email, "admin"];
    assert_eq!(tool(&*harness.system.lock().await, &grant).await, 0);
    until(
        "the list of accounts has everybody else",
        RECOVERY_TIMEOUT,
        async || {
            let mut listed = BTreeSet::new();
            let mut path = "/auth/users?limit=2".to_owned();
            loop {
                let page = somebody.get(&path).await;
                if page.status != 200 {
                    return false;
                }
                let items = page.body["items"].as_array().unwrap().iter();
                listed.extend(items.map(|item| item["id"].as_str().unwrap().parse::<Uuid>().unwrap()));
                let Some(next) = page.body["next_cursor"].as_str() else {
                    break;
                };
                path = format!("/auth/users?limit=2&cursor={next}");
            }
            listed == readable
        },
    )
    .await;
}
