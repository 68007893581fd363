//! `GET /auth/users`.

use crate::support::{ADA, Answer, App};

#[tokio::test]
async fn the_list_shows_at_least_the_state_that_is_asked_for() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    // Read models that have nothing of the log are not shown at all.
    let unfilled = app.get("/auth/users").token(&admin).header("prefer", "handling=lenient");
    unfilled.send().await.expect(503, "projection-behind");
    app.project(app.log().await.len() as u64).await;
    let registered = app.register(ADA).await.expect(201, "");
    let token = registered.header("consistency-token").to_owned();
    let wanted: events::ConsistencyToken = token.parse().unwrap();
    let list = async |token: &str, prefer: &str| {
        app.get("/auth/users?email=ada")
            .token(&admin)
            .header("consistency-token", token)
            .header("prefer", prefer)
            .send()
            .await
    };
    let behind = list(&token, "wait=0").await.expect(503, "projection-behind");
    assert_eq!(behind.header("retry-after"), "1");
    assert_eq!(behind.header("preference-applied"), "wait=0");
    list("nonsense", "").await.expect(400, "bad-parameter");
    // What is beyond the end of the log may still come.
    let never = events::ConsistencyToken::new(events::UserId(uuid::Uuid::now_v7()), 1_000).to_string();
    let asked = std::time::Instant::now();
    list(&never, "wait=1").await.expect(503, "projection-behind");
    assert!(asked.elapsed() >= std::time::Duration::from_secs(1));
    list(&never, "wait=0, handling=lenient").await.expect(200, "");

    let head = app.log().await.len() as u64;
    let (listed, ()) = tokio::join!(list(&token, "wait=10"), app.project(head));
    let listed = listed.expect(200, "");
    assert_eq!(listed.text("/items/0/email"), ADA);
    assert_eq!(listed.header("preference-applied"), "wait=10");
    let shown: events::ConsistencyToken = listed.header("consistency-token").parse().unwrap();
    assert!(shown.position >= wanted.position);
}

#[tokio::test]
async fn nothing_is_promised_of_read_models_that_come_from_another_log() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    let backup = app.log().await.len() as u64;
    app.register("lost@example.com").await.expect(201, "");
    app.project(app.log().await.len() as u64).await;
    // The log is restored from a backup, and grows beyond the checkpoints.
    app.cut_log(backup).await;
    let registered = app.register("new@example.com").await.expect(201, "");
    app.register("newer@example.com").await.expect(201, "");
    let token = registered.header("consistency-token").to_owned();
    let list = async |prefer: &str| {
        app.get("/auth/users")
            .token(&admin)
            .header("consistency-token", &token)
            .header("prefer", prefer)
            .send()
            .await
    };
    for prefer in ["wait=0", "wait=1", "wait=0, handling=lenient"] {
        list(prefer).await.expect(503, "projection-behind");
    }
    let unasked = app.get_as(&admin, "/auth/users").await.expect(200, "");
    let shown: events::ConsistencyToken = unasked.header("consistency-token").parse().unwrap();
    assert_eq!(shown.position, 0, "positions of another log mean nothing here");

    // An operator rebuilds the read models.
    app.project(app.log().await.len() as u64).await;
    let listed = list("wait=0").await.expect(200, "");
    assert_eq!(listed.text("/items/1/email"), "new@example.com");
}

#[tokio::test]
async fn lists_accounts_page_by_page() {
    let app = App::start().await;
    let admin = app.sign_in_admin("root@example.com").await;
    for number in 0..5 {
        app.clock.advance(1);
        app.register(&format!("user_{number}@example.com")).await.expect(201, "");
    }
    app.project(app.log().await.len() as u64).await;
    let list = async |query: &str| app.get_as(&admin, &format!("/auth/users?{query}")).await;
    let emails = |answer: &Answer| -> Vec<String> {
        let items = answer.body["items"].as_array().unwrap().iter();
        items.map(|item| item["email"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(emails(&list("role=admin").await.expect(200, "")), ["root@example.com"]);
    assert_eq!(emails(&list("email=USER_3").await.expect(200, "")), ["user_3@example.com"]);
    assert!(emails(&list("email=user%253").await.expect(200, "")).is_empty(), "no wildcards");
    let (mut all, mut query) = (Vec::new(), "limit=4".to_owned());
    loop {
        let page = list(&query).await.expect(200, "");
        all.extend(emails(&page));
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            break;
        };
        query = format!("limit=4&cursor={cursor}");
    }
    assert_eq!(all.len(), 6);
    assert_eq!(all[0], "root@example.com");
    list("limit=0").await.expect(400, "bad-parameter");
    list("cursor=x").await.expect(400, "bad-cursor");
    let (access, _) = app.sign_in("user_0@example.com").await;
    app.get_as(&access, "/auth/users").await.expect(403, "forbidden");
}
