//! `GET /auth/users` with rows that a newer release or damage made unreadable.

use http::StatusCode;
use serde_json::Value;
use test_support::{Footing, TestStorage, on_both_footings};

use crate::support::App;

on_both_footings!(an_account_that_cannot_be_read_hides_no_other);

async fn an_account_that_cannot_be_read_hides_no_other(footing: Footing) {
    let storage = TestStorage::new(footing).await;
    let read_models = storage.read_models().await;
    let app = App::start().await;
    let app = app.replica(|_, dependencies| dependencies.read_models = read_models);
    let app = app.await;
    let admin = app.sign_in_admin("root@example.com").await;
    for number in 1..=6 {
        app.register(&format!("person-{number}@example.com")).await;
        app.clock.advance(1);
    }
    app.project(app.log().await.len() as u64).await;
    for (roles, number) in [(r#"["emperor"]"#, 1), ("none", 3), (r#"["user", "emperor"]"#, 6)] {
        let sql = "UPDATE accounts SET roles = $1 WHERE email = $2";
        let values = [roles.into(), format!("person-{number}@example.com").into()];
        let changed = app.dependencies.read_models.execute(sql, &values).await;
        assert_eq!(changed.unwrap(), 1);
    }
    for limit in [1, 2, 100] {
        let mut addresses = Vec::new();
        let mut path = format!("/auth/users?limit={limit}");
        loop {
            let page = app.get_as(&admin, &path).await;
            assert_eq!(page.status, StatusCode::OK, "{page:?}");
            let items = page.body["items"].as_array().unwrap();
            addresses.extend(items.iter().map(|item| item["email"].as_str().unwrap().to_owned()));
            match &page.body["next_cursor"] {
                Value::String(next) => path = format!("/auth/users?limit={limit}&cursor={next}"),
                _ => break,
            }
        }
        let left = [2, 4, 5].map(|number| format!("person-{number}@example.com"));
        assert_eq!(addresses[0], "root@example.com", "{limit} a page");
        assert_eq!(addresses[1..], left, "{limit} a page");
    }
    let metrics = app.metrics().await;
    let mut counts = metrics.lines().filter(|line| line.starts_with("taskledger_auth_unreadable_rows_total"));
    let count = counts.next().and_then(|line| line.rsplit(' ').next());
    assert_eq!(count, Some("9"), "three walks past three rows");
}
