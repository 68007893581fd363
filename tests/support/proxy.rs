//! A TCP proxy that affects connections as restarts, bad networks and dead machines do: it closes them, slows them
//! down, freezes them, or drops the server side without notice.

use std::{
    io, mem,
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
use url::Url;

/// Forwards connections to a server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    switches: Switches,
    recorded: Recording,
}

/// The bytes of each direction of each connection, if recording is on.
type Recording = Arc<Mutex<Option<Vec<Vec<u8>>>>>;

/// Switches that affect connections.
struct Switches {
    cut: watch::Sender<u64>,
    /// Watched by each connection that still has its server side.
    vanish: Arc<Mutex<watch::Sender<()>>>,
    conditions: watch::Sender<NetworkConditions>,
}

/// Delays and freezes of connections.
#[derive(Clone, Copy)]
struct NetworkConditions {
    delay: Duration,
    /// Connections made before the first instant are frozen until the second.
    still: Option<(Instant, Instant)>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Proxy {
    /// Starts a proxy in front of `target`, which is `host:port` or the path of a socket.
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (cut, cuts) = watch::channel(0);
        let vanish = Arc::new(Mutex::new(watch::Sender::new(())));
        let vanishing = Arc::clone(&vanish);
        let (conditions, changes) = watch::channel(NetworkConditions { delay: Duration::ZERO, still: None });
        let recorded = Recording::default();
        let recording = Arc::clone(&recorded);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (mut cut, mut vanish) = (cuts.clone(), vanishing.lock().unwrap().subscribe());
                cut.mark_unchanged();
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
                        drop((from_server, to_server, vanish));
                        // The client keeps sending to a server that no longer answers.
                        let mut unheard = vec![0; 16 * 1024];
                        while from_client.read(&mut unheard).await.is_ok_and(|count| count > 0) {}
                    }
                });
            }
        });
        Self { address, switches: Switches { cut, vanish, conditions }, recorded }
    }

    /// Records the bytes of connections that are made from now on.
    pub(crate) fn record(&self) {
        *self.recorded.lock().unwrap() = Some(Vec::new());
    }

    /// The recorded bytes.
    pub(crate) fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.lock().unwrap().clone().unwrap_or_default()
    }

    /// Closes all connections. New ones are accepted at once.
    pub(crate) fn cut(&self) {
        self.switches.cut.send_modify(|generation| *generation += 1);
    }

    /// Closes the server side of all connections and leaves the client side open for ever, as if the server's machine
    /// had lost power and another one had taken over its address. Afterwards no answer passes on these connections.
    pub(crate) async fn vanish(&self) {
        // Connections that are made from now on watch another switch.
        let switch = mem::replace(&mut *self.switches.vanish.lock().unwrap(), watch::Sender::new(()));
        switch.send_replace(());
        switch.closed().await;
    }

    /// Freezes all connections for this long. Both sides stay open.
    pub(crate) fn hold_still(&self, lasting: Duration) {
        let now = Instant::now();
        self.switches.conditions.send_modify(|conditions| conditions.still = Some((now, now + lasting)));
    }

    /// Delays all data that arrives from now on.
    pub(crate) fn delay(&self, delay: Duration) {
        self.switches.conditions.send_modify(|conditions| conditions.delay = delay);
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

/// A proxied connection.
struct Line {
    born: Instant,
    conditions: watch::Receiver<NetworkConditions>,
    recorded: Recording,
}

impl Line {
    /// Forwards one direction to its end. An error closes the other direction too, which a dead client would
    /// otherwise leave open.
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

/// A proxy in front of the server of `url`, and the URL through it.
pub(super) async fn in_front_of(url: &str, usual_port: u16) -> (Proxy, String) {
    let mut url = Url::parse(url).unwrap();
    let port = url.port().unwrap_or(usual_port);
    let socket = url
        .query_pairs()
        .find(|(name, _)| name == "host")
        .map(|(_, directory)| format!("{directory}/.s.PGSQL.{port}"));
    let proxy = match socket {
        Some(socket) => {
            url.set_query(None);
            Proxy::start(socket).await
        }
        None => Proxy::start(format!("{}:{port}", url.host_str().unwrap())).await,
    };
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(proxy.address.port())).unwrap();
    (proxy, url.to_string())
}
