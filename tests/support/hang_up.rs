//! Requests whose client hangs up.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::Person;

impl Person {
    /// The bytes of a request.
    fn request_bytes(&self, method: &Method, path: &str, body: Option<Value>) -> String {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let content_type = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n{content_type}Content-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        )
    }

    /// Sends a request on a connection of its own, which is returned.
    pub(crate) async fn send_unread(&self, method: &Method, path: &str, body: Option<Value>) -> TcpStream {
        let mut stream = TcpStream::connect(self.base.trim_start_matches("http://")).await.unwrap();
        let request = self.request_bytes(method, path, body);
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// Sends a request, and resets the connection (RFC 9293, section 3.6) after this time.
    pub(crate) async fn hang_up(&self, method: &Method, path: &str, body: Option<Value>, after: Duration) {
        let stream = self.send_unread(method, path, body).await;
        tokio::time::sleep(after).await;
        stream.set_zero_linger().unwrap();
    }
}
