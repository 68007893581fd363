//! A proxy to a server whose connections can be frozen: no bytes pass any more, and neither side is told.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
};
use url::Url;

pub(crate) struct Proxy {
    port: u16,
    /// Increased with each freeze: connections from before are frozen.
    freezes: Arc<watch::Sender<u64>>,
}

impl Proxy {
    pub(crate) async fn to(server: &Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = format!("{}:{}", server.host_str().unwrap(), server.port().unwrap_or(5432));
        let freezes = Arc::new(watch::Sender::new(0));
        let proxy = Self {
            port,
            freezes: Arc::clone(&freezes),
        };
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
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
        self.freezes.send_modify(|freezes| *freezes += 1);
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut freezes: watch::Receiver<u64>) {
    let mut buffer = vec![0; 64 * 1024];
    freezes.borrow_and_update();
    loop {
        tokio::select! {
            biased;
            _ = freezes.changed() => std::future::pending::<()>().await,
            read = from.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(length) => if to.write_all(&buffer[..length]).await.is_err() { return },
            },
        }
    }
}
