//! The replicas of one role over HTTP: takes turns among those that are well, and tries the next one when that
//! cannot do harm.

use std::{
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{bail, ensure};
use axum::{body::Body, response::Response};
use futures::future::join_all;
use http::{
    HeaderName, Request, StatusCode, Uri, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_api::IDEMPOTENCY_KEY;
use hyper::body::Body as _;
use hyper_util::{
    client::legacy::{Client as LegacyClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::timeout;
use url::Url;

use crate::{
    error::ForwardError,
    replayable_body::{Continue, ReplayableBody, in_time},
};

/// The role that does a command once for its `Idempotency-Key`.
pub(crate) const COMMAND_API: &str = "command-api";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// For a probe, or the metrics of a replica. A role gives its own checks a second.
const GLANCE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two looks at whether a replica is ready.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Well below the time after which a role closes a connection that nobody uses.
const KEEP_IDLE: Duration = Duration::from_secs(30);
/// Metrics longer than this are not taken, in bytes.
const GLANCE_LIMIT: usize = 8 * 1024 * 1024;

/// Conditions on the state of what a request is about.
const CONDITIONS: [HeaderName; 3] = [
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_UNMODIFIED_SINCE,
];

pub(crate) type Client = LegacyClient<HttpConnector, ReplayableBody>;

/// The client that all upstreams share.
pub(crate) fn client() -> Client {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    connector.set_nodelay(true);
    LegacyClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEEP_IDLE)
        .build(connector)
}

/// The replicas of one role.
pub(crate) struct Replicas {
    client: Client,
    replicas: Vec<Replica>,
    turn: AtomicUsize,
    /// Whether the role does a request once for its `Idempotency-Key`.
    honours_keys: bool,
}

struct Replica {
    authority: Authority,
    /// In front of every path; without a slash at the end.
    prefix: String,
    well: AtomicBool,
}

impl Replicas {
    pub(crate) fn new(role: &str, urls: &[Url], client: &Client) -> anyhow::Result<Self> {
        ensure!(
            !urls.is_empty(),
            "{role} needs at least one address, such as http://127.0.0.1:8081"
        );
        let replicas = urls
            .iter()
            .map(|url| Replica::new(role, url))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            client: client.clone(),
            replicas,
            turn: AtomicUsize::new(0),
            honours_keys: role == COMMAND_API,
        })
    }

    /// Forwards one request, to another replica when the first one did not take it.
    pub(crate) async fn send(&self, parts: &Parts, body: Body) -> Result<Response, ForwardError> {
        let repeatable = self.is_repeatable(parts, &body);
        let body = match repeatable {
            true => ReplayableBody::kept(body),
            false => ReplayableBody::new(body),
        };
        let mut failure = None;
        for replica in self.by_turns() {
            match self.attempt(replica, parts, body.clone()).await {
                Ok(response) => {
                    replica.well.store(true, Ordering::Relaxed);
                    return Ok(response);
                }
                Err(error) => {
                    let again = match &error {
                        ForwardError::Unreachable(_) => {
                            replica.well.store(false, Ordering::Relaxed);
                            true
                        }
                        ForwardError::Lost(_) => repeatable && body.is_whole(),
                        _ => false,
                    };
                    if !again {
                        return Err(error);
                    }
                    failure = Some(error);
                }
            }
        }
        // There is at least one replica, so there was at least one attempt.
        Err(failure.unwrap_or(ForwardError::TimedOut))
    }

    /// Whether a request whose answer got lost may be sent again: only if being done twice is the same as being done
    /// once, also when others act in between as far as can be told.
    fn is_repeatable(&self, parts: &Parts, body: &Body) -> bool {
        let headers = &parts.headers;
        let has_key = self.honours_keys && headers.contains_key(&IDEMPOTENCY_KEY);
        // The first time may have changed what the second time would be held against.
        let is_conditional = CONDITIONS.iter().any(|name| headers.contains_key(name));
        let has_body = body.size_hint().exact() != Some(0);
        has_key || parts.method.is_safe() || (parts.method.is_idempotent() && !has_body && !is_conditional)
    }

    async fn attempt(
        &self,
        replica: &Replica,
        parts: &Parts,
        body: ReplayableBody,
    ) -> Result<Response, ForwardError> {
        let awaited = Arc::new(Continue::default());
        let sent = match parts.headers.contains_key(header::EXPECT) {
            true => body.clone().once_asked_for(Arc::clone(&awaited)),
            false => body.clone(),
        };
        let mut request = Request::new(sent);
        hyper::ext::on_informational(&mut request, move |response| {
            if response.status() == StatusCode::CONTINUE {
                awaited.open();
            }
        });
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = replica.uri(parts.uri.path_and_query())?;
        *request.headers_mut() = parts.headers.clone();
        request.headers_mut().remove(header::HOST);
        match in_time(&body, self.client.request(request)).await? {
            Ok(response) => Ok(response.map(Body::new)),
            Err(error) => Err(match body.failure() {
                Some(failure) => failure,
                None if error.is_connect() => ForwardError::Unreachable(error),
                None => ForwardError::Lost(error),
            }),
        }
    }

    /// The replicas that are well, each one first in its turn; then the others, since they may be back.
    fn by_turns(&self) -> impl Iterator<Item = &Replica> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.replicas.len();
        let (before, after) = self.replicas.split_at(first);
        let turns = || after.iter().chain(before);
        let is_well = |replica: &&Replica| replica.well.load(Ordering::Relaxed);
        let mut order: Vec<_> = turns().filter(is_well).collect();
        if order.len() < self.replicas.len() {
            order.extend(turns().filter(|replica| !is_well(replica)));
        }
        order.into_iter()
    }

    /// Looks after which replicas are ready, for ever.
    pub(crate) async fn watch(&self) {
        loop {
            join_all(self.replicas.iter().map(|replica| async {
                let ready = self.glance(replica, "/health/ready").await.is_ok();
                if replica.well.swap(ready, Ordering::Relaxed) != ready {
                    tracing::info!(upstream.address = %replica.authority, upstream.ready = ready, "a replica changed");
                }
            }))
            .await;
            tokio::time::sleep(WATCH_EVERY).await;
        }
    }

    /// The answer of every replica to a GET of `path`: its address, and the text or why there is none.
    pub(crate) async fn glances(&self, path: &'static str) -> Vec<(&str, Result<String, String>)> {
        let glances = self
            .replicas
            .iter()
            .map(|replica| async { (replica.authority.as_str(), self.glance(replica, path).await) });
        join_all(glances).await
    }

    async fn glance(&self, replica: &Replica, path: &'static str) -> Result<String, String> {
        let glance = async {
            let mut request = Request::new(ReplayableBody::new(Body::empty()));
            *request.uri_mut() = replica
                .uri(Some(&PathAndQuery::from_static(path)))
                .map_err(|error| error.to_string())?;
            let response = self
                .client
                .request(request)
                .await
                .map_err(|error| match error.is_connect() {
                    true => "cannot connect".to_owned(),
                    false => "the connection broke".to_owned(),
                })?;
            read_glance(response.map(Body::new)).await
        };
        timeout(GLANCE_TIMEOUT, glance)
            .await
            .unwrap_or_else(|_| Err(format!("no answer within {} s", GLANCE_TIMEOUT.as_secs())))
    }
}

impl Replica {
    fn new(role: &str, url: &Url) -> anyhow::Result<Self> {
        if url.scheme() != "http"
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
        {
            bail!("{role} cannot be reached at `{url}`: expected an address such as http://127.0.0.1:8081");
        }
        let authority = url.authority().parse();
        let Ok(authority) = authority else {
            bail!("{role} cannot be reached at `{url}`: that names no host")
        };
        Ok(Self {
            authority,
            prefix: url.path().trim_end_matches('/').to_owned(),
            // Until the first look says otherwise.
            well: AtomicBool::new(true),
        })
    }

    fn uri(&self, path: Option<&PathAndQuery>) -> Result<Uri, http::Error> {
        let path = path.map_or("/", PathAndQuery::as_str);
        let builder = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(self.authority.clone());
        builder.path_and_query(format!("{}{path}", self.prefix)).build()
    }
}

/// The text of a good answer; otherwise what it says is wrong.
pub(crate) async fn read_glance(response: Response) -> Result<String, String> {
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), GLANCE_LIMIT)
        .await
        .map_err(|_| "the answer broke off".to_owned())?;
    let text = String::from_utf8(bytes.into()).map_err(|_| "the answer is not text".to_owned())?;
    if status.is_success() {
        Ok(text)
    } else {
        Err(reason(status.as_u16(), &text))
    }
}

/// The names of the checks that failed, in an answer of `/health/ready`.
fn reason(status: u16, text: &str) -> String {
    let answer: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let failed: Vec<_> = answer["checks"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, outcome)| *outcome != "ok")
        .map(|(name, _)| name.as_str())
        .collect();
    if failed.is_empty() {
        format!("it answered {status}")
    } else {
        format!("not ready: {}", failed.join(", "))
    }
}
