//! Bodies: what is read, and the problem for everything else.

#![expect(clippy::unwrap_used, reason = "a helper that fails is a test that fails")]

use axum::{
    Extension, Router,
    body::Body,
    response::Response,
    routing::{get, post},
};
use futures::stream;
use http::{Request, header};
use http_api::{BodyLimit, Form, Health, HttpService, JsonObject, with_middleware};
use runtime::Metrics;
use serde_json::{Value, json};
use tower::ServiceExt;

const JSON: Option<&str> = Some("application/json");

fn router() -> HttpService {
    let echo = |object: JsonObject| async move { axum::Json(object.fields) };
    let router = Router::new()
        .route("/echo", post(echo).patch(echo).put(echo).delete(echo))
        .route("/large", post(echo).layer(Extension(BodyLimit(1024 * 1024))))
        .route("/form", post(|object: JsonObject| async move { Form::new(object.fields).finish() }))
        .route("/none", get(|| async {}));
    with_middleware(router, "test", &Metrics::new("test"), Health::new())
}

async fn send(method: &str, path: &str, media_type: Option<&str>, body: impl Into<Body>) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(media_type) = media_type {
        request = request.header(header::CONTENT_TYPE, media_type);
    }
    router().oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

async fn json_of(response: Response) -> Value {
    serde_json::from_slice(&axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    (status, json_of(response).await["code"].as_str().unwrap().to_owned())
}

async fn refused(body: impl Into<Body>) -> (u16, String) {
    refusal(send("POST", "/echo", JSON, body).await).await
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// An object of exactly `length` bytes.
fn object(length: usize) -> String {
    format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8))
}

/// A body of unknown length, as `Transfer-Encoding: chunked` makes them.
fn chunked(text: String) -> Body {
    let chunks: Vec<_> =
        text.into_bytes().chunks(1000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    Body::from_stream(stream::iter(chunks))
}

#[tokio::test]
async fn reads_an_object() {
    for media_type in
        ["application/json", "Application/JSON; charset=utf-8", "application/json;charset=\"UTF-8\""]
    {
        let response = send("POST", "/echo", Some(media_type), r#" {"a": [1, null]} "#).await;
        assert_eq!(json_of(response).await, json!({"a": [1, null]}), "{media_type}");
    }
    let patched = send("PATCH", "/echo", Some("application/merge-patch+json"), "{}").await;
    assert_eq!(json_of(patched).await, json!({}));
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    for body in [
        "",
        "{",
        "{} x",
        "{\"a\":1e400",
        "{\"a\":1e400,}",
        "{\"a\":\"\\ud800\"}",
        "{\"a\":1,\"a\":2}",
        "\u{feff}{}",
    ] {
        assert_eq!(refused(body).await, is(400, "malformed-json"), "{body:?}");
    }
    assert_eq!(refused(b"{\"a\":\"\xff\"}".to_vec()).await, is(400, "malformed-json"));
    assert_eq!(refused(chunked(String::new())).await, is(400, "malformed-json"));
    assert_eq!(refusal(send("POST", "/echo", None, "").await).await, is(400, "malformed-json"));
    let twice = json_of(send("POST", "/echo", JSON, "{\"title\":1,\"title\":2}").await).await;
    assert!(twice["detail"].as_str().unwrap().starts_with("the key `title` occurs twice"), "{twice}");
}

#[tokio::test]
async fn a_number_that_nothing_can_hold_is_of_the_wrong_type() {
    let response = send("POST", "/echo", JSON, "{\"a\":[{\"b~\":1e400}]}").await;
    assert_eq!(response.status(), 422);
    let document = json_of(response).await;
    assert_eq!(document["code"], "validation-failed");
    let error = &document["errors"][0];
    assert_eq!((&error["pointer"], &error["code"]), (&json!("/a/0/b~0"), &json!("wrong-type")));
}

#[tokio::test]
async fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert_eq!(send("POST", "/echo", JSON, nested(32)).await.status(), 200);
    assert_eq!(refused(nested(33)).await, is(400, "too-deep"));
    assert_eq!(refused("[".repeat(60_000)).await, is(400, "too-deep"));
}

#[tokio::test]
async fn other_values_than_objects_are_invalid() {
    for body in ["[]", "null", "1", "\"text\""] {
        let response = send("POST", "/echo", JSON, body).await;
        assert_eq!(response.status(), 422, "{body}");
        let document = json_of(response).await;
        assert_eq!(
            (&document["code"], &document["errors"][0]["pointer"]),
            (&json!("validation-failed"), &json!(""))
        );
    }
}

#[tokio::test]
async fn size_is_bounded_whether_announced_or_not() {
    for body in [Body::from(object(64 * 1024)), chunked(object(64 * 1024))] {
        assert_eq!(send("POST", "/echo", JSON, body).await.status(), 200);
    }
    for body in
        [Body::from(object(64 * 1024 + 1)), chunked(object(64 * 1024 + 1)), chunked(object(10_000_000))]
    {
        assert_eq!(refused(body).await, is(413, "body-too-large"));
    }
}

#[tokio::test]
async fn a_route_may_take_more() {
    assert_eq!(send("POST", "/large", JSON, object(1024 * 1024)).await.status(), 200);
    let refused = send("POST", "/large", JSON, object(1024 * 1024 + 1)).await;
    assert_eq!(refusal(refused).await, is(413, "body-too-large"));
}

#[tokio::test]
async fn other_types_are_refused_with_the_right_ones() {
    let types = [
        None,
        Some("text/plain"),
        Some("application/jsonp"),
        Some("application/json; charset=latin1"),
        Some(""),
    ];
    for media_type in types {
        let response = send("POST", "/echo", media_type, "{}").await;
        assert_eq!(response.headers()["accept-post"], "application/json", "{media_type:?}");
        assert_eq!(refusal(response).await, is(415, "unsupported-media-type"));
    }
    for method in ["PUT", "DELETE"] {
        let response = send(method, "/echo", Some("application/merge-patch+json"), "{}").await;
        assert_eq!(response.headers()["accept-post"], "application/json");
        assert_eq!(response.status(), 415);
    }
    let response = send("PATCH", "/echo", Some("application/json-patch+json"), "[]").await;
    assert_eq!(response.headers()["accept-patch"], "application/merge-patch+json, application/json");
    assert_eq!(refusal(response).await, is(415, "unsupported-media-type"));
}

#[tokio::test]
async fn compressed_bodies_are_refused() {
    let request =
        Request::post("/echo").header("content-type", "application/json").header("content-encoding", "gzip");
    let response = router().oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap();
    assert_eq!(response.headers()[header::ACCEPT_ENCODING], "identity");
    assert_eq!(refusal(response).await, is(415, "unsupported-media-type"));
}

#[tokio::test]
async fn the_answer_to_many_mistakes_is_short() {
    let fields: serde_json::Map<String, Value> = (0..5_500).map(|n| (n.to_string(), json!(0))).collect();
    let long = json!({"x".repeat(60_000): 1}).to_string();
    for (body, listed, rest) in
        [(Value::Object(fields).to_string(), 50, Some("5450 more errors are not listed")), (long, 1, None)]
    {
        let response = send("POST", "/form", JSON, body).await;
        assert_eq!(response.status(), 422);
        let bytes = axum::body::to_bytes(response.into_body(), 16 * 1024).await.unwrap();
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        let errors = document["errors"].as_array().unwrap();
        assert_eq!(errors.len(), listed + usize::from(rest.is_some()));
        if let Some(rest) = rest {
            assert_eq!(errors[listed]["detail"], rest);
            assert_eq!(errors[listed]["code"], "more-errors");
        }
    }
    let twice = "y".repeat(30_000);
    let response = send("POST", "/form", JSON, format!(r#"{{"{twice}":1,"{twice}":2}}"#)).await;
    assert_eq!(response.status(), 400);
    axum::body::to_bytes(response.into_body(), 2 * 1024).await.unwrap();
}

#[tokio::test]
async fn many_small_values_are_refused_before_they_take_memory() {
    let body = format!(r#"{{"commands":[{}0]}}"#, "0,".repeat(500_000));
    let answer = refusal(send("POST", "/large", JSON, body).await).await;
    assert_eq!(answer, (400, "too-many-values".to_owned()));
}
