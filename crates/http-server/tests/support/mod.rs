//! A server over real sockets, and a client that sends bytes.

#![expect(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, HttpBody},
    extract::{ConnectInfo, Path},
    routing::{any, get, post},
};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http_api::{Health, JsonObject, with_middleware};
use http_server::{ServerOptions, Workers, bind, serve};
use hyper::body::Frame;
use runtime::Metrics;
use test_support::until;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// The time limit of a test's wait.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// The bytes that the system holds in each direction of a connection with small buffers, which it may double.
const SMALL_BUFFER: u32 = 4096;
/// A short limit for a server under test.
pub const SHORT: Duration = Duration::from_millis(300);

pub struct Server {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
    pub metrics: Metrics,
    /// Lets the handlers of `/gate` answer.
    pub gate: Arc<Notify>,
    /// Told when a handler of `/gate` has begun.
    pub begun: Arc<Notify>,
    /// Counts the handlers of `/gate` that came to their end.
    pub ended: watch::Sender<usize>,
    /// Counts the handlers of `/gate` and the answers of `/stream/…` that were dropped.
    pub gone: watch::Sender<usize>,
}

/// Increases the count when it is dropped.
struct Counted(watch::Sender<usize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

/// The body of an answer whose second part never comes.
struct Waiting {
    first: Option<Bytes>,
    _gone: Counted,
}

impl HttpBody for Waiting {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
            None => Poll::Pending,
        }
    }
}

impl Server {
    pub async fn start(options: ServerOptions) -> Self {
        Self::start_on(bind("127.0.0.1:0".parse().unwrap()).await.unwrap(), options)
    }

    /// On its connections the system holds little of an answer; see also [`Self::connect_with_small_buffer`].
    pub fn start_with_small_buffers(options: ServerOptions) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // Accepted connections have it, too.
        socket.set_send_buffer_size(SMALL_BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self::start_on(socket.listen(1024).unwrap(), options)
    }

    /// Uses workers, as for strangers; tests of roles do without.
    fn start_on(listener: TcpListener, mut options: ServerOptions) -> Self {
        options.workers.get_or_insert_with(|| Workers::start().unwrap());
        let (gate, begun) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (opens, begins) = (Arc::clone(&gate), Arc::clone(&begun));
        let (ended, gone) = (watch::Sender::new(0), watch::Sender::new(0));
        let (ends, goes) = (ended.clone(), gone.clone());
        let gated = move || {
            let (opens, begins) = (Arc::clone(&opens), Arc::clone(&begins));
            let (ends, goes) = (ends.clone(), goes.clone());
            async move {
                let _gone = Counted(goes);
                begins.notify_one();
                opens.notified().await;
                ends.send_modify(|count| *count += 1);
                "through"
            }
        };
        let streams = gone.clone();
        let stream = move |Path(kind): Path<String>| async move {
            let body = Waiting { first: Some(Bytes::from_static(b"first")), _gone: Counted(streams) };
            ([(CONTENT_TYPE, kind.replace('_', "/"))], Body::new(body))
        };
        let router = Router::new()
            .route("/", get(|| async { "hello" }))
            .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }))
            .route("/thread", get(|| async { thread::current().name().unwrap().to_owned() }))
            .route(
                "/echo",
                post(|object: JsonObject| async move {
                    // As long as the sent text, if that had no spaces.
                    serde_json::to_string(&object.fields).unwrap().len().to_string()
                }),
            )
            .route("/endless", any(|| async { "x".repeat(64 * 1024 * 1024) }))
            .route(
                "/megabytes/{count}",
                get(|Path(count): Path<usize>| async move { "x".repeat(count << 20) }),
            )
            .route("/stream/{kind}", get(stream))
            .route("/gate", get(gated.clone()).post(gated));
        let metrics = Metrics::new("test");
        let router = with_middleware(router, "test", &metrics, Health::new());
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(listener, router, options, stop.clone()));
        Self { address, stop, task, metrics, gate, begun, ended, gone }
    }

    pub async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// A client for which the system holds little that it has not read.
    pub async fn connect_with_small_buffer(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(SMALL_BUFFER).unwrap();
        Client(socket.connect(self.address).await.unwrap())
    }

    /// A client whose `request` for `/gate` has begun.
    pub async fn client_at_gate(&self, request: impl AsRef<[u8]>) -> Client {
        let mut client = self.connect().await;
        client.send(request).await;
        self.begun.notified().await;
        client
    }

    /// Asks again and again until there is room for the answer.
    pub async fn until_there_is_room(&self, path: &str) {
        let what = format!("room for {path}");
        until(&what, DEADLINE, async || self.status(path).await == 200).await;
    }

    /// The status of the answer to a `GET` on a new connection.
    pub async fn status(&self, path: &str) -> u16 {
        let mut client = self.connect().await;
        client.send(get_of(path)).await;
        client.answer().await.0
    }
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Closes the client's side, so that it sends no more requests.
    pub async fn half_close(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Makes closing the connection a reset, as when the client's machine has lost it.
    pub fn reset(&mut self) {
        self.0.set_zero_linger().unwrap();
    }

    /// Reads until `text` has come.
    pub async fn until(&mut self, text: &str) {
        let mut seen = Vec::new();
        let reading = async {
            while !seen.ends_with(text.as_bytes()) {
                seen.push(self.0.read_u8().await.unwrap());
            }
        };
        timeout(DEADLINE, reading).await.expect("in time");
    }

    /// Reads this many bytes, and returns whether there were so many before the end of the connection.
    pub async fn take(&mut self, count: usize) -> bool {
        let mut bytes = vec![0; count];
        let reading = timeout(DEADLINE, self.0.read_exact(&mut bytes));
        reading.await.expect("in time").is_ok()
    }

    /// Reads exactly `text`.
    pub async fn expect(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        timeout(DEADLINE, self.0.read_exact(&mut bytes)).await.expect("an answer").unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), text);
    }

    /// Everything up to the end of the connection.
    pub async fn rest(mut self) -> String {
        let mut bytes = Vec::new();
        timeout(DEADLINE, self.0.read_to_end(&mut bytes)).await.expect("the connection ends").unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// The status and the body of one answer that has a length.
    pub async fn answer(&mut self) -> (u16, String) {
        timeout(DEADLINE, self.read_answer()).await.expect("an answer")
    }

    async fn read_answer(&mut self) -> (u16, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
    }
}

pub fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")
}

pub fn short() -> ServerOptions {
    ServerOptions {
        header_timeout: SHORT,
        idle_timeout: SHORT,
        stall_timeout: SHORT,
        ..ServerOptions::default()
    }
}
