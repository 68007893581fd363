//! Refused requests, and the answers when the database is down.

use axum::body::Body;
use http::{Request, header};
use test_support::eventually;

use crate::testing::{TestRole, insert, on_postgres, on_sqlite, task, user};

#[tokio::test]
async fn without_a_good_token_nothing_is_reached() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        for path in ["/tasks", "/tasks?limit=0", "/tasks/0190f5a2-0000-7000-8000-000000000001"] {
            let answer = role.send(Request::get(path).body(Body::empty()).unwrap()).await;
            answer.assert_problem(401, "token-missing");
            assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
            let request = Request::get(path).header(header::AUTHORIZATION, "Bearer no.such.user");
            let answer = role.send(request.body(Body::empty()).unwrap()).await;
            answer.assert_problem(401, "token-invalid");
            assert!(answer.header("www-authenticate").unwrap().contains("error=\"invalid_token\""));
        }
    })
    .await;
}

#[tokio::test]
async fn without_the_role_user_there_are_no_tasks() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        let token = format!("Bearer {}.auditor.b", user().0.simple());
        for path in ["/tasks", "/tasks?limit=0", "/tasks/0190f5a2-0000-7000-8000-000000000001"] {
            let request = Request::get(path).header(header::AUTHORIZATION, &token);
            let answer = role.send(request.body(Body::empty()).unwrap()).await;
            answer.assert_problem(403, "forbidden");
        }
    })
    .await;
}

#[tokio::test]
async fn bad_parameters_are_named() {
    on_sqlite(async |database| {
        let me = user();
        let mine = task(me, "mine");
        insert(&database, std::slice::from_ref(&mine)).await;
        let role = TestRole::start(&database).await;
        for (query, name) in [
            ("limit=0", "limit"),
            ("status=nope", "status"),
            ("due_before=soon", "due_before"),
            ("sort=id", "sort"),
            ("q=", "q"),
            ("q=%FF", "q"),
            ("offset=1", "offset"),
            ("count=1&limit=5", "count"),
        ] {
            let answer = role.get(me, &format!("/tasks?{query}")).await;
            answer.assert_problem(400, "bad-parameter");
            assert!(answer.json()["detail"].as_str().unwrap().contains(name), "{query}");
        }
        for query in ["status=open", "x=y"] {
            role.get(me, &format!("/tasks/{}?{query}", mine.id)).await.assert_problem(400, "bad-parameter");
        }
        role.get(me, "/tasks?cursor=nonsense").await.assert_problem(400, "bad-cursor");
    })
    .await;
}

#[tokio::test]
async fn endpoints_without_parameters_refuse_them_before_they_ask_for_a_token() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        for path in ["/tasks/summary", "/tasks/events", "/audit/checkpoint", "/audit/tile/0/000"] {
            let request = Request::get(format!("{path}?colour=red"));
            let answer = role.send(request.body(Body::empty()).unwrap()).await;
            answer.assert_problem(400, "bad-parameter");
        }
    })
    .await;
}

#[tokio::test]
async fn numbers_of_the_audit_are_digits() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        for query in [
            "proof?position=%2B1",
            "proof?position=-1",
            "proof?position=9223372036854775808",
            "consistency?from=%2B1",
            "consistency?from=1&to=%2B1",
        ] {
            let answer = role.get(user(), &format!("/audit/{query}")).await;
            answer.assert_problem(400, "bad-parameter");
        }
    })
    .await;
}

#[tokio::test]
async fn other_methods_and_paths_are_problems() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        let answer = role.send(Request::delete("/tasks").body(Body::empty()).unwrap()).await;
        answer.assert_problem(405, "method-not-allowed");
        assert!(answer.header("allow").unwrap().contains("GET"));
        role.get(user(), "/tasks/a/b").await.assert_problem(404, "not-found");
    })
    .await;
}

#[tokio::test]
async fn long_searches_and_many_tags_are_within_what_both_databases_take() {
    let test = async |database| {
        let role = TestRole::start(&database).await;
        let me = user();
        // The character with the longest compatibility form, and the most words that fit.
        let longest = "%EF%B7%BA".repeat(256);
        let most = (0..16).map(|n| format!("{n:02x}")).collect::<Vec<_>>().join("+");
        let tags = (0..20).map(|n| format!("{n:050}")).collect::<Vec<_>>().join(",");
        for query in [format!("q={longest}"), format!("q={most}&count=true"), format!("tag={tags}")] {
            assert_eq!(role.get(me, &format!("/tasks?{query}")).await.titles(), [""; 0]);
        }
    };
    on_sqlite(test).await;
}

#[tokio::test]
async fn long_searches_and_many_tags_postgres() {
    on_postgres(async |database| {
        let role = TestRole::start(&database).await;
        let longest = "%EF%B7%BA".repeat(256);
        let most = (0..16).map(|n| format!("{n:02x}")).collect::<Vec<_>>().join("+");
        for query in [format!("q={longest}"), format!("q={most}&count=true")] {
            assert_eq!(role.get(user(), &format!("/tasks?{query}")).await.titles(), [""; 0]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_unavailable_and_never_a_bug() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        let me = user();
        database.close().await;
        for path in ["/tasks".to_owned(), format!("/tasks/{me}")] {
            let answer = role.get(me, &path).await;
            answer.assert_problem(503, "unavailable");
            assert!(answer.header("retry-after").is_some());
        }
        let ready = role.send(Request::get("/health/ready").body(Body::empty()).unwrap()).await;
        assert_eq!(ready.status.as_u16(), 503);
        let live = role.send(Request::get("/health/live").body(Body::empty()).unwrap()).await;
        assert_eq!(live.status.as_u16(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_role_that_cannot_check_tokens_is_not_ready_until_it_can() {
    on_sqlite(async |database| {
        let role = TestRole::start(&database).await;
        let readiness = async || {
            let ready = Request::get("/health/ready").body(Body::empty()).unwrap();
            let answer = role.send(ready).await;
            (answer.status.as_u16(), answer.json()["checks"]["bus"].clone())
        };
        for (is_cut_off, status) in [(false, 200), (true, 503), (false, 200)] {
            role.cut_off(is_cut_off);
            eventually("readiness follows the connection", async || {
                let (found, bus) = readiness().await;
                found == status && (bus == "ok") != is_cut_off
            })
            .await;
        }
        // Callers with a cached token are served meanwhile.
        role.cut_off(true);
        assert_eq!(role.get(user(), "/tasks").await.status.as_u16(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_postgres_that_ends_connections_is_unavailable_and_then_back() {
    on_postgres(async |database| {
        let role = TestRole::start(&database).await;
        let me = user();
        assert_eq!(role.get(me, "/tasks").await.status.as_u16(), 200);
        // A connection of the pool breaks while it runs the query that ends it and all others.
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()";
        let error = database.fetch_all(end, &[]).await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");

        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
        loop {
            let answer = role.get(me, "/tasks").await;
            if answer.status.as_u16() == 200 {
                break;
            }
            answer.assert_problem(503, "unavailable");
            assert!(tokio::time::Instant::now() < deadline, "the pool never came back");
        }
    })
    .await;
}
