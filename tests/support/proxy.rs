//! A TCP proxy that can do to connections what a restart, a bad network or a dead machine does: cut them, slow them
//! down, hold them still, or take away the server without a word.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
    time::Instant,
};

/// Forwards connections to a server until they are cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    switches: Switches,
    recorded: Recording,
}

/// What has gone through, a piece for each direction of each connection, once it is recorded.
type Recording = Arc<Mutex<Option<Vec<Vec<u8>>>>>;

/// What is to happen to connections.
struct Switches {
    cut: watch::Sender<u64>,
    vanish: watch::Sender<u64>,
    conditions: watch::Sender<NetworkConditions>,
}

/// What bytes meet on their way.
#[derive(Clone, Copy)]
struct NetworkConditions {
    delay: Duration,
    /// Connections from before the first instant stand still until the second.
    still: Option<(Instant, Instant)>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Proxy {
    /// In front of `target`: `host:port`, or the path of a socket.
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        let (vanish, vanishings) = watch::channel(0);
        let (conditions, changes) = watch::channel(NetworkConditions {
            delay: Duration::ZERO,
            still: None,
        });
        let recorded = Recording::default();
        let recording = Arc::clone(&recorded);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, mut vanish) = (cuts.clone(), vanishings.clone());
                cut.mark_unchanged();
                vanish.mark_unchanged();
                let line = Line {
                    born: Instant::now(),
                    conditions: changes.clone(),
                    recorded: Arc::clone(&recording),
                };
                let target = target.clone();
                tokio::spawn(async move {
                    let Ok(server) = connect(&target).await else {
                        return;
                    };
                    client.set_nodelay(true).unwrap();
                    let (mut from_client, mut to_client) = split(client);
                    let (mut from_server, mut to_server) = split(server);
                    let server_is_gone = tokio::select! {
                        _ = async { tokio::try_join!(
                            line.pump(&mut from_client, &mut to_server),
                            line.pump(&mut from_server, &mut to_client),
                        ) } => false,
                        _ = cut.changed() => false,
                        _ = vanish.changed() => true,
                    };
                    if server_is_gone {
                        drop((from_server, to_server));
                        // The client goes on talking to a machine that does not answer any more.
                        let mut unheard = vec![0; 16 * 1024];
                        while from_client.read(&mut unheard).await.is_ok_and(|count| count > 0) {}
                    }
                });
            }
        });
        Self {
            address,
            switches: Switches {
                cut,
                vanish,
                conditions,
            },
            recorded,
        }
    }

    /// Keeps what goes through connections that are made from now on.
    pub(crate) fn record(&self) {
        *self.recorded.lock().unwrap() = Some(Vec::new());
    }

    /// What has gone through since it is recorded.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.lock().unwrap().clone().unwrap_or_default()
    }

    /// Closes every connection there is; new ones are taken at once.
    pub(crate) fn cut(&self) {
        self.switches.cut.send_modify(|generation| *generation += 1);
    }

    /// Closes the server's side of every connection there is and leaves the client's open, for ever: as if the server's
    /// machine had lost power and its address had moved to another one.
    pub(crate) fn vanish(&self) {
        self.switches.vanish.send_modify(|generation| *generation += 1);
    }

    /// Every connection there is stands still for this long, whatever it was in the middle of; both sides stay open.
    pub(crate) fn hold_still(&self, lasting: Duration) {
        let now = Instant::now();
        self.switches
            .conditions
            .send_modify(|conditions| conditions.still = Some((now, now + lasting)));
    }

    /// Holds back whatever arrives from now on for so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.switches
            .conditions
            .send_modify(|conditions| conditions.delay = delay);
    }
}

async fn connect(target: &str) -> io::Result<Box<dyn Wire>> {
    if target.starts_with('/') {
        return Ok(Box::new(UnixStream::connect(target).await?));
    }
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

/// A connection.
struct Line {
    born: Instant,
    conditions: watch::Receiver<NetworkConditions>,
    recorded: Recording,
}

impl Line {
    /// One direction, to its end. An error ends the other one, too: what a dead client left open would stay open.
    async fn pump(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut buffer = vec![0; 16 * 1024];
        let piece = self.recorded.lock().unwrap().as_mut().map(|pieces| {
            pieces.push(Vec::new());
            pieces.len() - 1
        });
        loop {
            let count = from.read(&mut buffer).await?;
            if let (Some(piece), Some(pieces)) = (piece, self.recorded.lock().unwrap().as_mut()) {
                pieces[piece].extend_from_slice(&buffer[..count]);
            }
            let NetworkConditions { delay, still } = *self.conditions.borrow();
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            if let Some((since, until)) = still
                && self.born < since
            {
                tokio::time::sleep_until(until).await;
            }
            if count == 0 {
                return to.shutdown().await;
            }
            to.write_all(&buffer[..count]).await?;
        }
    }
}
