//! Limits as clients see them.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a helper that fails is a test that fails")]

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{Router, body::Body, extract::ConnectInfo, response::IntoResponse, routing::post};
use gateway::{Config, Upstream};
use http::{HeaderMap, StatusCode, header};
use http_api::{HttpService, admin_of, public_of};
use support::{Background, TwoPeople, ask, embedded, program_of_ann, request, told};
use tempfile::TempDir;

mod support;

/// A gateway with a policy of its own.
struct GatewayFixture {
    _background: Background,
    _directory: TempDir,
    router: HttpService,
}

impl GatewayFixture {
    async fn with(policy: &str) -> Self {
        Self::before(policy, |_| {}).await
    }

    async fn before(policy: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::asking(Arc::default(), policy, change).await
    }

    /// A gateway whose tokens are checked by `people`.
    async fn asking(people: Arc<TwoPeople>, policy: &str, change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let file: PathBuf = directory.path().join("gateway.toml");
        std::fs::write(&file, policy).unwrap();
        let background = Background::default();
        let mut config = embedded();
        config.policy = Some(file);
        change(&mut config);
        let router = background.gateway_that_asks(people, config).await;
        Self { _background: background, _directory: directory, router }
    }

    /// Sends a request from an address, and returns the status and the headers.
    async fn from(&self, peer: &str, mut asked: axum::extract::Request) -> (StatusCode, HeaderMap) {
        let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
        asked.extensions_mut().insert(ConnectInfo(peer));
        let response = ask(&self.router, asked).await;
        (response.status(), response.headers().clone())
    }

    async fn get(&self, peer: &str, token: &str) -> StatusCode {
        let bearer = format!("Bearer {token}");
        let headers: &[(&str, &str)] = match token {
            "" => &[],
            _ => &[("authorization", &bearer)],
        };
        self.from(peer, request("GET", "/tasks", headers, Body::empty())).await.0
    }

    async fn login(&self, peer: &str, email: &str) -> StatusCode {
        let body = format!(r#"{{"email": "{email}", "password": "wrong"}}"#);
        self.from(peer, request("POST", "/auth/login", &[], body)).await.0
    }
}

const LIMITED: StatusCode = StatusCode::TOO_MANY_REQUESTS;
const WIDE: &str = "[unauthenticated]\nrequests = 1000\nper_seconds = 1\n";

fn limit(name: &str, by: &str, routes: &str, requests: u32) -> String {
    format!(
        "{WIDE}[[limit]]\nname = \"{name}\"\nby = \"{by}\"\nroutes = [\"{routes}\"]\nrequests = {requests}\nper_seconds = 3600\n"
    )
}

#[tokio::test]
async fn a_refusal_says_what_the_limit_is_and_when_to_come_again() {
    let gateway = GatewayFixture::with(&limit("reads", "address", "GET /tasks", 2)).await;
    let asked = || request("GET", "/tasks", &[], Body::empty());
    let (status, headers) = gateway.from("192.0.2.1", asked()).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["ratelimit-policy"], r#""unauthenticated";q=1000;w=1, "reads";q=2;w=3600"#);
    assert_eq!(headers["ratelimit"], r#""unauthenticated";r=999;t=1, "reads";r=1;t=1800"#);
    gateway.get("192.0.2.1", "").await;

    let (status, headers) = gateway.from("192.0.2.1", asked()).await;
    assert_eq!(status, LIMITED);
    assert_eq!(headers[header::RETRY_AFTER], "1800");
    assert_eq!(headers["ratelimit-policy"], r#""reads";q=2;w=3600"#);
    assert_eq!(headers["ratelimit"], r#""reads";r=0;t=1800"#);
    assert!(headers.contains_key("x-request-id") && headers.contains_key("x-content-type-options"));

    assert_eq!(gateway.get("192.0.2.2", "").await, StatusCode::OK, "another address");
    let other = request("GET", "/auth/me", &[], Body::empty());
    assert_eq!(gateway.from("192.0.2.1", other).await.0, StatusCode::OK, "another route");
}

#[tokio::test]
async fn an_address_of_ipv6_is_a_network() {
    let gateway = GatewayFixture::with(&limit("reads", "address", "GET /tasks", 1)).await;
    assert_eq!(gateway.get("2001:db8::1", "").await, StatusCode::OK);
    assert_eq!(gateway.get("2001:db8::2", "").await, LIMITED);
    assert_eq!(gateway.get("2001:db8:0:1::2", "").await, StatusCode::OK);
}

#[tokio::test]
async fn a_user_has_a_budget_wherever_they_are_and_nobody_else_can_spend_it() {
    let gateway = GatewayFixture::with(&limit("user", "user", "*", 2)).await;
    for forged in ["eyJ.ann.x", "down.bob.x", "junk", "x.ann.x"] {
        for _ in 0..5 {
            assert_ne!(gateway.get("192.0.2.1", forged).await, LIMITED, "{forged}");
        }
    }
    assert_eq!(gateway.get("192.0.2.2", "ann.x.y").await, StatusCode::OK);
    assert_eq!(gateway.get("192.0.2.3", "ann.other.y").await, StatusCode::OK);
    assert_eq!(gateway.get("192.0.2.4", "ann.x.y").await, LIMITED);
    assert_eq!(gateway.get("192.0.2.4", "down.ann.y").await, LIMITED, "also while auth is away");
    assert_eq!(gateway.get("192.0.2.4", "bob.x.y").await, StatusCode::OK);
}

#[tokio::test]
async fn without_a_token_of_ours_there_is_always_a_limit() {
    let gateway = GatewayFixture::with("[unauthenticated]\nrequests = 3\nper_seconds = 3600\n").await;
    for token in ["", "junk", "eyJ.ann.x"] {
        assert_eq!(gateway.get("192.0.2.1", token).await, StatusCode::OK);
    }
    assert_eq!(gateway.get("192.0.2.1", "").await, LIMITED);
    let nowhere = request("GET", "/no/such/path", &[], Body::empty());
    assert_eq!(gateway.from("192.0.2.1", nowhere).await.0, LIMITED);
    assert_eq!(gateway.get("192.0.2.1", "ann.x.y").await, StatusCode::OK);
}

#[tokio::test]
async fn a_path_that_only_operators_have_counts_like_any_unknown_one() {
    let gateway = GatewayFixture::with("[unauthenticated]\nrequests = 2\nper_seconds = 3600\n").await;
    let ask_at = async |service: HttpService, path: &str| {
        let mut asked = request("GET", path, &[], Body::empty());
        let peer = SocketAddr::from(([192, 0, 2, 1], 1234));
        asked.extensions_mut().insert(ConnectInfo(peer));
        ask(&service, asked).await.status()
    };
    for expected in [StatusCode::NOT_FOUND, LIMITED] {
        for path in ["/metrics", "/health/startup"] {
            let status = ask_at(public_of(gateway.router.clone()), path).await;
            assert_eq!(status, expected, "{path}");
        }
    }
    let live = ask_at(public_of(gateway.router.clone()), "/health/live").await;
    let metrics = ask_at(admin_of(gateway.router.clone()), "/metrics").await;
    assert_eq!((live, metrics), (StatusCode::OK, StatusCode::OK));
}

#[tokio::test]
async fn a_program_counts_as_its_person_from_its_first_request_on() {
    let limits = "[unauthenticated]\nrequests = 7\nper_seconds = 3600\n\
                  [[limit]]\nname = \"user\"\nby = \"user\"\nroutes = [\"*\"]\nrequests = 2\nper_seconds = 3600\n\
                  [[limit]]\nname = \"address\"\nby = \"address\"\nroutes = [\"*\"]\nrequests = 13\nper_seconds = 3600\n";
    let gateway = GatewayFixture::with(limits).await;
    let program = program_of_ann();
    let made_up = program.replace("aaa", "bbb");
    let asked = |token: &str| {
        let token = format!("Bearer {token}");
        request("GET", "/tasks", &[("authorization", &*token)], Body::empty())
    };
    // Strangers have no budget left.
    for _ in 0..7 {
        assert_eq!(gateway.get("192.0.2.1", "").await, StatusCode::OK);
    }
    assert_eq!(gateway.get("192.0.2.1", &made_up).await, LIMITED);
    let (status, headers) = gateway.from("192.0.2.1", asked(&program)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["ratelimit-policy"], r#""address";q=13;w=3600, "user";q=2;w=3600"#);
    assert_eq!(gateway.get("192.0.2.2", "ann.x.y").await, StatusCode::OK);
    assert_eq!(gateway.get("192.0.2.1", &program).await, LIMITED);
    // Each invented one uses the budget of its address.
    for _ in 0..3 {
        assert_eq!(gateway.get("192.0.2.1", &made_up).await, LIMITED);
    }
    let (status, headers) = gateway.from("192.0.2.1", asked(&made_up)).await;
    assert_eq!(status, LIMITED);
    assert_eq!(headers["ratelimit-policy"], r#""address";q=13;w=3600"#);
}

#[tokio::test]
async fn auth_is_asked_no_more_often_about_made_up_programs_than_the_limit_that_is_always_there_allows() {
    let people = Arc::new(TwoPeople::default());
    let policy = "[unauthenticated]\nrequests = 5\nper_seconds = 3600\n";
    let gateway = GatewayFixture::asking(Arc::clone(&people), policy, |_| {}).await;
    for number in 0..20 {
        let made_up = program_of_ann().replace("aaa", &format!("{number:03}"));
        let status = gateway.get("192.0.2.1", &made_up).await;
        assert_eq!(status == LIMITED, number >= 5, "{number}");
    }
    // The gateway asks once for the limits, and the role once more.
    let asked = people.asked_about_programs();
    assert!((5..=10).contains(&asked), "{asked}");
    assert_eq!(gateway.get("192.0.2.2", &program_of_ann()).await, StatusCode::OK);
}

#[tokio::test]
async fn an_account_is_tried_so_often_from_one_address_in_every_spelling() {
    let gateway = GatewayFixture::with(&limit("account", "account", "POST /auth/*", 2)).await;
    assert_eq!(gateway.login("192.0.2.1", "ada@example.org").await, StatusCode::OK);
    assert_eq!(gateway.login("192.0.2.1", " ADA@EXAMPLE.ORG").await, StatusCode::OK);
    assert_eq!(gateway.login("192.0.2.1", "ada@Example.org").await, LIMITED);
    assert_eq!(gateway.login("192.0.2.1", "bob@example.org").await, StatusCode::OK);
    assert_eq!(gateway.login("192.0.2.2", "ada@example.org").await, StatusCode::OK);
    let told = told(&gateway.router, "POST", "/auth/login", &[]).await;
    assert_eq!(told["body"], "");
}

#[tokio::test]
async fn what_the_limit_of_an_account_refuses_costs_its_address_no_login() {
    let by_account = limit("account", "account", "POST /auth/*", 2);
    let by_address = "[[limit]]\nname = \"address\"\nby = \"address\"\nroutes = [\"POST /auth/*\"]\nrequests = 4\nper_seconds = 3600\n";
    let gateway = GatewayFixture::with(&format!("{by_account}{by_address}")).await;
    for (email, expected) in [
        ("ada@example.org", StatusCode::OK),
        ("ada@example.org", StatusCode::OK),
        ("ada@example.org", LIMITED),
        ("ada@example.org", LIMITED),
        ("ada@example.org", LIMITED),
        ("bob@example.org", StatusCode::OK),
        ("eve@example.org", StatusCode::OK),
        ("kim@example.org", LIMITED),
    ] {
        assert_eq!(gateway.login("192.0.2.1", email).await, expected, "{email}");
    }
}

/// Otherwise one client could send bodies without end, once an account is used up.
#[tokio::test]
async fn what_the_limit_of_an_account_refuses_is_counted_by_the_limits_of_all_requests() {
    let table = |by: &str, routes: &str, requests: u32| {
        format!(
            "[[limit]]\nname = \"{by}\"\nby = \"{by}\"\nroutes = [\"{routes}\"]\nrequests = {requests}\nper_seconds = 3600\n"
        )
    };
    let by_account = table("account", "POST /auth/*", 2);
    let strict = "[unauthenticated]\nrequests = 5\nper_seconds = 3600\n";
    for (name, policy) in [
        ("unauthenticated", format!("{strict}{by_account}")),
        ("address", format!("{WIDE}{by_account}{}", table("address", "*", 5))),
    ] {
        let gateway = GatewayFixture::with(&policy).await;
        let mut refused_by = Vec::new();
        for _ in 0..6 {
            let login = request("POST", "/auth/login", &[], r#"{"email": "ada@example.org"}"#);
            let (status, headers) = gateway.from("192.0.2.1", login).await;
            refused_by.push(match status == LIMITED {
                true => headers["ratelimit-policy"].to_str().unwrap().to_owned(),
                false => String::new(),
            });
        }
        let account = "\"account\";q=2;w=3600";
        let all = format!("\"{name}\";q=5;w=3600");
        assert_eq!(refused_by, ["", "", account, account, account, &*all]);
    }
}

#[tokio::test]
async fn what_auth_counts_itself_passes() {
    let refuses = || async {
        let headers = [
            ("ratelimit", "\"guesses\";r=0;t=9"),
            ("retry-after", "9"),
            ("content-type", "application/problem+json"),
        ];
        (LIMITED, headers, "{}").into_response()
    };
    let gateway = GatewayFixture::before(WIDE, |config| {
        config.auth = Upstream::InProcess(Router::new().route("/auth/login", post(refuses)).into());
    })
    .await;
    let (status, headers) = gateway.from("192.0.2.1", request("POST", "/auth/login", &[], "{}")).await;
    assert_eq!((status, &headers["retry-after"]), (LIMITED, &"9".parse().unwrap()));
    assert_eq!(headers["ratelimit"], "\"guesses\";r=0;t=9");
}

#[tokio::test]
async fn the_client_is_whoever_a_trusted_proxy_says_and_nobody_else_is_believed() {
    let policy =
        format!("trusted_proxies = [\"10.0.0.0/8\"]\n{}", limit("reads", "address", "GET /tasks", 1));
    let gateway = GatewayFixture::with(&policy).await;
    let through = async |peer: &str, forwarded: &str| {
        let headers = [("x-forwarded-for", forwarded)];
        gateway.from(peer, request("GET", "/tasks", &headers, Body::empty())).await.0
    };
    assert_eq!(through("10.0.0.1", "192.0.2.1").await, StatusCode::OK);
    assert_eq!(through("10.0.0.1", "192.0.2.2").await, StatusCode::OK);
    assert_eq!(through("10.0.0.2", "6.6.6.6, 192.0.2.2").await, LIMITED, "the last one counts");
    assert_eq!(through("203.0.113.1", "1.1.1.1").await, StatusCode::OK);
    assert_eq!(through("203.0.113.1", "2.2.2.2").await, LIMITED, "nobody believes a stranger");
}

#[tokio::test]
async fn one_caller_has_so_many_requests_at_work_and_others_are_served() {
    let gateway = GatewayFixture::with("in_flight_per_caller = 1\n").await;
    let held = async |peer: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers: &[(&str, &str)] = match token {
            "" => &[],
            _ => &[("authorization", &bearer)],
        };
        let mut asked = request("GET", "/.well-known/jwks.json", headers, Body::empty());
        let peer = SocketAddr::new(peer.parse().unwrap(), 1234);
        asked.extensions_mut().insert(ConnectInfo(peer));
        ask(&gateway.router, asked).await
    };
    // Answers that were not taken yet.
    let ann = held("192.0.2.1", "ann.1.1").await;
    let stranger = held("192.0.2.1", "").await;
    assert_eq!((ann.status(), stranger.status()), (StatusCode::OK, StatusCode::OK));
    for (peer, token) in [("192.0.2.2", "ann.2.2"), ("192.0.2.1", "")] {
        let refused = held(peer, token).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE, "{token}");
        assert_eq!(refused.headers()[header::RETRY_AFTER], "1");
    }
    assert_eq!(gateway.get("192.0.2.1", "bob.1.1").await, StatusCode::OK);
    assert_eq!(gateway.get("192.0.2.9", "").await, StatusCode::OK);
    drop((ann, stranger));
    assert_eq!(gateway.get("192.0.2.1", "ann.1.1").await, StatusCode::OK);
    assert_eq!(gateway.get("192.0.2.1", "").await, StatusCode::OK);
}
