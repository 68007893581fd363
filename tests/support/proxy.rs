//! A TCP proxy that can do to connections what a restart or a bad network does: cut them, slow them down.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream, UnixStream},
    sync::watch,
};

/// Forwards connections to a server until they are cut.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    generation: watch::Sender<u64>,
    delay: watch::Sender<Duration>,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

impl Proxy {
    /// In front of `target`: `host:port`, or the path of a socket.
    pub(crate) async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (generation, watcher) = watch::channel(0);
        let (delay, delayed) = watch::channel(Duration::ZERO);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, delayed) = (target.clone(), delayed.clone());
                let mut cut = watcher.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(server) = connect(&target).await else {
                        return;
                    };
                    client.set_nodelay(true).unwrap();
                    let (from_client, to_client) = split(client);
                    let (from_server, to_server) = split(server);
                    tokio::select! {
                        _ = async { tokio::try_join!(
                            pump(from_client, to_server, &delayed),
                            pump(from_server, to_client, &delayed),
                        ) } => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            generation,
            delay,
        }
    }

    /// Closes every connection there is; new ones are taken at once.
    pub(crate) fn cut(&self) {
        self.generation.send_modify(|generation| *generation += 1);
    }

    /// Holds back whatever arrives from now on for so long.
    pub(crate) fn delay(&self, delay: Duration) {
        self.delay.send_replace(delay);
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

/// One direction, to its end. An error ends the other one, too: what a dead client left open would stay open.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delayed: &watch::Receiver<Duration>,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await?;
        let delay = *delayed.borrow();
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
