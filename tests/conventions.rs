//! Every case of the conventions in `docs/api.md`, through the gateway.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::support::{Answer, Deployment, Person, Role, System, until};

#[tokio::test]
async fn embedded_conventions() {
    conventions(Deployment::Embedded).await;
}

#[tokio::test]
async fn conventions_on_postgres_and_rabbitmq() {
    conventions(Deployment::Servers).await;
}

async fn conventions(deployment: Deployment) {
    let system = System::start(deployment).await;
    let ada = Person::join(&system.base, "ada").await;
    bodies(&ada).await;
    every_body_has_a_bound(&ada).await;
    validation(&ada).await;
    parameters(&ada).await;
    tokens(&ada).await;
    paths(&ada).await;
    preconditions(&ada).await;
    idempotency(&ada).await;
    batch(&ada).await;
    consistency(&ada).await;
    every_answer(&ada, system.admin()).await;
    system.stop().await;
}

/// Checks the shape that every problem has.
#[track_caller]
fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (status, code),
        "{:?} {}",
        answer.headers,
        answer.body
    );
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.body["type"], format!("/problems/{code}"));
    assert_eq!(answer.body["status"], status);
    assert!(answer.body["title"].is_string());
    assert_eq!(answer.body["detail"].is_string(), status != 500);
    assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
}

async fn raw(
    person: &Person,
    method: Method,
    path: &str,
    content_type: Option<&str>,
    body: impl Into<reqwest::Body>,
) -> Answer {
    let mut request = Client::new()
        .request(method, format!("{}{path}", person.base))
        .bearer_auth(&person.token);
    if let Some(content_type) = content_type {
        request = request.header("Content-Type", content_type);
    }
    Answer::read(request.body(body).send().await.unwrap())
        .await
        .unwrap()
}

async fn bodies(ada: &Person) {
    let json = Some("application/json");
    for body in [
        "",
        "{",
        "not json",
        "{\"title\":\"a\"} trailing",
        "{\"title\":\"\\ud800\"}",
    ] {
        problem(
            &raw(ada, Method::POST, "/tasks", json, body).await,
            400,
            "malformed-json",
        );
    }
    problem(
        &raw(ada, Method::POST, "/tasks", json, &b"{\"title\":\"\xff\"}"[..]).await,
        400,
        "malformed-json",
    );
    let deep = format!("{{\"title\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(raw(ada, Method::POST, "/tasks", json, deep).await.status, 400);
    let large = format!("{{\"title\":\"a\",\"description\":\"{}\"}}", "x".repeat(70_000));
    problem(
        &raw(ada, Method::POST, "/tasks", json, large).await,
        413,
        "body-too-large",
    );
    let answer = raw(
        ada,
        Method::POST,
        "/tasks",
        Some("text/plain"),
        "{\"title\":\"a\"}",
    )
    .await;
    assert_eq!(answer.status, 415);
    assert!(
        answer.header("accept-post").contains("application/json"),
        "{:?}",
        answer.headers
    );
    let id = ada.post("/tasks", json!({"title": "a"})).await.expect(201).body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let answer = raw(
        ada,
        Method::PATCH,
        &format!("/tasks/{id}"),
        Some("text/plain"),
        "{}",
    )
    .await;
    assert_eq!(answer.status, 415);
    assert!(
        answer
            .header("accept-patch")
            .contains("application/merge-patch+json"),
        "{:?}",
        answer.headers
    );
    raw(
        ada,
        Method::PATCH,
        &format!("/tasks/{id}"),
        Some("application/merge-patch+json"),
        "{\"title\":\"b\"}",
    )
    .await
    .expect(200);
    raw(
        ada,
        Method::POST,
        "/tasks",
        Some("application/json; charset=utf-8"),
        "{\"title\":\"b\"}",
    )
    .await
    .expect(201);
}

async fn validation(ada: &Person) {
    let answer = ada
        .post(
            "/tasks",
            json!({
                "title": " ",
                "priority": "extreme",
                "due": "tomorrow",
                "tags": ["x".repeat(51), 7, "a", "a", ""],
                "colour": "red",
            }),
        )
        .await;
    problem(&answer, 422, "validation-failed");
    let errors = answer.body["errors"].as_array().unwrap();
    let mut pointers: Vec<_> = errors
        .iter()
        .map(|error| error["pointer"].as_str().unwrap())
        .collect();
    pointers.sort_unstable();
    pointers.dedup();
    let expected = [
        "/colour",
        "/due",
        "/priority",
        "/tags/0",
        "/tags/1",
        "/tags/3",
        "/tags/4",
        "/title",
    ];
    assert_eq!(pointers, expected, "{errors:?}");
    assert!(
        errors
            .iter()
            .all(|error| error["code"].is_string() && error["detail"].is_string())
    );

    for (body, pointer) in [
        (json!({}), "/title"),
        (json!({"title": null}), "/title"),
        (json!({"title": 1}), "/title"),
        (json!({"title": "x".repeat(201)}), "/title"),
        (json!({"title": "a\nb"}), "/title"),
        (
            json!({"title": "a", "description": "x".repeat(10_001)}),
            "/description",
        ),
        (json!({"title": "a", "tags": vec!["x"; 21]}), "/tags"),
        (json!({"title": "a", "due": "1969-12-31"}), "/due"),
        (json!({"title": "a", "due": "2026-02-30"}), "/due"),
    ] {
        let answer = ada.post("/tasks", body.clone()).await;
        problem(&answer, 422, "validation-failed");
        let pointer_found = answer.body["errors"][0]["pointer"].as_str().unwrap();
        assert!(pointer_found.starts_with(pointer), "{body}: {pointer_found}");
    }
    let answer = ada
        .post(
            "/tasks",
            json!({"title": "日".repeat(200), "due": "9999-12-31T23:59:59Z"}),
        )
        .await
        .expect(201);
    assert_eq!(answer.body["due"], "9999-12-31T23:59:59Z");
    let path = format!("/tasks/{}", answer.body["id"].as_str().unwrap());
    for field in ["title", "priority", "status"] {
        problem(
            &ada.patch(&path, json!({field: null})).await,
            422,
            "validation-failed",
        );
    }
    problem(
        &ada.patch(&path, json!({"title": "ok", "nope": 1})).await,
        422,
        "validation-failed",
    );
    let cleared = ada
        .patch(&path, json!({"due": null, "description": null, "tags": null}))
        .await
        .expect(200);
    assert_eq!(
        (&cleared.body["due"], &cleared.body["tags"]),
        (&Value::Null, &json!([]))
    );
    let same = ada.patch(&path, json!({})).await.expect(200);
    assert_eq!(
        same.body, cleared.body,
        "a change that changes nothing appends nothing"
    );
    ada.post(&format!("{path}/cancel"), json!({})).await.expect(200);
    problem(
        &ada.post(&format!("{path}/complete"), json!({})).await,
        409,
        "illegal-transition",
    );
    ada.delete(&path).await.expect(204);
    ada.delete(&path).await.expect(204);
    problem(
        &ada.post(&format!("{path}/complete"), json!({})).await,
        404,
        "not-found",
    );
}

async fn parameters(ada: &Person) {
    for query in [
        "limit=0",
        "limit=101",
        "limit=x",
        "sort=colour",
        "status=lost",
        "priority=max",
        "due_before=soon",
        "overdue=maybe",
        "count=2",
        "deleted=x",
        "colour=red",
        "limit=1&limit=2",
    ] {
        problem(&ada.get(&format!("/tasks?{query}")).await, 400, "bad-parameter");
    }
    problem(&ada.get("/tasks?cursor=nonsense").await, 400, "bad-cursor");
    let page = ada.get("/tasks?limit=1").await.expect(200);
    let cursor = page.body["next_cursor"].as_str().unwrap();
    assert!(
        page.header("link").ends_with("rel=\"next\""),
        "{:?}",
        page.headers
    );
    ada.get(&format!("/tasks?limit=1&cursor={cursor}"))
        .await
        .expect(200);
    problem(
        &ada.get(&format!("/tasks?sort=title&cursor={cursor}")).await,
        400,
        "bad-cursor",
    );
    long_queries(ada).await;
}

async fn long_queries(ada: &Person) {
    let title: String = ('\u{1f300}'..).take(200).collect();
    ada.post("/tasks", json!({ "title": title })).await.expect(201);
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let chars: Vec<char> = title.chars().collect();
    // Eight words of 24 characters, which differ.
    let words: Vec<String> = chars.chunks(24).take(8).map(String::from_iter).collect();
    for q in [encoded(&title), encoded(&words.join(" "))] {
        assert!(q.len() >= 2_300, "{}", q.len());
        let found = ada.get(&format!("/tasks?q={q}")).await.expect(200);
        assert_eq!(found.body["items"][0]["title"], title);
        assert_eq!(found.body["items"].as_array().unwrap().len(), 1);
    }
    // As long as query strings may be, with whatever is allowed many times.
    let query = format!("{}limit=1&q=", "status=done,open&".repeat(481));
    let query = format!("{query}{}", "x".repeat(8 * 1024 - query.len()));
    ada.get(&format!("/tasks?{query}")).await.expect(200);
}

async fn tokens(ada: &Person) {
    let mut stranger = ada.clone();
    for (token, code) in [
        ("", "token-missing"),
        ("nonsense", "token-invalid"),
        ("a.b.c", "token-invalid"),
    ] {
        stranger.token = token.to_owned();
        for (method, path) in [
            (Method::GET, "/tasks"),
            (Method::POST, "/tasks"),
            (Method::GET, "/auth/me"),
        ] {
            let body = (method == Method::POST).then(|| json!({"title": "a"}));
            let answer = stranger.send(method, path, body).await;
            problem(&answer, 401, code);
            assert!(
                answer.header("www-authenticate").starts_with("Bearer"),
                "{:?}",
                answer.headers
            );
        }
    }
    let (head, signature) = ada.token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    stranger.token = format!("{head}.{first}{}", &signature[1..]);
    problem(&stranger.get("/tasks").await, 401, "token-invalid");

    let mut leaver = Person::join(&ada.base, "leaver").await;
    leaver.get("/tasks").await.expect(200);
    leaver.send(Method::POST, "/auth/logout", None).await.expect(204);
    until(
        "the query API hears of the logout",
        Duration::from_secs(30),
        async || leaver.get("/tasks").await.status == 401,
    )
    .await;
    problem(&leaver.get("/tasks").await, 401, "session-ended");
    let used = leaver.refresh_token.clone();
    leaver.token.clear();
    problem(
        &leaver.post("/auth/refresh", json!({"refresh_token": used})).await,
        401,
        "session-ended",
    );

    let body = json!({"email": ada.email, "password": "a wrong passphrase"});
    problem(&stranger.post("/auth/login", body).await, 401, "bad-credentials");
    let body = json!({"email": "nobody@example.org", "password": "a wrong passphrase"});
    problem(&stranger.post("/auth/login", body).await, 401, "bad-credentials");
    let body = json!({"email": ada.email.to_uppercase(), "password": "a wrong passphrase"});
    stranger.token.clear();
    problem(&stranger.post("/auth/register", body).await, 409, "email-taken");
    for password in ["short", "passwordpassword", &"x".repeat(129)] {
        let body = json!({"email": "new@example.org", "password": password});
        let answer = stranger.post("/auth/register", body).await;
        problem(&answer, 422, "validation-failed");
        assert_eq!(answer.body["errors"][0]["pointer"], "/password");
    }
}

async fn paths(ada: &Person) {
    problem(&ada.get("/nowhere").await, 404, "not-found");
    problem(&ada.get("/tasks/not-an-id").await, 404, "not-found");
    problem(
        &ada.get(&format!("/tasks/{}", uuid::Uuid::now_v7())).await,
        404,
        "not-found",
    );
    for path in ["/%74asks", "/tas%6bs", "/%61uth/me", "/%68ealth/live"] {
        ada.get(path).await.expect(200);
    }
    for path in [
        "/tasks%2Fsummary",
        "/auth%2fme",
        "/tasks%00",
        "/tasks%2574",
        "/%6Detrics",
    ] {
        problem(&ada.get(path).await, 404, "not-found");
    }
    for (method, path, allowed) in [
        (Method::PUT, "/tasks", "POST"),
        (Method::DELETE, "/tasks", "GET"),
        (Method::PUT, "/auth/login", "POST"),
        (Method::DELETE, "/auth/me", ""),
    ] {
        if allowed.is_empty() {
            continue;
        }
        let answer = ada.send(method.clone(), path, None).await;
        assert_eq!(answer.status, 405, "{method} {path}");
        assert!(
            answer.header("allow").contains(allowed),
            "{method} {path}: {:?}",
            answer.headers
        );
    }
}

async fn preconditions(ada: &Person) {
    let task = ada.post("/tasks", json!({"title": "precious"})).await.expect(201);
    let path = format!("/tasks/{}", task.body["id"].as_str().unwrap());
    let change = |title: &str| Some(json!({"title": title}));
    let send = async |etag: &str, title: &str| {
        ada.try_send(Method::PATCH, &path, change(title), &[("If-Match", etag)])
            .await
            .unwrap()
    };
    send("\"1\"", "changed").await.expect(200);
    let answer = send("\"1\"", "lost update").await;
    problem(&answer, 412, "version-mismatch");
    assert_eq!(answer.header("etag"), "\"2\"");
    send("*", "changed again").await.expect(200);
    let fresh = ada
        .try_send(Method::GET, &path, None, &[("If-None-Match", "\"3\"")])
        .await
        .unwrap();
    assert_eq!(
        (fresh.status.as_u16(), fresh.header("etag"), &fresh.body),
        (304, "\"3\"", &Value::Null)
    );
    ada.try_send(Method::GET, &path, None, &[("If-None-Match", "\"2\"")])
        .await
        .unwrap()
        .expect(200);
    // What is about no one task has no version.
    let create = ("/tasks", json!({"title": "conditional"}), 201);
    let batch = json!({"commands": [{"op": "create", "title": "conditional"}]});
    let batch = ("/tasks/batch", batch, 200);
    let request_id = task.header("x-request-id").to_owned();
    let undo = ("/tasks/undo", json!({ "request_id": request_id }), 200);
    for (path, body, done) in [create, batch, undo] {
        let is_list = path == "/tasks";
        for (name, value, holds) in [
            ("If-Match", "\"1\"", false),
            ("If-Match", "*", is_list),
            ("If-None-Match", "*", !is_list),
            ("If-None-Match", "\"1\"", true),
        ] {
            let answer = ada
                .try_send(Method::POST, path, Some(body.clone()), &[(name, value)])
                .await
                .unwrap();
            match holds {
                true => assert_eq!(answer.status, done, "{path} {name}: {value}"),
                false => problem(&answer, 412, "version-mismatch"),
            }
        }
    }
}

/// Also those of endpoints that have nothing to be told.
async fn every_body_has_a_bound(ada: &Person) {
    let document = include_str!("../docs/openapi.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut bare = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let method: Method = method.to_uppercase().parse().unwrap();
            if !matches!(method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE") || path == "/tasks/batch" {
                continue;
            }
            let path = path.replace("{id}", &uuid::Uuid::now_v7().to_string());
            let json = Some("application/json");
            let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
            let answer = raw(ada, method.clone(), &path, json, large).await;
            assert_eq!(answer.code(), "body-too-large", "{method} {path}: {answer:?}");
            if operation["requestBody"]["required"] == true {
                continue;
            }
            bare += 1;
            let answer = raw(ada, method.clone(), &path, json, "{\"nothing\":1}").await;
            // An admin's endpoints look at the role first.
            assert!(
                matches!(answer.code(), "validation-failed" | "forbidden"),
                "{method} {path}: {answer:?}"
            );
            let answer = raw(ada, method.clone(), &path, Some("text/plain"), "nothing").await;
            assert_eq!(
                answer.code(),
                "unsupported-media-type",
                "{method} {path}: {answer:?}"
            );
        }
    }
    assert!(bare >= 12, "{bare}");
}

async fn idempotency(ada: &Person) {
    let send = async |key: &str, title: &str| {
        ada.try_send(
            Method::POST,
            "/tasks",
            Some(json!({"title": title})),
            &[("Idempotency-Key", key)],
        )
        .await
        .unwrap()
    };
    let key = uuid::Uuid::new_v4().to_string();
    let first = send(&key, "once").await.expect(201);
    let again = send(&key, "once").await.expect(201);
    assert_eq!(first.body, again.body);
    assert_eq!(
        (first.header("etag"), first.header("location")),
        (again.header("etag"), again.header("location"))
    );
    problem(&send(&key, "twice").await, 422, "idempotency-key-reused");

    let key = uuid::Uuid::new_v4().to_string();
    let twins = futures::future::join_all((0..8).map(|_| send(&key, "race"))).await;
    for twin in twins {
        assert_eq!(twin.expect(201).body["title"], "race");
    }
    let page = ada.get("/tasks?q=race&count=true").await.expect(200);
    assert_eq!(page.body["total"], 1, "one effect");
    assert_eq!(send(&"k".repeat(256), "x").await.status, 400);
}

async fn batch(ada: &Person) {
    let task = ada
        .post("/tasks", json!({"title": "one of many"}))
        .await
        .expect(201);
    let id = task.body["id"].as_str().unwrap();
    let body = json!({"commands": [
        {"op": "create", "title": "made in a batch", "tags": ["x"]},
        {"op": "update", "id": id, "title": "changed in a batch", "if_match": "\"1\""},
        {"op": "update", "id": id, "title": "too late", "if_match": 1},
        {"op": "complete", "id": id},
        {"op": "create", "title": "x".repeat(201)},
        {"op": "fly", "id": id},
        {"op": "start", "id": id},
        {"op": "delete", "id": id},
    ]});
    let key = uuid::Uuid::new_v4().to_string();
    let send = async || {
        let headers = [("Idempotency-Key", key.as_str())];
        ada.try_send(Method::POST, "/tasks/batch", Some(body.clone()), &headers)
            .await
            .unwrap()
            .expect(200)
    };
    let answer = send().await;
    let results = answer.body["results"].as_array().unwrap();
    let statuses: Vec<_> = results
        .iter()
        .map(|result| result["status"].as_u64().unwrap())
        .collect();
    assert_eq!(
        statuses,
        [201, 200, 412, 200, 422, 422, 409, 204],
        "{}",
        answer.body
    );
    let pointer = |index: usize| &results[index]["problem"]["errors"][0]["pointer"];
    assert_eq!(
        (pointer(4), pointer(5)),
        (&json!("/commands/4/title"), &json!("/commands/5/op"))
    );
    assert_eq!(results[2]["problem"]["code"], "version-mismatch");
    assert_eq!(results[3]["task"]["status"], "done");
    assert_eq!(results[6]["problem"]["request_id"], answer.header("x-request-id"));
    assert_eq!(results[7], json!({"status": 204}));
    assert_eq!(send().await.body, answer.body, "no second effect");

    let headers = [
        ("Consistency-Token", answer.header("consistency-token")),
        ("Prefer", "wait=5"),
    ];
    let page = once_there(ada, "/tasks?q=batch&count=true", &headers).await;
    assert_eq!(page.body["total"], 1);
    assert_eq!(page.body["items"][0], results[0]["task"]);

    for commands in [
        json!([]),
        json!({}),
        json!(vec![json!({"op": "create", "title": "a"}); 101]),
    ] {
        let answer = ada.post("/tasks/batch", json!({"commands": commands})).await;
        problem(&answer, 422, "validation-failed");
        assert_eq!(answer.body["errors"][0]["pointer"], "/commands");
    }
    // However much is wrong with each of them.
    let wrong: serde_json::Map<String, Value> =
        (0..90).map(|n| (format!("\u{1}{n:0>90}"), json!(0))).collect();
    let mut wrong = Value::Object(wrong);
    wrong["op"] = json!("create");
    let answer = ada
        .post("/tasks/batch", json!({"commands": vec![wrong; 100]}))
        .await
        .expect(200);
    assert!(answer.body.to_string().len() <= 64 * 1024);
    for result in answer.body["results"].as_array().unwrap() {
        assert_eq!(result["status"], 422);
        let errors = result["problem"]["errors"].as_array().unwrap();
        assert_eq!(errors.last().unwrap()["code"], "more-errors");
    }

    let large = vec![json!({"op": "create", "title": "a", "description": "x".repeat(9_000)}); 100];
    ada.post("/tasks/batch", json!({"commands": large}))
        .await
        .expect(200);
    let answer = raw(
        ada,
        Method::POST,
        "/tasks/batch",
        Some("application/json"),
        " ".repeat((1 << 20) + 1),
    )
    .await;
    problem(&answer, 413, "body-too-large");
}

/// The answer to a query, asked again as often as it is told to while the machine is busy.
async fn once_there(ada: &Person, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut last = None;
    until(path, Duration::from_secs(60), async || {
        let answer = ada.try_send(Method::GET, path, None, headers).await.unwrap();
        let again = answer.status == 503 && !answer.header("retry-after").is_empty();
        last = Some(answer);
        !again
    })
    .await;
    last.unwrap().expect(200)
}

async fn consistency(ada: &Person) {
    let created = ada.post("/tasks", json!({"title": "now"})).await.expect(201);
    let token = created.header("consistency-token").to_owned();
    let read = async |token: &str, wait: &str| {
        let headers = [("Consistency-Token", token), ("Prefer", wait)];
        ada.try_send(Method::GET, "/tasks?limit=1", None, &headers)
            .await
            .unwrap()
    };
    let headers = [("Consistency-Token", token.as_str()), ("Prefer", "wait=5")];
    let shown = once_there(ada, "/tasks?limit=1", &headers).await;
    assert_eq!(shown.body["items"][0]["id"], created.body["id"]);
    let (subject, position) = token.split_once('-').unwrap();
    let future = format!("{subject}-{}", position.parse::<u64>().unwrap() + 1_000_000);
    let answer = read(&future, "wait=0").await;
    problem(&answer, 503, "projection-behind");
    assert!(!answer.header("retry-after").is_empty());
    problem(&read("nonsense", "wait=0").await, 400, "bad-parameter");
}

async fn every_answer(ada: &Person, admin: String) {
    let answer = ada
        .try_send(Method::GET, "/tasks", None, &[("X-Request-Id", "my-request-7")])
        .await
        .unwrap();
    assert_eq!(answer.header("x-request-id"), "my-request-7");
    assert_eq!(answer.header("cache-control"), "private, no-cache");
    assert!(!answer.header("consistency-token").is_empty());
    for answer in [answer, ada.get("/nowhere").await, ada.get("/auth/me").await] {
        assert!(!answer.header("x-request-id").is_empty());
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(ada.get("/auth/me").await.header("cache-control"), "no-store");
    assert_eq!(ada.get("/health/live").await.status, 200);
    // On a machine that does much else a dependency may be slow for a moment.
    let ready = once_there(ada, "/health/ready", &[]).await;
    assert_eq!(ready.body, json!({"status": "ready"}));
    problem(&ada.get("/metrics").await, 404, "not-found");
    problem(&ada.get("/health/startup").await, 404, "not-found");
    let operator = Person {
        base: admin,
        ..ada.clone()
    };
    let ready = once_there(&operator, "/health/ready", &[]).await;
    assert_eq!(ready.body["checks"]["command-api"], "ok");
    assert_eq!(
        operator.get("/health/startup").await.expect(200).body["status"],
        "ready"
    );
    problem(&operator.get("/tasks").await, 404, "not-found");
    let metrics = operator.get("/metrics").await.expect(200);
    let text = metrics.body.as_str().unwrap();
    for role in ["gateway", "command-api", "query-api", "auth", "projector"] {
        assert!(text.contains(&format!("role=\"{role}\"")), "no metrics of {role}");
    }
    let keys = ada.get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys.body["keys"][0]["kty"], "OKP");
}

#[tokio::test]
async fn a_dead_dependency_is_503_on_postgres_and_rabbitmq() {
    let mut system = System::start(Deployment::Servers).await;
    let ada = Person::join(&system.base, "ada").await;
    ada.get("/tasks").await.expect(200);
    ada.post(
        "/tasks",
        json!({"title": "so that the command API has checked the token"}),
    )
    .await
    .expect(201);
    // Nobody has checked the token of this session yet.
    let mut unknown = ada.clone();
    unknown.log_in().await;
    system.kill(Role::QueryApi);
    let answer = ada.get("/tasks").await;
    problem(&answer, 503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    system.kill(Role::Auth);
    problem(
        &unknown.post("/tasks", json!({"title": "a"})).await,
        503,
        "unavailable",
    );
    ada.post("/tasks", json!({"title": "a checked token keeps working"}))
        .await
        .expect(201);
    system.launch(Role::QueryApi);
    system.launch(Role::Auth);
    system.ready().await;
    ada.get("/tasks").await.expect(200);
    system.stop().await;
}
