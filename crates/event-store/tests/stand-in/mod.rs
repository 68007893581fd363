//! A stand-in for a KurrentDB server: it speaks the protocol, keeps the log in memory and can fail on demand. It
//! behaves as the real one does where Taskledger relies on it, and is strict where the real one may be lenient.

mod convert;
mod log;
mod service;
mod wire;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use self::{log::Log, service::Faults};

/// The largest message it takes.
const MAX_MESSAGE_BYTES: usize = 17 << 20;

/// A server with a log of its own.
pub(crate) struct StandIn {
    address: SocketAddr,
    log: Arc<Log>,
    faults: Arc<Faults>,
    /// The connections die with it.
    runtime: Option<Runtime>,
}

impl StandIn {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let mut server = Self {
            address: listener.local_addr().expect("an address"),
            log: Arc::default(),
            faults: Arc::default(),
            runtime: None,
        };
        server.serve(listener);
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Breaks all connections and refuses new ones.
    pub(crate) fn stop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Comes back at the same address, with the same log.
    pub(crate) fn start_again(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            match TcpListener::bind(self.address) {
                Ok(listener) => return self.serve(listener),
                Err(error) => assert!(Instant::now() < deadline, "cannot listen again: {error}"),
            }
            std::thread::yield_now();
        }
    }

    /// Does the next `count` appends, and breaks off instead of answering.
    pub(crate) fn lose_answers(&self, count: usize) {
        self.faults.lost_answers.store(count, Ordering::SeqCst);
    }

    /// Fails all subscriptions there are.
    pub(crate) fn fail_subscriptions(&self) {
        self.faults.subscriptions.send_modify(|epoch| *epoch += 1);
    }

    fn serve(&mut self, listener: TcpListener) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        listener.set_nonblocking(true).expect("a socket");
        runtime.spawn(service::serve(
            listener,
            Arc::clone(&self.log),
            Arc::clone(&self.faults),
        ));
        self.runtime = Some(runtime);
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.stop();
    }
}
