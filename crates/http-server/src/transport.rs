//! The transport of a connection: TCP, or TLS over it. Knows nothing of HTTP.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::BufMut;
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

/// TCP, whose reading half others may watch.
pub(crate) struct Tcp {
    reader: Arc<OwnedReadHalf>,
    writer: OwnedWriteHalf,
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

    /// The reading half of the TCP connection.
    pub(crate) fn raw_reader(&self) -> &Arc<OwnedReadHalf> {
        match self {
            Self::Plain(tcp) => &tcp.reader,
            Self::Tls(tls) => &tls.get_ref().0.reader,
        }
    }

    /// Reads what the client has sent; 0 bytes are the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(tcp) => poll_read_raw(&tcp.reader, context, buffer),
            Self::Tls(tls) => poll_read_buf(Pin::new(tls.as_mut()), context, buffer),
        }
    }

    /// The writer of the connection.
    pub(crate) fn writer(&mut self) -> Pin<&mut (dyn AsyncWrite + Send + Unpin)> {
        match self {
            Self::Plain(tcp) => Pin::new(&mut tcp.writer),
            Self::Tls(tls) => Pin::new(tls.as_mut()),
        }
    }
}

/// Reads the bytes of the TCP connection.
pub(crate) fn poll_read_raw(
    reader: &OwnedReadHalf,
    context: &mut Context<'_>,
    buffer: &mut impl BufMut,
) -> Poll<io::Result<usize>> {
    let stream: &TcpStream = reader.as_ref();
    loop {
        ready!(stream.poll_read_ready(context))?;
        match stream.try_read_buf(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return Poll::Ready(read),
        }
    }
}

impl Tcp {
    fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            reader: Arc::new(reader),
            writer,
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        poll_read_raw(&self.reader, context, buffer).map_ok(|_| ())
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.writer.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}
