//! What the middleware adds to every answer of every role.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::Path,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, Request, StatusCode, header};
use http_api::{
    FieldError, Health, HttpService, Leaving, Problem, Readiness, RequestContext, TRACEPARENT,
    X_FORWARDED_FOR, X_REQUEST_ID, admin_of, public_of, with_middleware,
};
use runtime::Metrics;
use serde_json::{Value, json};
use tower::ServiceExt;

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const LIMITS: [(&str, &str); 3] =
    [("retry-after", "7"), ("ratelimit-policy", "\"all\";q=1;w=9"), ("ratelimit", "\"all\";r=0;t=7")];

fn role() -> (HttpService, Metrics) {
    let router = Router::new()
        .route("/things", get(|| async { "a thing" }).post(|| async { StatusCode::CREATED }))
        .route("/things/{id}", get(|Path(id): Path<u32>| async move { id.to_string() }))
        .route("/context", get(|context: RequestContext| async move { Json(describe(&context)) }))
        .route("/bug", get(|| async { panic!("the secret is 42") as &'static str }))
        .route("/refused", post(|| async { refused() }))
        .route("/quiet", get(|| async { StatusCode::CONFLICT }))
        .route("/limited", get(|| async { (StatusCode::TOO_MANY_REQUESTS, LIMITS) }))
        .route("/away", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, LIMITS, "away") }))
        .route("/known", get(|| async { StatusCode::NOT_MODIFIED }))
        .route("/own", get(|| async { ([(header::CONTENT_SECURITY_POLICY, "default-src 'self'")], "page") }));
    let metrics = Metrics::new("test-role");
    (with_middleware(router, "test-role", &metrics, Health::new()), metrics)
}

fn describe(context: &RequestContext) -> Value {
    json!({
        "request_id": context.request_id,
        "traceparent": context.traceparent,
        "client_ip": context.client_ip,
        "user_agent": context.user_agent,
    })
}

fn refused() -> Response {
    let errors =
        vec![FieldError { pointer: "/title".into(), code: "too-long".into(), detail: "at most 200".into() }];
    Problem::validation(errors).into_response()
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(path).body(Body::empty()).unwrap()
}

async fn answer(request: Request<Body>) -> Response {
    role().0.oneshot(request).await.unwrap()
}

async fn bytes(response: Response) -> bytes::Bytes {
    axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

async fn problem(response: Response) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    let id = response.headers()[&X_REQUEST_ID].to_str().unwrap().to_owned();
    let status = response.status().as_u16();
    let document: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    assert_eq!(document["request_id"], id);
    assert_eq!(document["status"], status);
    assert_eq!(document["type"], format!("/problems/{}", document["code"].as_str().unwrap()));
    document
}

#[tokio::test]
async fn an_unknown_path_is_a_problem() {
    let response = answer(request("GET", "/nothing/here")).await;
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    assert_eq!(problem(response).await["code"], "not-found");
}

#[tokio::test]
async fn a_wrong_method_is_a_problem_that_names_the_right_ones() {
    for method in ["PUT", "OPTIONS", "TRACE", "BREW"] {
        let response = answer(request(method, "/things")).await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD, POST");
        assert_eq!(problem(response).await["code"], "method-not-allowed");
    }
}

#[tokio::test]
async fn a_wrong_method_is_refused_before_the_parameters() {
    let response = answer(request("PUT", "/health/live?colour=red")).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    let response = answer(request("GET", "/health/live?colour=red")).await;
    assert_eq!(problem(response).await["code"], "bad-parameter");
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let response = answer(request("HEAD", "/things")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_LENGTH], "7");
    assert!(bytes(response).await.is_empty());
}

#[tokio::test]
async fn a_panic_is_500_and_tells_nothing() {
    let response = answer(request("GET", "/bug")).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let document = problem(response).await;
    assert_eq!(document["code"], "internal");
    assert!(document.get("detail").is_none() && !document.to_string().contains("secret"), "{document}");
}

#[tokio::test]
async fn errors_of_library_extractors_and_bare_statuses_become_problems() {
    for (path, status) in [("/things/many", 400), ("/things/%ff", 400), ("/quiet", 409)] {
        let response = answer(request("GET", path)).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(problem(response).await["code"], "bad-request");
    }
}

#[tokio::test]
async fn an_answer_that_becomes_a_problem_keeps_what_it_says_about_limits() {
    for (path, status, code) in [("/limited", 429, "rate-limited"), ("/away", 503, "unavailable")] {
        let response = answer(request("GET", path)).await;
        assert_eq!(response.status(), status, "{path}");
        for (name, value) in LIMITS {
            assert_eq!(response.headers()[name], value, "{path}");
        }
        assert_eq!(problem(response).await["code"], code);
    }
}

#[tokio::test]
async fn a_problem_reads_as_the_contract_says() {
    let mut request = request("POST", "/refused");
    request.headers_mut().insert(&X_REQUEST_ID, HeaderValue::from_static("mine-1"));
    let response = answer(request).await;
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let expected = json!({
        "type": "/problems/validation-failed",
        "title": "Some values are not acceptable",
        "status": 422,
        "detail": "Some values in the body are not acceptable. `errors` lists all of them.",
        "code": "validation-failed",
        "errors": [{"pointer": "/title", "code": "too-long", "detail": "at most 200"}],
        "request_id": "mine-1",
    });
    assert_eq!(problem(response).await, expected);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_security_headers() {
    for (method, path) in
        [("GET", "/things"), ("POST", "/things"), ("GET", "/nothing"), ("GET", "/bug"), ("GET", "/metrics")]
    {
        let response = answer(request(method, path)).await;
        let headers = response.headers();
        uuid::Uuid::parse_str(headers[&X_REQUEST_ID].to_str().unwrap()).unwrap();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["x-frame-options"], "DENY");
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert!(!headers.contains_key(header::SERVER));
    }
    let own = answer(request("GET", "/own")).await;
    assert_eq!(
        own.headers()["content-security-policy"],
        "default-src 'self'",
        "a page may loosen it for itself"
    );
}

#[tokio::test]
async fn a_handler_knows_its_request() {
    let mut asked = request("GET", "/context");
    let headers = asked.headers_mut();
    headers.insert(&X_REQUEST_ID, HeaderValue::from_static("mine-2"));
    headers.insert(&TRACEPARENT, HeaderValue::from_static(TRACE));
    headers.insert(&X_FORWARDED_FOR, HeaderValue::from_static("::ffff:192.0.2.7"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("test/1"));
    let response = answer(asked).await;
    assert_eq!(response.headers()[&X_REQUEST_ID], "mine-2");
    let context: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    let expected = json!({"request_id": "mine-2", "traceparent": TRACE, "client_ip": "192.0.2.7", "user_agent": "test/1"});
    assert_eq!(context, expected);

    let mut asked = request("GET", "/context");
    asked.headers_mut().insert(&X_FORWARDED_FOR, HeaderValue::from_static("not an address"));
    asked.headers_mut().insert(&TRACEPARENT, HeaderValue::from_static("nonsense"));
    let response = answer(asked).await;
    let id = response.headers()[&X_REQUEST_ID].to_str().unwrap().to_owned();
    let context: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    assert_eq!((&context["request_id"], &context["client_ip"]), (&json!(id), &Value::Null));
    assert_eq!(context["traceparent"].as_str().unwrap().len(), TRACE.len(), "a new one");
}

#[tokio::test]
async fn requests_are_counted_by_route_never_by_path() {
    let (router, metrics) = role();
    for path in ["/things/1", "/things/2", "/nowhere/1", "/nowhere/2"] {
        router.clone().oneshot(request("GET", path)).await.unwrap();
    }
    router.oneshot(request("BREW", "/things/1")).await.unwrap();
    let text = metrics.encode();
    for line in [
        r#"taskledger_http_requests_total{method="GET",route="/things/{id}",status="200",role="test-role"} 2"#,
        r#"taskledger_http_requests_total{method="GET",route="unmatched",status="404",role="test-role"} 2"#,
        r#"taskledger_http_requests_total{method="OTHER",route="/things/{id}",status="405",role="test-role"} 1"#,
        r#"taskledger_http_request_duration_seconds_count{method="GET",route="/things/{id}",role="test-role"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}

#[tokio::test]
async fn a_request_that_its_client_gives_up_is_counted_too() {
    let metrics = Metrics::new("test-role");
    let never = Router::new().route("/never", get(std::future::pending::<()>));
    let router = with_middleware(never, "test-role", &metrics, Health::new());
    let mut answer = router.oneshot(request("GET", "/never"));
    assert!(futures::poll!(&mut answer).is_pending());
    drop(answer);
    let line =
        r#"taskledger_http_requests_total{method="GET",route="unmatched",status="499",role="test-role"} 1"#;
    assert!(metrics.encode().contains(line), "{}", metrics.encode());
}

#[tokio::test]
async fn readiness_says_what_is_wrong() {
    let health = Health::new()
        .check("bus", || async { Ok(()) })
        .check("database", || async { Err("connection refused".to_owned()) });
    let metrics = Metrics::new("test-role");
    let router = with_middleware(Router::new(), "test-role", &metrics, health);
    let response = router.clone().oneshot(request("GET", "/health/ready")).await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    let document: Value = serde_json::from_slice(&bytes(response).await).unwrap();
    let expected =
        json!({"status": "unavailable", "checks": {"bus": "ok", "database": "connection refused"}});
    assert_eq!(document, expected);
    let live = router.oneshot(request("GET", "/health/live")).await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_check_that_hangs_is_a_check_that_failed() {
    let health = Health::new().check("database", std::future::pending);
    let readiness = health.ready().await;
    assert_eq!(readiness.checks, [("database", Err("no answer within 1 s".to_owned()))]);
    assert!(!readiness.is_ready());
}

#[tokio::test]
async fn however_often_readiness_is_asked_for_the_checks_run_once_at_a_time() {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let health = Health::new().check("database", move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::task::yield_now().await;
            Ok(())
        }
    });
    let answers = futures::future::join_all((0..1_000).map(|_| health.ready())).await;
    assert!(answers.iter().all(Readiness::is_ready));
    assert!(runs.load(Ordering::Relaxed) <= 10, "{runs:?}");
    // The result is never older than a second.
    let before = runs.load(Ordering::Relaxed);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(1)).await;
    health.ready().await;
    assert_eq!(runs.load(Ordering::Relaxed), before + 1);
}

#[tokio::test]
async fn the_public_address_gives_no_reasons_and_no_metrics() {
    let health = Health::new().check("database", || async { Err("gone".to_owned()) });
    let router = public_of(with_middleware(Router::new(), "gateway", &Metrics::new("gateway"), health));
    let ready = router.clone().oneshot(request("GET", "/health/ready")).await.unwrap();
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(ready.headers()[header::RETRY_AFTER], "1");
    let document: Value = serde_json::from_slice(&bytes(ready).await).unwrap();
    assert_eq!(document, json!({"status": "unavailable"}));
    let live = router.clone().oneshot(request("GET", "/health/live")).await.unwrap();
    assert_eq!(live.status(), StatusCode::OK);
    let metrics = router.oneshot(request("GET", "/metrics")).await.unwrap();
    assert_eq!(metrics.status(), StatusCode::NOT_FOUND);
    problem(metrics).await;
}

#[tokio::test]
async fn the_admin_address_serves_probes_and_metrics_only() {
    let (router, metrics) = role();
    let nothing = with_middleware(Router::new(), "projector", &metrics, Health::new());
    for admin in [admin_of(router), nothing] {
        for (path, status) in
            [("/health/live", 200), ("/health/ready", 200), ("/metrics", 200), ("/things", 404)]
        {
            let response = admin.clone().oneshot(request("GET", path)).await.unwrap();
            assert_eq!(response.status(), status, "{path}");
            assert!(response.headers().contains_key(&X_REQUEST_ID), "{path}");
        }
    }
}

#[tokio::test]
async fn a_process_that_is_about_to_stop_is_not_ready_although_all_is_well() {
    let (router, _) = role();
    for (router, answer) in [
        (public_of(router.clone()), json!({"status": "unavailable"})),
        (admin_of(router), json!({"status": "unavailable", "checks": {"process": "it is about to stop"}})),
    ] {
        let well = router.clone().oneshot(request("GET", "/health/ready"));
        assert_eq!(well.await.unwrap().status(), StatusCode::OK);
        let mut asked = request("GET", "/health/ready");
        asked.extensions_mut().insert(Leaving);
        let leaving = router.oneshot(asked).await.unwrap();
        assert_eq!(leaving.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(leaving.headers().contains_key(&X_REQUEST_ID));
        let document: Value = serde_json::from_slice(&bytes(leaving).await).unwrap();
        assert_eq!(document, answer);
    }
}

/// It would be the length of a `200` (RFC 9110, section 8.6), which nobody has made.
#[tokio::test]
async fn an_answer_without_a_change_names_no_length() {
    for method in ["GET", "HEAD"] {
        let request = Request::builder().method(method).uri("/known");
        let request = request.body(Body::empty()).unwrap();
        let response = role().0.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers().get(header::CONTENT_LENGTH), None, "{method}");
    }
}
