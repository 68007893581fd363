//! One keep-alive connection and the person who uses it: as little work as possible beside the request.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Mutex};
use uuid::Uuid;

/// What came back.
pub(crate) struct Answer {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The text at a JSON Pointer (RFC 6901) in the body.
    pub(crate) fn member(&self, pointer: &str) -> anyhow::Result<String> {
        let body: Value = serde_json::from_slice(&self.body)?;
        let text = body.pointer(pointer).and_then(Value::as_str);
        Ok(text
            .with_context(|| format!("no {pointer} in {body}"))?
            .to_owned())
    }
}

/// Someone signed in, on a connection of their own.
pub(crate) struct Person {
    pub(crate) id: Uuid,
    host: String,
    token: String,
    connection: Mutex<SendRequest<Full<Bytes>>>,
}

impl Person {
    /// Registers and signs in.
    pub(crate) async fn join(address: &str) -> anyhow::Result<Self> {
        let mut person = Self {
            id: Uuid::nil(),
            host: address.to_owned(),
            token: String::new(),
            connection: Mutex::new(connect(address).await?),
        };
        let body = json!({
            "email": format!("{}@example.org", Uuid::now_v7()),
            "password": "a rather long passphrase",
        });
        let answer = person
            .send(Method::POST, "/auth/register", Some(&body), &[])
            .await?;
        person.id = answer.member("/user/id")?.parse()?;
        let answer = person.send(Method::POST, "/auth/login", Some(&body), &[]).await?;
        person.token = answer.member("/access_token")?;
        Ok(person)
    }

    /// The same person on a connection to another role.
    pub(crate) async fn at(&self, address: &str) -> anyhow::Result<Self> {
        Ok(Self {
            id: self.id,
            host: address.to_owned(),
            token: self.token.clone(),
            connection: Mutex::new(connect(address).await?),
        })
    }

    /// Sends one request and waits for the whole answer, which must be a success.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("Host", &self.host);
        if !self.token.is_empty() {
            request = request.header("Authorization", format!("Bearer {}", self.token));
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
        connection.ready().await?;
        let response = connection.send_request(request.body(Full::new(bytes))?).await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        ensure!(
            parts.status.is_success(),
            "{path}: {} {}",
            parts.status,
            String::from_utf8_lossy(&body)
        );
        Ok(Answer {
            headers: parts.headers,
            body,
        })
    }
}

async fn connect(address: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
