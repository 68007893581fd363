//! The append task with writers that panic, block or refuse.

#![expect(clippy::disallowed_methods, reason = "what is tested")]

use std::sync::Mutex;

use events::UserId;
use futures::future::join_all;
use test_support::new_event;
use uuid::Uuid;

use super::*;

fn outcomes(batch: &[Append]) -> Vec<Outcome> {
    let appended = Appended { version: 1, position: 1 };
    vec![Outcome::Appended(appended); batch.len()]
}

/// Panics at its first batch.
struct PanickingWriter(u64);

impl Writer for PanickingWriter {
    async fn commit(&mut self, batch: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        self.0 += 1;
        assert!(self.0 > 1, "a bug");
        Ok(outcomes(batch))
    }

    async fn close(self) {}
}

/// Commits a batch when it is told to, and records the subjects in it.
struct BlockedWriter {
    go: mpsc::Receiver<()>,
    batches: Arc<Mutex<Vec<Vec<UserId>>>>,
}

impl Writer for BlockedWriter {
    async fn commit(&mut self, batch: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        let subjects = batch.iter().map(|append| append.subject).collect();
        self.batches.lock().unwrap().push(subjects);
        self.go.recv().await.unwrap();
        Ok(outcomes(batch))
    }

    async fn close(self) {}
}

/// Refuses every batch of several appends, and commits a single one when it is told to. Records how many were in each.
struct RefusingWriter {
    go: mpsc::Receiver<()>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

impl Writer for RefusingWriter {
    async fn commit(&mut self, batch: &[Append]) -> Result<Vec<Outcome>, BatchError> {
        self.sizes.lock().unwrap().push(batch.len());
        if batch.len() > 1 {
            return Err(BatchError::Refused(StoreError::unavailable("refused")));
        }
        self.go.recv().await.unwrap();
        Ok(outcomes(batch))
    }

    async fn close(self) {}
}

fn start(writer: impl Writer) -> Appender {
    Appender::start(writer, Arc::new(watch::Sender::new(0)))
}

#[tokio::test]
async fn a_panic_fails_its_batch_and_no_other() {
    let appender = start(PanickingWriter(0));
    let event = new_event(UserId(Uuid::now_v7()), "{}");
    let stream = StreamName::raw("task-1");
    let first = appender.append(&stream, 0, vec![event.clone()]).await;
    assert!(matches!(first, Err(StoreError::Unavailable(_))), "{first:?}");
    let second = appender.append(&stream, 0, vec![event]).await.unwrap();
    assert_eq!(second.position, 1);
}

#[tokio::test]
async fn who_sends_little_does_not_wait_for_all_of_who_sends_much() {
    let (go, gone) = mpsc::channel(100);
    let batches: Arc<Mutex<Vec<Vec<UserId>>>> = Arc::default();
    let appender = start(BlockedWriter { go: gone, batches: Arc::clone(&batches) });
    let (greedy, modest) = (UserId(Uuid::now_v7()), UserId(Uuid::now_v7()));
    let stream = StreamName::raw("task-1");
    let append = |who, bytes: usize| appender.append(&stream, 0, vec![new_event(who, vec![b' '; bytes])]);
    // 24 MB of one person, which are several batches, and then a little of another.
    let much = join_all((0..24).map(|_| append(greedy, 1 << 20)));
    let little = async {
        while appender.room.available_permits() > QUEUE_UNITS - 24 * 1_024 {
            tokio::task::yield_now().await;
        }
        append(modest, 10).await
    };
    let commits = async {
        for _ in 0..30 {
            let _ = go.send(()).await;
        }
    };
    let (much, little, ()) = tokio::join!(much, little, commits);
    assert!(much.into_iter().all(|result| result.is_ok()));
    little.unwrap();
    let batches = batches.lock().unwrap();
    assert!(batches.len() > 5, "{}", batches.len());
    // The first batch was under way, the second may have been.
    let place = batches.iter().position(|batch| batch.contains(&modest));
    assert!(place <= Some(2), "{place:?} of {}", batches.len());
    assert_eq!(appender.room.available_permits(), QUEUE_UNITS);
}

#[tokio::test]
async fn what_waits_is_bounded_in_bytes_and_in_time() {
    let (_go, gone) = mpsc::channel(1);
    let batches = Arc::default();
    let mut appender = start(BlockedWriter { go: gone, batches });
    appender.patience = Duration::from_millis(300);
    let stream = StreamName::raw("task-1");
    let who = UserId(Uuid::now_v7());
    let appends = (0..100).map(|_| appender.append(&stream, 0, vec![new_event(who, vec![b' '; 1 << 20])]));
    let began = tokio::time::Instant::now();
    let least = std::cell::Cell::new(usize::MAX);
    let watching = async {
        loop {
            least.set(least.get().min(appender.room.available_permits()));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let results = tokio::select! {
        results = join_all(appends) => results,
        () = watching => Vec::new(),
    };
    assert_eq!(results.len(), 100);
    assert!(results.iter().all(|result| matches!(result, Err(StoreError::Unavailable(_)))));
    assert!(began.elapsed() < TIMEOUT);
    assert!(least.get() < 2 * 1_024, "there is room for more than is waiting");
}

#[tokio::test]
async fn what_is_given_up_while_a_refused_batch_is_committed_one_by_one_is_not_written() {
    let (go, gone) = mpsc::channel(10);
    let sizes: Arc<Mutex<Vec<usize>>> = Arc::default();
    let appender = start(RefusingWriter { go: gone, sizes: Arc::clone(&sizes) });
    let stream = StreamName::raw("task-1");
    let who = UserId(Uuid::now_v7());
    let append = || appender.append(&stream, 0, vec![new_event(who, "{}")]);
    let sizes = || sizes.lock().unwrap().clone();
    let given_up = async {
        let first_is_alone = async {
            while sizes() != [2, 1] {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            answered = append() => drop(answered),
            () = first_is_alone => {}
        }
        for _ in 0..3 {
            go.send(()).await.unwrap();
        }
    };
    let (first, ()) = tokio::join!(append(), given_up);
    first.unwrap();
    append().await.unwrap();
    assert_eq!(sizes(), [2, 1, 1], "the last one is alone, too");
}
