//! Records of the stream of the admins that cannot be read: nobody gains a right, and whoever has none of them loses
//! nothing.

use events::Role;
use http::Method;
use serde_json::json;

use crate::{
    second_factor::{code, confirm, enroll, go_on, mfa_token},
    second_factor_roles::roles_of_a_login,
    support::{ADA as ROOT, App, PASSWORD},
};

const ADA: &str = "lovelace@example.com";
const EVE: &str = "eve@example.com";
const SECOND_FACTOR_ROLES: &str = "/auth/second-factor-roles";

/// Damages of a record.
const DAMAGES: [&str; 6] = [
    "type = 'admins.painted'",
    "schema_version = 99",
    "encoding = 'morse'",
    "metadata = '{'",
    "data = CAST('{}' AS BLOB)",
    "id = 'nothing'",
];

async fn is_admin(app: &App, access: &str) -> bool {
    app.get_as(access, SECOND_FACTOR_ROLES).await.status == 200
}

async fn are_to_be_named(app: &App) -> bool {
    let metrics = app.metrics().await;
    let mut lines = metrics.lines();
    lines.any(|line| line.starts_with("taskledger_auth_admins_to_name") && line.ends_with(" 1"))
}

#[tokio::test]
async fn a_damaged_record_of_the_admins_takes_nothing_from_others() {
    for damage in DAMAGES {
        let app = App::start().await;
        let root = app.sign_in_admin(ROOT).await;
        app.register(EVE).await;
        app.grant(EVE, Role::Auditor).await;
        let (access, refresh) = app.sign_in(ADA).await;
        let sql = format!("UPDATE events SET {damage} WHERE stream = $1");
        app.damage_log(&sql, "admins".into()).await;
        let app = app.restarted().await;

        app.me(&access).await.expect(200, "");
        app.refresh(&refresh).await.expect(200, "");
        assert_eq!(roles_of_a_login(&app, ADA).await, json!(["user"]), "{damage}");
        app.sign_in("new@example.com").await;
        assert!(are_to_be_named(&app).await, "{damage}");

        // Who had a right that the record may have taken.
        assert!(!is_admin(&app, &root).await, "{damage}");
        assert_eq!(roles_of_a_login(&app, ROOT).await, json!(["user"]), "{damage}");
        assert_eq!(roles_of_a_login(&app, EVE).await, json!(["user"]), "{damage}");

        app.erase_with(&access, PASSWORD).await.expect(204, "");
    }
}

#[tokio::test]
async fn an_operator_names_the_admins_again() {
    for damage in DAMAGES {
        let app = App::start().await;
        app.sign_in_admin(ROOT).await;
        app.register(EVE).await;
        app.grant(EVE, Role::Auditor).await;
        let sql = format!("UPDATE events SET {damage} WHERE stream = $1");
        app.damage_log(&sql, "admins".into()).await;
        let app = app.restarted().await;
        assert!(app.grant(ROOT, Role::Admin).await.changed, "{damage}");

        let (access, _) = app.sign_in(ROOT).await;
        assert!(!is_admin(&app, &access).await, "{damage}");
        let secret = enroll(&app, &access, PASSWORD).await.expect(200, "").text("/secret");
        confirm(&app, &access, &code(&app, &secret, 0)).await.expect(204, "");
        app.clock.advance(60);
        let login = go_on(&app, &mfa_token(&app).await, &code(&app, &secret, 0)).await;
        let access = login.expect(200, "").text("/access_token");
        assert!(is_admin(&app, &access).await, "{damage}");
        let set = app.call(Method::PUT, SECOND_FACTOR_ROLES).token(&access);
        set.json(&json!({"roles": []})).send().await.expect(200, "");

        assert_eq!(roles_of_a_login(&app, EVE).await, json!(["user", "auditor"]), "{damage}");
        assert!(!are_to_be_named(&app).await, "{damage}");
        let again = app.restarted().await;
        assert!(is_admin(&again, &access).await, "{damage}");
    }
}
