//! A keep-alive connection of one person, with as little work as possible besides the request.

use anyhow::{Context, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Mutex};
use uuid::Uuid;

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The text at a JSON Pointer (RFC 6901) in the body.
    pub(crate) fn member(&self, pointer: &str) -> anyhow::Result<String> {
        let body: Value = serde_json::from_slice(&self.body)?;
        let text = body.pointer(pointer).and_then(Value::as_str);
        Ok(text.with_context(|| format!("no {pointer} in {body}"))?.to_owned())
    }
}

/// A person with a session, on a connection of their own.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    email: String,
    host: String,
    tokens: Mutex<Tokens>,
    connection: Mutex<SendRequest<Full<Bytes>>>,
}

/// The tokens of a login or a refresh.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: String,
}

impl Person {
    /// Registers and logs in.
    pub(crate) async fn join(address: &str) -> anyhow::Result<Self> {
        let mut person = Self {
            id: Uuid::nil(),
            email: format!("{}@example.org", Uuid::now_v7()),
            host: address.to_owned(),
            tokens: Mutex::default(),
            connection: Mutex::new(connect(address).await?),
        };
        let body = person.credentials();
        let answer = person.send(Method::POST, "/auth/register", Some(&body), &[]).await?;
        person.id = answer.member("/user/id")?.parse()?;
        person.begin_session().await?;
        Ok(person)
    }

    /// Begins another session, and goes on in it.
    pub(crate) async fn begin_session(&self) -> anyhow::Result<()> {
        let answer = self.log_in().await?;
        self.take_tokens(&answer).await
    }

    /// Opens another session, and keeps the current one.
    pub(crate) async fn log_in(&self) -> anyhow::Result<Answer> {
        self.send(Method::POST, "/auth/login", Some(&self.credentials()), &[]).await
    }

    fn credentials(&self) -> Value {
        json!({"email": self.email, "password": "a rather long passphrase"})
    }

    /// Exchanges the refresh token for new tokens.
    pub(crate) async fn refresh(&self) -> anyhow::Result<()> {
        let body = json!({"refresh_token": self.tokens().await.refresh});
        let answer = self.send(Method::POST, "/auth/refresh", Some(&body), &[]).await?;
        self.take_tokens(&answer).await
    }

    /// Replaces the connection by a new one.
    pub(crate) async fn reconnect(&self) -> anyhow::Result<()> {
        let fresh = connect(&self.host).await?;
        *self.connection.lock().await = fresh;
        Ok(())
    }

    pub(crate) async fn tokens(&self) -> Tokens {
        self.tokens.lock().await.clone()
    }

    /// The session of the access token, which is its claim `sid`. The signature is not verified.
    pub(crate) async fn session_id<T: std::str::FromStr>(&self) -> anyhow::Result<T>
    where
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let token = self.tokens().await.access;
        let claims = token.split('.').nth(1).context("not a JWT")?;
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims)?)?;
        Ok(claims["sid"].as_str().context("no sid")?.parse()?)
    }

    async fn take_tokens(&self, answer: &Answer) -> anyhow::Result<()> {
        *self.tokens.lock().await =
            Tokens { access: answer.member("/access_token")?, refresh: answer.member("/refresh_token")? };
        Ok(())
    }

    /// The same person on a connection to another role.
    pub(crate) async fn at(&self, address: &str) -> anyhow::Result<Self> {
        Ok(Self {
            id: self.id,
            email: self.email.clone(),
            host: address.to_owned(),
            tokens: Mutex::new(self.tokens().await),
            connection: Mutex::new(connect(address).await?),
        })
    }

    /// Sends one request and reads the whole answer, which must be a success.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let answer = self.ask(method, path, body, headers).await?;
        ensure!(
            answer.status.is_success(),
            "{path}: {} {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
        Ok(answer)
    }

    /// Sends one request and reads the whole answer, whatever its status.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder().method(method).uri(path).header("Host", &self.host);
        let token = self.tokens.lock().await.access.clone();
        if !token.is_empty() {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let bytes = match body {
            Some(body) => {
                request = request.header("Content-Type", "application/json");
                serde_json::to_vec(body)?.into()
            }
            None => Bytes::new(),
        };
        let mut connection = self.connection.lock().await;
        if connection.ready().await.is_err() {
            // The server closes idle connections.
            *connection = connect(&self.host).await?;
        }
        let response = connection.send_request(request.body(Full::new(bytes))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }
}

async fn connect(address: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
