//! The HTTP client of one replica: sends a request over a connection that is there, or over a new one.

use std::sync::Arc;

use http::{
    HeaderValue, Request, Response, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};
use tokio::{runtime::Handle, time::Instant};

use super::{
    answer_body::AnswerBody, connection::Connection, connector::Connector, idle_connections::IdleConnections,
    replayable_body::ReplayableBody,
};
use crate::error::ForwardError;

/// The client of one replica, with its connections.
pub(super) struct Client {
    connector: Connector,
    /// Where it connects to.
    destination: Uri,
    host: HeaderValue,
    idle: Arc<IdleConnections>,
}

impl Client {
    /// A client without a connection.
    ///
    /// # Errors
    /// When `authority` is none that a request can name.
    pub(super) fn new(
        connector: &Connector,
        scheme: Scheme,
        authority: &Authority,
    ) -> Result<Self, http::Error> {
        let destination = Uri::builder().scheme(scheme).authority(authority.clone());
        Ok(Self {
            connector: connector.clone(),
            destination: destination.path_and_query("/").build()?,
            host: HeaderValue::from_str(authority.as_str())?,
            idle: Arc::default(),
        })
    }

    /// Sends a request, whose URI is the path alone, and returns the head of its answer. What was not sent because the replica had
    /// closed the connection is sent over another one.
    ///
    /// # Errors
    /// [`ForwardError::Unreachable`] when there is no connection to be had, and [`ForwardError::Lost`] when one broke.
    pub(super) async fn request(
        &self,
        mut request: Request<ReplayableBody>,
    ) -> Result<Response<AnswerBody>, ForwardError> {
        request.headers_mut().insert(HOST, self.host.clone());
        let runtime = Handle::current().id();
        loop {
            let (connection, is_new) = match self.idle.take(runtime) {
                Some(connection) => (connection, false),
                None => (Box::pin(self.connect()).await?, true),
            };
            match connection.exchange(request).await {
                Ok((response, connection)) => {
                    return Ok(response.map(|body| AnswerBody::new(body, connection, Arc::clone(&self.idle))));
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) if !is_new => request = unsent,
                    _ => return Err(ForwardError::Lost(error.into_error())),
                },
            }
        }
    }

    /// Closes the connections that are of no use any more.
    pub(super) fn tidy(&self, now: Instant) {
        self.idle.tidy(now);
    }

    async fn connect(&self) -> Result<Connection, ForwardError> {
        let stream = self.connector.connect(self.destination.clone()).await;
        let connection = Connection::over(stream.map_err(ForwardError::Unreachable)?).await;
        connection.map_err(|error| ForwardError::Unreachable(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        io::{Read as _, Write as _},
        net::{SocketAddr, TcpListener, TcpStream},
        sync::mpsc::{Receiver, channel},
        thread,
        time::Duration,
    };

    use axum::body::Body;
    use bytes::Bytes;
    use http_body_util::BodyExt as _;
    use tokio::{runtime::Builder, task::yield_now, time::timeout};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);
    const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

    /// A replica whose connections are each served by `serve` in a thread. It tells of each when it has been accepted, and again
    /// when it has been closed.
    fn replica(
        serve: impl Fn(&mut TcpStream) + Clone + Send + 'static,
    ) -> (Client, Receiver<()>, Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ((accepted, connections), (closed, ends)) = (channel(), channel());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (serve, closed, mut stream) = (serve.clone(), closed.clone(), stream.unwrap());
                let _ = accepted.send(());
                thread::spawn(move || {
                    serve(&mut stream);
                    drop(stream);
                    let _ = closed.send(());
                });
            }
        });
        (client_of(address), connections, ends)
    }

    fn client_of(address: SocketAddr) -> Client {
        let connector = Connector::believing(None).unwrap();
        Client::new(&connector, Scheme::HTTP, &address.to_string().parse().unwrap()).unwrap()
    }

    /// Whether another part of a request has come, and not the end of the connection.
    fn hears(stream: &mut TcpStream) -> bool {
        stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0)
    }

    fn answers_ok(stream: &mut TcpStream) {
        while hears(stream) {
            stream.write_all(OK.as_bytes()).unwrap();
        }
    }

    fn request(method: &str, body: Body) -> Request<ReplayableBody> {
        let builder = Request::builder().method(method).uri("/");
        builder.body(ReplayableBody::new(body)).unwrap()
    }

    async fn is_ok(client: &Client, method: &str) -> bool {
        let answer = client.request(request(method, Body::empty())).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes() == "ok"
    }

    /// A body that goes on for ever, after these bytes.
    fn endless(start: &'static str) -> Body {
        let rest = futures::stream::pending();
        let start = futures::stream::iter([Ok::<_, Infallible>(Bytes::from(start))]);
        Body::from_stream(futures::StreamExt::chain(start, rest))
    }

    #[test]
    fn a_connection_is_used_again_by_its_own_runtime_alone() {
        let (client, connections, _) = replica(answers_ok);
        let runtimes = [(); 2].map(|()| Builder::new_current_thread().enable_all().build().unwrap());
        for round in 0..3 {
            for runtime in &runtimes {
                assert!(runtime.block_on(is_ok(&client, "GET")));
            }
            let expected = if round == 0 { 2 } else { 0 };
            assert_eq!(connections.try_iter().count(), expected, "in round {round}");
        }
    }

    #[tokio::test]
    async fn what_a_closed_connection_does_not_take_is_sent_over_another_one() {
        let (client, connections, ends) = replica(|stream| {
            hears(stream);
            stream.write_all(OK.as_bytes()).unwrap();
        });
        for _ in 0..3 {
            // Also what may not be sent twice.
            assert!(is_ok(&client, "POST").await);
            ends.recv_timeout(DEADLINE).unwrap();
            yield_now().await;
        }
        assert_eq!(connections.try_iter().count(), 3);
    }

    #[tokio::test]
    async fn what_a_connection_took_before_it_broke_is_not_sent_again() {
        let (client, connections, _) = replica(|stream| {
            hears(stream);
            stream.write_all(OK.as_bytes()).unwrap();
            hears(stream);
        });
        assert!(is_ok(&client, "POST").await);
        let broken = client.request(request("POST", Body::empty())).await;
        assert!(matches!(broken.map(drop), Err(ForwardError::Lost(_))));
        assert_eq!(connections.try_iter().count(), 1);
    }

    #[tokio::test]
    async fn connections_that_were_closed_or_not_used_for_long_are_not_kept() {
        let (client, _, ends) = replica(|stream| {
            hears(stream);
            stream.write_all(OK.as_bytes()).unwrap();
        });
        assert!(is_ok(&client, "GET").await);
        ends.recv_timeout(DEADLINE).unwrap();
        yield_now().await;
        client.tidy(Instant::now());
        assert_eq!(client.idle.count(), 0);

        let (client, _, ends) = replica(answers_ok);
        assert!(is_ok(&client, "GET").await);
        client.tidy(Instant::now());
        assert_eq!(client.idle.count(), 1);
        client.tidy(Instant::now() + Duration::from_secs(60));
        ends.recv_timeout(DEADLINE).unwrap();
    }

    #[tokio::test]
    async fn a_body_comes_as_it_is_sent_and_its_connection_is_used_again() {
        let (go_on, goes_on) = channel();
        let goes_on = Arc::new(std::sync::Mutex::new(goes_on));
        let (client, connections, _) = replica(move |stream| {
            while hears(stream) {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n";
                stream.write_all(head.as_bytes()).unwrap();
                goes_on.lock().unwrap().recv().unwrap();
                stream.write_all(b"3\r\ntwo\r\n0\r\n\r\n").unwrap();
            }
        });
        for _ in 0..2 {
            let answer = client.request(request("GET", Body::empty())).await.unwrap();
            let mut body = answer.into_body();
            let first = body.frame().await.unwrap().unwrap();
            assert_eq!(first.into_data().unwrap(), "one");
            assert_eq!(client.idle.count(), 0);
            go_on.send(()).unwrap();
            assert_eq!(body.collect().await.unwrap().to_bytes(), "two");
            assert_eq!(client.idle.count(), 1);
        }
        assert_eq!(connections.try_iter().count(), 1);
    }

    #[tokio::test]
    async fn a_large_body_comes_whole() {
        let parts = 400_u64;
        let (client, ..) = replica(move |stream| {
            while hears(stream) {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", parts * 10_000);
                stream.write_all(head.as_bytes()).unwrap();
                for _ in 0..parts {
                    stream.write_all(&[b'x'; 10_000]).unwrap();
                }
            }
        });
        let answer = client.request(request("GET", Body::empty())).await.unwrap();
        let body = timeout(DEADLINE, answer.into_body().collect()).await.unwrap();
        assert_eq!(body.unwrap().to_bytes().len() as u64, parts * 10_000);
        assert_eq!(client.idle.count(), 1);
    }

    #[tokio::test]
    async fn a_connection_ends_with_a_request_that_is_given_up() {
        let (client, connections, ends) = replica(|stream| while hears(stream) {});
        let waiting = client.request(request("GET", Body::empty()));
        tokio::select! {
            _ = waiting => panic!("nobody answers"),
            () = async {
                while connections.try_recv().is_err() {
                    yield_now().await;
                }
            } => {}
        }
        ends.recv_timeout(DEADLINE).unwrap();
    }

    #[tokio::test]
    async fn a_connection_ends_with_an_answer_that_is_given_up() {
        let (client, _, ends) = replica(|stream| {
            hears(stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart");
            while hears(stream) {}
        });
        let answer = client.request(request("GET", Body::empty())).await.unwrap();
        let mut body = answer.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
        drop(body);
        ends.recv_timeout(DEADLINE).unwrap();
        assert_eq!(client.idle.count(), 0);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_no_whole_one() {
        let (client, ..) = replica(|stream| {
            hears(stream);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart");
        });
        let answer = client.request(request("GET", Body::empty())).await.unwrap();
        assert!(answer.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn an_answer_before_the_end_of_the_request_is_passed_on_and_ends_the_connection() {
        let (client, _, ends) = replica(|stream| {
            hears(stream);
            stream.write_all(OK.as_bytes()).unwrap();
            while hears(stream) {}
        });
        let answer = client.request(request("POST", endless("part"))).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ok");
        ends.recv_timeout(DEADLINE).unwrap();
        assert_eq!(client.idle.count(), 0);
    }

    #[tokio::test]
    async fn a_replica_that_is_away_is_unreachable() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let away = client_of(address).request(request("GET", Body::empty())).await;
        assert!(matches!(away.map(drop), Err(ForwardError::Unreachable(_))));
    }
}
