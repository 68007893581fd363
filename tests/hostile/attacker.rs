//! Raw connections from an own loopback address.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout, timeout_at},
};

/// Time for one connection to take the bytes of an attacker. What was not taken by then stays in the kernel.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);
/// Time for all connections to be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The status of a connection without an answer.
pub(super) const NO_ANSWER: u16 = 0;

/// What goes on while a well-behaved client is measured.
pub(super) trait Attack {
    /// Repeats what the server has ended.
    async fn go_on(&mut self);

    /// Ends the attack.
    fn stop(&mut self);
}

/// An attack that is over, of which something may have remained.
impl Attack for () {
    async fn go_on(&mut self) {}

    fn stop(&mut self) {}
}

/// Many concurrent connections from one address.
pub(super) struct Attacker {
    from: IpAddr,
    to: SocketAddr,
    /// The first bytes on each connection.
    beginning: Vec<u8>,
    /// Bytes that follow again and again.
    trickle: &'static [u8],
    pub(super) connections: Vec<TcpStream>,
}

impl Attacker {
    /// An attacker at 127.0.9.`number`.
    pub(super) fn new(base: &str, number: u8) -> Self {
        // Each connection needs a file descriptor of this process too.
        runtime::descriptors::raise();
        Self {
            from: [127, 0, 9, number].into(),
            to: base.strip_prefix("http://").unwrap().parse().unwrap(),
            beginning: Vec::new(),
            trickle: b"",
            connections: Vec::new(),
        }
    }

    /// The attacker also sends these bytes on every connection again and again.
    pub(super) fn trickling(self, trickle: &'static [u8]) -> Self {
        Self { trickle, ..self }
    }

    /// Opens `count` more connections, sends `bytes` on each, and returns how many connections were opened. Those that
    /// are refused or closed meanwhile are not counted.
    pub(super) async fn open(&mut self, count: usize, bytes: &[u8]) -> usize {
        self.beginning = bytes.to_vec();
        let before = self.connections.len();
        for _ in 0..count {
            if let Some(stream) = self.connect().await {
                self.connections.push(stream);
            }
        }
        self.connections.len() - before
    }

    async fn connect(&self) -> Option<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(SocketAddr::new(self.from, 0)).unwrap();
        let mut stream = socket.connect(self.to).await.ok()?;
        match timeout(WRITE_TIMEOUT, stream.write_all(&self.beginning)).await {
            Ok(Err(_)) => None,
            Ok(Ok(())) | Err(_) => Some(stream),
        }
    }

    /// The status of each connection's answer, of which only the first bytes are read, or [`NO_ANSWER`].
    pub(super) async fn statuses(&mut self) -> Vec<u16> {
        let deadline = Instant::now() + ANSWER_TIMEOUT;
        let mut statuses = Vec::new();
        for stream in &mut self.connections {
            let mut head = [0; 12];
            statuses.push(match timeout_at(deadline, stream.read_exact(&mut head)).await {
                Ok(Ok(_)) => String::from_utf8_lossy(&head[9..]).parse().unwrap(),
                _ => NO_ANSWER,
            });
        }
        statuses
    }
}

impl Attack for Vec<Attacker> {
    /// Opens again what the server has closed.
    async fn go_on(&mut self) {
        for attacker in self {
            for number in 0..attacker.connections.len() {
                if is_closed(&attacker.connections[number])
                    && let Some(stream) = attacker.connect().await
                {
                    attacker.connections[number] = stream;
                }
                let _ = attacker.connections[number].try_write(attacker.trickle);
            }
        }
    }

    fn stop(&mut self) {
        for attacker in self {
            attacker.connections.clear();
        }
    }
}

/// Whether the server has closed the connection. Nothing is read from it.
fn is_closed(stream: &TcpStream) -> bool {
    match stream.ready(Interest::READABLE).now_or_never() {
        Some(Ok(ready)) => ready.is_read_closed(),
        Some(Err(_)) => true,
        None => false,
    }
}
