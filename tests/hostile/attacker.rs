//! Raw connections from an own loopback address.

use std::net::{IpAddr, SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

/// Many concurrent connections from one address.
pub(super) struct Attacker {
    from: IpAddr,
    to: SocketAddr,
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
            connections: Vec::new(),
        }
    }

    /// Opens `count` more connections and sends `bytes` on each. Connections that are refused or closed are not
    /// counted.
    pub(super) async fn open(&mut self, count: usize, bytes: &[u8]) {
        for _ in 0..count {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            socket.bind(SocketAddr::new(self.from, 0)).unwrap();
            let Ok(mut stream) = socket.connect(self.to).await else {
                continue;
            };
            if stream.write_all(bytes).await.is_ok() {
                self.connections.push(stream);
            }
        }
    }

    /// Sends `bytes` on every open connection.
    pub(super) async fn trickle(&mut self, bytes: &[u8]) {
        for stream in &mut self.connections {
            let _ = stream.write_all(bytes).await;
        }
    }

    /// The statuses of the answers so far, of which only the first bytes are read.
    pub(super) async fn statuses(&mut self) -> Vec<u16> {
        let mut statuses = Vec::new();
        for stream in &mut self.connections {
            let mut head = [0; 12];
            if let Ok(Ok(_)) =
                tokio::time::timeout(std::time::Duration::from_secs(20), stream.read_exact(&mut head)).await
            {
                statuses.push(String::from_utf8_lossy(&head[9..]).parse().unwrap());
            }
        }
        statuses
    }
}
