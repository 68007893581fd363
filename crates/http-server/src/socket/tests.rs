//! The patience of a socket with its client.

use tokio::{net::TcpListener, task::coop::consume_budget};

use super::*;

#[tokio::test]
async fn a_client_that_keeps_its_task_busy_gets_no_more_time() {
    let limit = Duration::from_millis(10);
    let timeouts = Timeouts { head: limit, idle: limit, write: limit, answer: limit };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let transport = Transport::plain(stream);
    let mut socket = Socket::new(transport, HeadLimits::OF_CLIENTS, timeouts, Activity::new());
    poll_fn(|context| {
        assert!(socket.poll_patience(context).is_pending());
        Poll::Ready(())
    })
    .await;
    tokio::time::sleep(2 * limit).await;
    poll_fn(|context| {
        while Box::pin(consume_budget()).as_mut().poll(context).is_ready() {}
        assert!(socket.poll_patience(context).is_ready());
        Poll::Ready(())
    })
    .await;
}
