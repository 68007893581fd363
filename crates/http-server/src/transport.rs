//! The transport of a connection: TCP, or TLS over it. Knows nothing of HTTP.

use std::{
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BufMut;
use socket2::SockRef;
use tls::ServerTls;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::io::poll_read_buf;

/// The first byte of every TLS connection (RFC 8446, section 5.1), and of no HTTP request.
const HANDSHAKE: u8 = 22;

/// TCP, whose end others may watch. Tokio reads it, since its reading half knows from a read that did not fill the
/// buffer that there is nothing more: that saves a second read, and who watches is woken by the next byte only.
pub(crate) struct Tcp {
    reader: OwnedReadHalf,
    writer: Arc<OwnedWriteHalf>,
}

/// TCP, or TLS over it.
pub(crate) enum Transport {
    Plain(Tcp),
    /// Boxed, since it is much larger.
    Tls(Box<TlsStream<Tcp>>),
}

impl Transport {
    pub(crate) fn plain(stream: TcpStream) -> Self {
        Self::Plain(Tcp::new(stream))
    }

    /// Performs the TLS handshake; a client that begins with something else is served without TLS.
    pub(crate) async fn accept(stream: TcpStream, tls: &ServerTls) -> io::Result<Self> {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            return Ok(Self::plain(stream));
        }
        let accepted = TlsAcceptor::from(tls.current()).accept(Tcp::new(stream)).await?;
        Ok(Self::Tls(Box::new(accepted)))
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The TCP connection, to watch its state.
    pub(crate) fn watched(&self) -> Arc<OwnedWriteHalf> {
        match self {
            Self::Plain(tcp) => Arc::clone(&tcp.writer),
            Self::Tls(tls) => Arc::clone(&tls.get_ref().0.writer),
        }
    }

    /// Reads what the client has sent; 0 bytes are the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => poll_read_buf(Pin::new(&mut tcp.reader), context, buffer),
            Self::Tls(tls) => poll_read_buf(Pin::new(tls.as_mut()), context, buffer),
        }
    }

    /// Reads the bytes of the TCP connection.
    pub(crate) fn poll_read_raw(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_mut().0,
        };
        poll_read_buf(Pin::new(&mut tcp.reader), context, buffer)
    }

    /// The writer of the connection.
    pub(crate) fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Plain(tcp) => Pin::new(tcp),
            Self::Tls(tls) => Pin::new(tls.as_mut()),
        }
    }
}

impl Tcp {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer: Arc::new(writer) }
    }

    fn stream(&self) -> &TcpStream {
        (*self.writer).as_ref()
    }

    fn poll_write_with(
        &self,
        context: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let stream = self.stream();
        loop {
            ready!(stream.poll_write_ready(context))?;
            match write(stream) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write(bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_with(context, |stream| stream.try_write_vectored(slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The system has all that was written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(match SockRef::from(self.stream()).shutdown(Shutdown::Write) {
            // The client has ended it already.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(()),
            ended => ended,
        })
    }
}
