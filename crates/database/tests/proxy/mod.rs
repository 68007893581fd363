//! A proxy to a server whose connections can be frozen: no bytes pass, and neither side is told, until they thaw.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};
use url::Url;

pub(crate) struct Proxy {
    port: u16,
    freezes: Arc<watch::Sender<Freezes>>,
    accepted: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Default)]
struct Freezes {
    made: u64,
    /// How many of them are over.
    over: u64,
}

impl Freezes {
    /// Whether a connection is frozen that was opened after the first `before` of them.
    fn stop(self, before: u64) -> bool {
        self.made > before.max(self.over)
    }
}

impl Proxy {
    pub(crate) async fn to(server: &Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = format!("{}:{}", server.host_str().unwrap(), server.port().unwrap_or(5432));
        let freezes = Arc::new(watch::Sender::new(Freezes::default()));
        let accepted = Arc::new(AtomicU64::new(0));
        let proxy = Self { port, freezes: Arc::clone(&freezes), accepted: Arc::clone(&accepted) };
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::Relaxed);
                let server = TcpStream::connect(&target).await.unwrap();
                let (client, server) = (client.into_split(), server.into_split());
                tokio::spawn(pass(client.0, server.1, freezes.subscribe()));
                tokio::spawn(pass(server.0, client.1, freezes.subscribe()));
            }
        });
        proxy
    }

    pub(crate) fn url(&self, server: &Url) -> Url {
        let mut url = server.clone();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.port)).unwrap();
        url
    }

    /// Freezes the existing connections; new ones work.
    pub(crate) fn freeze(&self) {
        self.freezes.send_modify(|freezes| freezes.made += 1);
    }

    /// Delivers what the frozen connections have held back.
    pub(crate) fn thaw(&self) {
        self.freezes.send_modify(|freezes| freezes.over = freezes.made);
    }

    /// How many connections there have been.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut freezes: watch::Receiver<Freezes>) {
    let mut buffer = vec![0; 64 * 1024];
    let before = freezes.borrow_and_update().made;
    loop {
        let _ = freezes.wait_for(|freezes| !freezes.stop(before)).await;
        tokio::select! {
            biased;
            _ = freezes.changed() => {}
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => if to.write_all(&buffer[..length]).await.is_err() { return },
            },
        }
    }
}
