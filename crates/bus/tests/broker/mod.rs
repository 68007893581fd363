//! A RabbitMQ namespace for one test, and a proxy in front of the broker that can cut connections.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use bus::{Bus, RabbitBus, RabbitOptions};
use futures::FutureExt;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
    types::ShortString,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::broadcast,
    task::AbortHandle,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::conformance::TestBroker;

/// The URL of the broker.
pub(crate) fn url() -> String {
    std::env::var("AMQP_URL").unwrap_or_else(|_| "amqp://guest:guest@127.0.0.1:5672/%2f".into())
}

/// A namespace on the broker.
pub(crate) struct Broker {
    pub(crate) namespace: String,
    /// A direct connection to the broker, without the bus.
    pub(crate) raw: Connection,
}

impl Broker {
    async fn new() -> Self {
        let raw = Connection::connect(&url(), ConnectionProperties::default()).await.unwrap_or_else(|error| {
            panic!("These tests need RabbitMQ 3.10 or newer, at AMQP_URL or on 127.0.0.1:5672 as guest: {error}")
        });
        Self { namespace: format!("test-{}", Uuid::now_v7().simple()), raw }
    }

    pub(crate) async fn connect(&self, url: &str) -> Arc<RabbitBus> {
        let options =
            RabbitOptions { name: format!("test of {}", self.namespace), namespace: self.namespace.clone() };
        RabbitBus::connect(url, options).await.unwrap()
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.raw.create_channel().await.unwrap()
    }

    /// The queue of a partition of four.
    pub(crate) fn queue(&self, partition: u16) -> ShortString {
        format!("{}.projector.{partition}-of-4", self.namespace).into()
    }

    pub(crate) async fn delete_queue(&self, queue: ShortString) {
        let deleted = self.channel().await.queue_delete(queue, QueueDeleteOptions::default()).await;
        deleted.unwrap();
    }

    async fn clean(&self) {
        for count in [1, 2, 4] {
            for partition in 0..count {
                let queue = format!("{}.projector.{partition}-of-{count}", self.namespace);
                self.delete_queue(queue.into()).await;
            }
        }
        let channel = self.channel().await;
        for exchange in ["events", "requests", "broadcast.news", "broadcast.weather"] {
            let exchange = format!("{}.{exchange}", self.namespace);
            channel.exchange_delete(exchange.into(), ExchangeDeleteOptions::default()).await.unwrap();
        }
    }
}

#[async_trait]
impl TestBroker for Broker {
    async fn bus(&self) -> Arc<dyn Bus> {
        self.connect(&url()).await
    }

    fn bytes_kept(&self) -> usize {
        32 * 1024 * 1024
    }
}

/// Runs `test` with a namespace and removes it afterwards, also when the test fails.
pub(crate) async fn with_broker(test: impl AsyncFnOnce(&Broker)) {
    let broker = Broker::new().await;
    let outcome = std::panic::AssertUnwindSafe(test(&broker)).catch_unwind().await;
    broker.clean().await;
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub(crate) async fn with(test: impl AsyncFnOnce(&dyn TestBroker)) {
    with_broker(async |broker| test(broker).await).await;
}

/// A TCP proxy before the broker.
pub(crate) struct Proxy {
    port: u16,
    state: Arc<State>,
    accepting: AbortHandle,
}

struct State {
    lets_in: AtomicBool,
    /// Cancelled to cut all connections.
    cut: std::sync::Mutex<CancellationToken>,
    /// Cancelled to let no more bytes of the broker through on all connections.
    silence: std::sync::Mutex<CancellationToken>,
    /// What each client sent last before it hung up.
    last_words: std::sync::Mutex<Vec<Vec<u8>>>,
    /// Bytes that are sent to clients as if by the broker.
    whisper: broadcast::Sender<Vec<u8>>,
}

/// Carries bytes both ways until the client hangs up.
async fn forward(client: &mut TcpStream, server: &mut TcpStream, state: &State) {
    let mut whisper = state.whisper.subscribe();
    let silence = state.silence.lock().unwrap().clone();
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let mut last = Vec::new();
    let up = async {
        let mut buffer = [0; 16 * 1024];
        loop {
            match from_client.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(n) => {
                    last = buffer[..n].to_vec();
                    if to_server.write_all(&last).await.is_err() {
                        return;
                    }
                }
            }
        }
    };
    let down = async {
        let mut buffer = [0; 16 * 1024];
        loop {
            let said = tokio::select! {
                () = silence.cancelled() => std::future::pending().await,
                read = from_server.read(&mut buffer) => match read {
                    // The client notices by itself.
                    Ok(0) | Err(_) => std::future::pending().await,
                    Ok(n) => buffer[..n].to_vec(),
                },
                Ok(said) = whisper.recv() => said,
            };
            if to_client.write_all(&said).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = up => {}
        () = down => {}
    }
    state.last_words.lock().unwrap().push(last);
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        let uri: lapin::uri::AMQPUri = url().parse().unwrap();
        let broker = (uri.authority.host, uri.authority.port);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            lets_in: AtomicBool::new(true),
            cut: std::sync::Mutex::default(),
            silence: std::sync::Mutex::default(),
            last_words: std::sync::Mutex::default(),
            whisper: broadcast::Sender::new(16),
        });
        let accepting = tokio::spawn({
            let state = state.clone();
            async move {
                loop {
                    let (mut client, _) = listener.accept().await.unwrap();
                    let cut = state.cut.lock().unwrap().clone();
                    if !state.lets_in.load(Ordering::SeqCst) {
                        continue;
                    }
                    let mut server = TcpStream::connect((broker.0.as_str(), broker.1)).await.unwrap();
                    for stream in [&client, &server] {
                        stream.set_nodelay(true).unwrap();
                    }
                    let state = state.clone();
                    tokio::spawn(cut.run_until_cancelled_owned(async move {
                        forward(&mut client, &mut server, &state).await;
                    }));
                }
            }
        });
        Self { port, state, accepting: accepting.abort_handle() }
    }

    /// The broker's URL by way of this proxy.
    pub(crate) fn url(&self) -> String {
        let mut url = url::Url::parse(&url()).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url.into()
    }

    /// Cuts every connection. New ones are let in at once.
    pub(crate) fn cut(&self) {
        std::mem::take(&mut *self.state.cut.lock().unwrap()).cancel();
    }

    /// Keeps the broker's bytes from every connection, which stays open. New ones work.
    pub(crate) fn silence(&self) {
        std::mem::take(&mut *self.state.silence.lock().unwrap()).cancel();
    }

    /// Cuts every connection and refuses new ones until [`Self::let_in`].
    pub(crate) fn shut(&self) {
        self.state.lets_in.store(false, Ordering::SeqCst);
        self.cut();
    }

    /// What each client that has hung up sent last.
    pub(crate) fn last_words(&self) -> Vec<Vec<u8>> {
        self.state.last_words.lock().unwrap().clone()
    }

    /// Tells every client, between two frames of the broker, that it accepts no messages, or that it does again.
    pub(crate) fn alarm(&self, raised: bool) {
        let method: &[u8] = if raised { b"\x00\x0a\x00\x3c\x03low" } else { b"\x00\x0a\x00\x3d" };
        let mut frame = vec![1, 0, 0];
        frame.extend(u32::try_from(method.len()).unwrap().to_be_bytes());
        frame.extend(method);
        frame.push(0xce);
        let _ = self.state.whisper.send(frame);
    }

    pub(crate) fn let_in(&self) {
        self.state.lets_in.store(true, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}
