//! Threads that each serve some of a server's connections, from the first byte to the last. What happens on one
//! connection stays on one thread, so that no request waits for another thread to wake up. Only for routers that
//! never compute for long: such a request would delay the others of its thread.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

/// The threads, which end with the last clone.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    all: Vec<Worker>,
    _end: DropGuard,
}

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
}

/// The place of a connection at a worker, until it is dropped.
pub(crate) struct Assigned {
    pub(crate) runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts a thread for each core that this process may use.
    ///
    /// # Errors
    /// When the system cannot create a thread, or has no file descriptors left.
    pub fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        let start = |number| {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let worker = Worker { runtime: runtime.handle().clone(), connections: Arc::default() };
            let ended = end.clone().cancelled_owned();
            thread::Builder::new().name(format!("worker {number}")).spawn(move || runtime.block_on(ended))?;
            Ok(worker)
        };
        let count = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self(Arc::new(Threads {
            all: (0..count).map(start).collect::<io::Result<_>>()?,
            _end: end.drop_guard(),
        })))
    }

    /// Assigns a connection to the worker with the fewest.
    pub(crate) fn assign(&self) -> Option<Assigned> {
        let count = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let worker = self.0.all.iter().min_by_key(count)?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Some(Assigned { runtime: worker.runtime.clone(), connections: Arc::clone(&worker.connections) })
    }
}

impl Assigned {
    /// Serves a connection, which was accepted elsewhere, on this worker's thread.
    pub(crate) fn spawn<Serving>(
        self,
        connections: &TaskTracker,
        stream: TcpStream,
        serve: impl FnOnce(TcpStream) -> Serving + Send + 'static,
    ) where
        Serving: Future<Output = ()> + Send + 'static,
    {
        let runtime = self.runtime.clone();
        let serving = async move {
            // The runtime that owns the stream wakes its tasks, so the stream is moved to this one.
            match stream.into_std().and_then(TcpStream::from_std) {
                Ok(stream) => serve(stream).await,
                Err(error) => tracing::warn!(error = %error, "cannot hand a connection over to a worker"),
            }
            drop(self);
        };
        connections.spawn_on(serving, &runtime);
    }
}

impl Drop for Assigned {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({})", self.0.all.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_also_after_some_have_ended() {
        let workers = Workers::start().unwrap();
        let counts = || workers.0.all.iter().map(|worker| worker.connections.load(Ordering::Relaxed));
        let count = workers.0.all.len();
        let mut assigned: Vec<_> = (0..3 * count).map(|_| workers.assign().unwrap()).collect();
        assert!(counts().all(|connections| connections == 3));
        assigned.truncate(count + 1);
        let more: Vec<_> = (assigned.len()..2 * count).map(|_| workers.assign().unwrap()).collect();
        assert!(counts().all(|connections| connections == 2), "{:?}", counts().collect::<Vec<_>>());
        drop((assigned, more));
        assert!(counts().all(|connections| connections == 0));
    }

    #[test]
    fn the_threads_end_with_the_last_clone() {
        let workers = Workers::start().unwrap();
        let runtime = workers.assign().unwrap().runtime.clone();
        let (kept, ended) = std::sync::mpsc::channel::<()>();
        // Dropped with the runtime.
        runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(kept);
        });
        drop(workers.clone());
        let still_there = ended.recv_timeout(std::time::Duration::from_millis(50));
        assert_eq!(still_there, Err(std::sync::mpsc::RecvTimeoutError::Timeout));
        drop(workers);
        assert!(ended.recv().is_err());
    }
}
