//! Cached reads of tasks: never another caller's, and never older than what the caller knows.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a helper that fails is a test that fails; tests start tasks as they like"
)]

mod sharing;
#[path = "../support/mod.rs"]
mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use events::ConsistencyToken;
use futures::future::join_all;
use gateway::{Config, Upstream};
use http::{HeaderMap, StatusCode, header};
use http_api::{CONSISTENCY_TOKEN, Health, HttpService, with_middleware};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use runtime::Metrics;
use support::{Background, TwoPeople, ann, ask, bob, embedded, request, text};
use test_support::eventually;
use tokio::{sync::Notify, task::yield_now};

const ANN: (&str, &str) = ("authorization", "Bearer ann.x.y");
const ANN_LATER: (&str, &str) = ("authorization", "Bearer ann.x.z");
const BOB: (&str, &str) = ("authorization", "Bearer bob.x.y");

/// A log that only gets longer, and a projection that lags behind until more is asked for.
#[derive(Default)]
struct Fixture {
    head: AtomicU64,
    projected: AtomicU64,
    /// The number of requests to the query API.
    asked: AtomicUsize,
    /// Whether the query API fails.
    fails: AtomicBool,
    /// The number of additional bytes in an answer.
    padding: AtomicUsize,
    gate: Option<Notify>,
}

impl Fixture {
    async fn command(&self) -> Response {
        // A few scheduling points before and after it takes effect, so that others come in between.
        some_yields(self.head.load(SeqCst)).await;
        let position = self.head.fetch_add(1, SeqCst) + 1;
        some_yields(position * 7).await;
        with_token(&HeaderMap::new(), position, "{}".to_owned())
    }

    async fn query(&self, request: Request) -> Response {
        self.asked.fetch_add(1, SeqCst);
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        if self.fails.load(SeqCst) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let sent = request.headers().get_all(&CONSISTENCY_TOKEN).iter();
        for token in sent.flat_map(|list| list.to_str().unwrap().split(", ")) {
            let token: ConsistencyToken = token.parse().unwrap();
            if token.position <= self.head.load(SeqCst) {
                self.projected.fetch_max(token.position, SeqCst);
            }
        }
        let shown = self.projected.load(SeqCst);
        some_yields(shown * 3).await;
        let padding = "x".repeat(self.padding.load(SeqCst));
        with_token(request.headers(), shown, format!("{shown} {padding}"))
    }
}

async fn some_yields(number: u64) {
    for _ in 0..number % 5 {
        yield_now().await;
    }
}

fn with_token(request: &HeaderMap, position: u64, body: String) -> Response {
    let is_bob =
        request.get(header::AUTHORIZATION).is_some_and(|value| value.to_str().unwrap().contains("bob"));
    let token = ConsistencyToken::new(if is_bob { bob() } else { ann() }, position).to_string();
    let headers = [
        (CONSISTENCY_TOKEN.clone(), token),
        (header::ETAG, format!("\"{position}\"")),
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    (headers, body).into_response()
}

fn roles(fixture: &Arc<Fixture>) -> Config {
    let serve = |role: &'static str, router: Router| {
        Upstream::InProcess(with_middleware(router, role, &Metrics::new(role), Health::new()))
    };
    let (asked, told) = (Arc::clone(fixture), Arc::clone(fixture));
    let query = move |request: Request| {
        let fixture = Arc::clone(&asked);
        async move { fixture.query(request).await }
    };
    let command = move || {
        let fixture = Arc::clone(&told);
        async move { fixture.command().await }
    };
    Config {
        query_api: serve("query-api", Router::new().route("/{*path}", any(query))),
        command_api: serve("command-api", Router::new().route("/{*path}", any(command))),
        ..embedded()
    }
}

async fn gateway(background: &Background) -> (HttpService, Arc<Fixture>) {
    let fixture = Arc::new(Fixture::default());
    (background.gateway(roles(&fixture)).await, fixture)
}

async fn get(gateway: &HttpService, path: &str, headers: &[(&str, &str)]) -> Response {
    ask(gateway, request("GET", path, headers, Body::empty())).await
}

fn status_of(response: &Response) -> &str {
    let status = response.headers().get("cache-status");
    status.map_or("", |status| status.to_str().unwrap())
}

#[tokio::test]
async fn the_same_question_is_answered_again_without_the_role_and_no_other() {
    let background = Background::default();
    let (gateway, fixture) = gateway(&background).await;
    let first = get(&gateway, "/tasks?limit=3", &[ANN]).await;
    assert_eq!(status_of(&first), "taskledger; fwd=miss; stored");
    let first_headers = first.headers().clone();
    let first_id = first.headers()["x-request-id"].clone();
    let body = text(first).await;
    let again = get(&gateway, "/tasks?limit=3", &[ANN]).await;
    assert_eq!(status_of(&again), "taskledger; hit");
    for name in ["content-type", "etag", "cache-control", "consistency-token", "x-frame-options"] {
        assert_eq!(again.headers()[name], first_headers[name], "{name}");
    }
    assert_ne!(again.headers()["x-request-id"], first_id);
    assert_eq!(text(again).await, body);
    assert_eq!(fixture.asked.load(SeqCst), 1);
    // Another person, the same person with another token, another query.
    for (path, who) in [
        ("/tasks?limit=3", BOB),
        ("/tasks?limit=3", ANN_LATER),
        ("/tasks?limit=4", ANN),
        ("/tasks/0190a000-0000-7000-8000-000000000001", ANN),
    ] {
        let asked = fixture.asked.load(SeqCst);
        assert_eq!(status_of(&get(&gateway, path, &[who]).await), "taskledger; fwd=miss; stored");
        assert_eq!(fixture.asked.load(SeqCst), asked + 1);
    }
    // A HEAD request, a stranger, and answers that depend on the time or on more than the state.
    for (method, path, headers) in [
        ("HEAD", "/tasks?limit=3", vec![ANN]),
        ("GET", "/tasks?limit=3", vec![]),
        ("GET", "/tasks?limit=3", vec![("authorization", "Bearer nobody.x.y")]),
        ("GET", "/tasks?overdue=true", vec![ANN]),
        ("GET", "/tasks?limit=3", vec![ANN, ("prefer", "wait=1")]),
        ("GET", "/tasks?limit=3", vec![ANN, ("if-match", "\"0\"")]),
        ("GET", "/tasks?limit=3", vec![ANN, ("cache-control", "no-store")]),
    ] {
        for _ in 0..2 {
            let asked = fixture.asked.load(SeqCst);
            let response = ask(&gateway, request(method, path, &headers, Body::empty())).await;
            assert_eq!(status_of(&response), "taskledger; fwd=bypass", "{method} {path} {headers:?}");
            assert_eq!(fixture.asked.load(SeqCst), asked + 1);
        }
    }
    let fresh = get(&gateway, "/tasks?limit=3", &[ANN, ("cache-control", "no-cache")]).await;
    assert_eq!(status_of(&fresh), "taskledger; fwd=request; stored");
}

#[tokio::test]
async fn who_has_it_is_told_so_without_the_role() {
    let background = Background::default();
    let (gateway, fixture) = gateway(&background).await;
    let first = get(&gateway, "/tasks", &[ANN]).await;
    let etag = first.headers()["etag"].to_str().unwrap().to_owned();
    for condition in [etag.clone(), format!("\"other\", W/{etag}"), "*".to_owned()] {
        let response = get(&gateway, "/tasks", &[ANN, ("if-none-match", &condition)]).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{condition}");
        assert_eq!(response.headers()["etag"], etag);
        assert_eq!(status_of(&response), "taskledger; hit");
        assert_eq!(text(response).await, "");
    }
    assert_eq!(fixture.asked.load(SeqCst), 1);
    let other = get(&gateway, "/tasks", &[ANN, ("if-none-match", "\"other\"")]).await;
    assert_eq!(other.status(), StatusCode::OK);
    let malformed = get(&gateway, "/tasks", &[ANN, ("if-none-match", "other")]).await;
    assert_eq!(malformed.status(), StatusCode::BAD_REQUEST);
    // Also when it must be fetched first: the whole answer is fetched and cached.
    let fetched = get(&gateway, "/tasks?q=a", &[ANN, ("if-none-match", &etag)]).await;
    assert_eq!(fetched.status(), StatusCode::NOT_MODIFIED);
    let whole = get(&gateway, "/tasks?q=a", &[ANN]).await;
    assert_eq!((whole.status(), status_of(&whole)), (StatusCode::OK, "taskledger; hit"));
}

#[tokio::test]
async fn a_write_makes_what_was_kept_unreachable_also_one_that_failed() {
    let background = Background::default();
    let (gateway, fixture) = gateway(&background).await;
    let read = async |headers: &[(&str, &str)]| text(get(&gateway, "/tasks", headers).await).await;
    assert_eq!(read(&[ANN]).await, "0 ");
    ask(&gateway, request("POST", "/tasks", &[ANN], "{}")).await;
    assert_eq!(read(&[ANN]).await, "1 ");
    // The client's token shows changes from elsewhere.
    fixture.head.store(5, SeqCst);
    assert_eq!(read(&[ANN]).await, "1 ");
    let token = ConsistencyToken::new(ann(), 5).to_string();
    assert_eq!(read(&[ANN, ("consistency-token", &token)]).await, "5 ");
    let asked = fixture.asked.load(SeqCst);
    assert_eq!(read(&[ANN, ("consistency-token", &token)]).await, "5 ");
    assert_eq!(fixture.asked.load(SeqCst), asked, "that is enough for the token");

    // The command has no answer, but it took effect.
    let fixture = Arc::new(Fixture::default());
    let silent = Router::new().route("/{*path}", any(|| async { StatusCode::SERVICE_UNAVAILABLE }));
    let config = Config { command_api: Upstream::InProcess(silent.into()), ..roles(&fixture) };
    let gateway = background.gateway(config).await;
    assert_eq!(text(get(&gateway, "/tasks", &[ANN]).await).await, "0 ");
    let post = ask(&gateway, request("POST", "/tasks", &[ANN], "{}")).await;
    assert_eq!(post.status(), StatusCode::SERVICE_UNAVAILABLE);
    fixture.projected.store(1, SeqCst);
    assert_eq!(text(get(&gateway, "/tasks", &[ANN]).await).await, "1 ");
}

#[tokio::test]
async fn what_the_role_refuses_of_tokens_is_not_answered_from_what_was_kept() {
    let background = Background::default();
    let (gateway, fixture) = gateway(&background).await;
    get(&gateway, "/tasks", &[ANN]).await;
    let token = ConsistencyToken::new(ann(), 0).to_string();
    for (count, status) in [(16, "taskledger; hit"), (17, "taskledger; fwd=bypass")] {
        let list = vec![&*token; count].join(", ");
        let lines = [vec![ANN], vec![("consistency-token", &*token); count]].concat();
        for headers in [vec![ANN, ("consistency-token", &*list)], lines] {
            let answer = get(&gateway, "/tasks", &headers).await;
            assert_eq!(status_of(&answer), status, "{count} tokens");
        }
    }
    assert_eq!(fixture.asked.load(SeqCst), 3);
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_gets_nothing_of_what_was_kept() {
    let background = Background::default();
    let fixture = Arc::new(Fixture::default());
    let people = Arc::new(TwoPeople::default());
    let verifier = auth_client::Verifier::direct(Arc::clone(&people) as Arc<dyn auth_client::Check>);
    let gateway = gateway::start(roles(&fixture), verifier, &background.0).await.unwrap();
    get(&gateway, "/tasks", &[ANN]).await;
    assert_eq!(status_of(&get(&gateway, "/tasks", &[ANN]).await), "taskledger; hit");
    people.change_ann();
    let changed = get(&gateway, "/tasks", &[ANN]).await;
    assert_eq!(status_of(&changed), "taskledger; fwd=miss; stored", "she is not who she was");
    people.revoke_ann();
    let asked = fixture.asked.load(SeqCst);
    assert_eq!(status_of(&get(&gateway, "/tasks", &[ANN]).await), "taskledger; fwd=bypass");
    assert_eq!(fixture.asked.load(SeqCst), asked + 1, "the role refuses her");
}

#[tokio::test]
async fn what_fails_or_is_long_is_passed_on_and_not_kept() {
    let background = Background::default();
    let (gateway, fixture) = gateway(&background).await;
    fixture.fails.store(true, SeqCst);
    for _ in 0..2 {
        let failed = get(&gateway, "/tasks", &[ANN]).await;
        assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status_of(&failed), "taskledger; fwd=miss");
    }
    fixture.fails.store(false, SeqCst);
    fixture.padding.store(300 * 1024, SeqCst);
    for _ in 0..2 {
        let long = get(&gateway, "/tasks", &[ANN]).await;
        assert_eq!(status_of(&long), "taskledger; fwd=miss");
        assert_eq!(text(long).await.len(), 300 * 1024 + 2);
    }
    assert_eq!(fixture.asked.load(SeqCst), 4);
}

#[tokio::test]
async fn what_is_kept_has_a_bound() {
    let background = Background::default();
    let (gateway, fixture) = gateway(&background).await;
    fixture.padding.store(200 * 1024, SeqCst);
    for number in 0..400 {
        let path = format!("/tasks?q={number}");
        assert_eq!(get(&gateway, &path, &[ANN]).await.status(), StatusCode::OK);
    }
    let bytes = async || {
        get(&gateway, "/tasks", &[ANN]).await;
        let page = text(get(&gateway, "/metrics", &[]).await).await;
        let line =
            page.lines().find(|line| line.starts_with("taskledger_gateway_cache_bytes")).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    eventually("the cache is within its bound", async || bytes().await <= 32 << 20).await;
    assert!(bytes().await > 1 << 20, "something was kept");
}

/// Ann writes and reads through two gateways in any order and concurrently. A read is never older than what she
/// knows: from her own commands through that gateway, or from the token that she sends.
#[tokio::test]
async fn no_read_is_stale_in_whatever_order_she_writes_and_reads_through_two_front_doors() {
    let background = Background::default();
    let fixture = Arc::new(Fixture::default());
    let doors = [background.gateway(roles(&fixture)).await, background.gateway(roles(&fixture)).await];
    // The states that the answers of each gateway have shown.
    let told = [AtomicU64::new(0), AtomicU64::new(0)];
    let (reads, hits) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let write = async |door: usize| {
        let response = ask(&doors[door], request("POST", "/tasks", &[ANN], "{}")).await;
        let token = response.headers()[&CONSISTENCY_TOKEN].to_str().unwrap();
        let token: ConsistencyToken = token.parse().unwrap();
        told[door].fetch_max(token.position, SeqCst);
    };
    let read = async |door: usize, path: &str, with_token: bool| {
        let all = told.iter().map(|told| told.load(SeqCst)).max().unwrap();
        let floor = if with_token { all } else { told[door].load(SeqCst) };
        let token = ConsistencyToken::new(ann(), all).to_string();
        let mut headers = vec![ANN];
        if with_token {
            headers.push(("consistency-token", &token));
        }
        let response = get(&doors[door], path, &headers).await;
        let status = status_of(&response).to_owned();
        let shown = text(response).await;
        let shown: u64 = shown.trim().parse().unwrap();
        assert!(shown >= floor, "{shown} < {floor} through {door}: {status}");
        reads.fetch_add(1, SeqCst);
        hits.fetch_add(usize::from(status.contains("hit")), SeqCst);
    };
    let mut random = StdRng::seed_from_u64(17);
    for _run in 0..3_000 {
        let at_once = random.random_range(1..5);
        let acts = (0..at_once).map(|_| {
            let (door, choice) = (random.random_range(0..2), random.random_range(0..10));
            let path = ["/tasks", "/tasks?limit=3"][random.random_range(0..2)];
            let (write, read, fixture) = (&write, &read, &fixture);
            async move {
                match choice {
                    0 | 1 => write(door).await,
                    2 => {
                        // The projection advances by itself.
                        let head = fixture.head.load(SeqCst);
                        fixture.projected.fetch_max(head, SeqCst);
                    }
                    3..=5 => read(door, path, true).await,
                    _ => read(door, path, false).await,
                }
            }
        });
        join_all(acts.collect::<Vec<_>>()).await;
    }
    let (reads, hits) = (reads.load(SeqCst), hits.load(SeqCst));
    assert!(reads > 4_000 && hits > reads / 10, "{hits} hits of {reads} reads");
}
