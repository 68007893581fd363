//! The threads that only hash passwords. Each takes the next password from a queue itself. If a task of the runtime
//! passed them on, that task and then the thread would have to wait for a core: with all cores busy that costs a
//! fifth of the time.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    thread,
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{HashingFailed, argon2_memory::Argon2Memory};

type Job = Box<dyn FnOnce(&mut Argon2Memory) + Send>;

/// Sends work to the threads. They finish it and end when this is dropped.
pub(super) struct HashingThreads {
    /// The channel is not bounded, because its senders were admitted.
    jobs: mpsc::Sender<Job>,
}

impl HashingThreads {
    /// Starts `count` threads.
    pub(super) fn start(count: usize) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..count {
            let waiting = Arc::clone(&waiting);
            thread::Builder::new().name(format!("hashing {number}")).spawn(move || work(&waiting))?;
        }
        Ok(Self { jobs })
    }

    /// Runs `work` on one of the threads, even if its caller has gone.
    ///
    /// # Errors
    /// [`HashingFailed::Broken`] when `work` panics.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Argon2Memory) -> T + Send + 'static,
    ) -> Result<T, HashingFailed> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |memory: &mut Argon2Memory| {
            // Nobody may wait for it any more.
            let _ = answer.send(work(memory));
        });
        self.jobs.send(job).map_err(|_| HashingFailed::Broken)?;
        answered.await.map_err(|_| HashingFailed::Broken)
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    let mut memory = Argon2Memory::default();
    while let Some(job) = next(waiting, &mut memory) {
        // Whoever waits for it learns it from the channel that the job drops.
        let _ = catch_unwind(AssertUnwindSafe(|| job(&mut memory)));
    }
}

/// The next job; nothing when there will be none. A thread that has to wait for it lets go of its memory meanwhile.
fn next(waiting: &Mutex<mpsc::Receiver<Job>>, memory: &mut Argon2Memory) -> Option<Job> {
    // While there is nothing to do, one thread waits for a job, and the others for that thread.
    let at_hand = waiting.try_lock().and_then(|waiting| waiting.try_recv().ok());
    at_hand.or_else(|| {
        memory.release();
        waiting.lock().recv().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_outlives_what_breaks_on_it() {
        let threads = HashingThreads::start(1).unwrap();
        let broken = threads.run(|_| -> u32 { panic!("a bug") }).await;
        assert!(matches!(broken, Err(HashingFailed::Broken)), "{broken:?}");
        assert_eq!(threads.run(|_| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_nobody_waits_for_is_done_all_the_same() {
        let threads = HashingThreads::start(1).unwrap();
        let (told, done) = oneshot::channel();
        let mut abandoned = Box::pin(threads.run(move |_| told.send(())));
        assert!(futures::poll!(&mut abandoned).is_pending());
        drop(abandoned);
        done.await.unwrap();
    }

    #[tokio::test]
    async fn as_many_are_at_work_at_once_as_there_are_threads() {
        let threads = HashingThreads::start(2).unwrap();
        let both = Arc::new(std::sync::Barrier::new(2));
        let meet = || {
            let both = Arc::clone(&both);
            move |_: &mut Argon2Memory| both.wait().is_leader()
        };
        let (one, other) = tokio::join!(threads.run(meet()), threads.run(meet()));
        assert_ne!(one.unwrap(), other.unwrap());
    }
}
