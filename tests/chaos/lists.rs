//! Unreadable rows in lists do not hide the others.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    checks::tool,
    harness::Harness,
    support::{PASSWORD, Person, totp_code},
};

/// Checks that an admin can page through all readable accounts, whatever the page size.
pub(crate) async fn damaged_rows_hide_nobody_else(harness: &Harness) {
    if !accounts(harness).await.iter().any(is_damaged) {
        return;
    }
    let admin = an_admin(harness).await;
    harness
        .recovery
        .until("the list of accounts has everybody else", async || {
            let mut listed = BTreeSet::new();
            let mut path = "/auth/users?limit=2".to_owned();
            loop {
                let page = admin.get(&path).await;
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
            let rows = accounts(harness).await;
            let readable = rows.iter().filter(|row| !is_damaged(row));
            listed == readable.map(|row| row.get("id")).collect()
        })
        .await;
}

async fn accounts(harness: &Harness) -> Vec<PgRow> {
    let sql = "SELECT id, roles = '[\"emperor\"]' AS is_damaged FROM read_models.accounts";
    sqlx::query(sql).fetch_all(&harness.servers().pool).await.unwrap()
}

fn is_damaged(row: &PgRow) -> bool {
    row.get("is_damaged")
}

/// Somebody who is logged in as an admin with a second factor, without which nobody is one after a record of the stream
/// of the admins that cannot be read.
async fn an_admin(harness: &Harness) -> Person {
    let system = harness.system.lock().await;
    let mut admin = Person::join(&system.base, "admin").await;
    let grant = ["users", "grant", &admin.email, "admin"];
    assert_eq!(tool(&system, &grant).await, 0);
    drop(system);
    let enrolled = admin.post("/auth/me/totp", json!({ "password": PASSWORD })).await;
    let enrolled = enrolled.expect(200);
    let code = totp_code(enrolled.body["secret"].as_str().unwrap());
    let confirmed = admin.post("/auth/me/totp/confirm", json!({ "code": code })).await;
    confirmed.expect(204);
    let login = json!({"email": admin.email, "password": PASSWORD});
    let begun = admin.send(Method::POST, "/auth/login", Some(login)).await.expect(401);
    let code = &enrolled.body["recovery_codes"][0];
    let login = json!({"mfa_token": begun.body["mfa_token"], "code": code});
    let logged_in = admin.post("/auth/login/second-factor", login).await.expect(200);
    admin.token = logged_in.body["access_token"].as_str().unwrap().to_owned();
    admin
}
