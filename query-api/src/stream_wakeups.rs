//! Wakes the event streams of those people to whom something has happened. A commit of the projector moves the
//! checkpoint of a partition, in which there may be thousands of streams: one look at the table for all of them shows
//! whose events came with it, so that the streams of nobody else read anything.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use database::{Database, DatabaseError};
use events::{PartitionCount, UserId};
use parking_lot::{Mutex, MutexGuard};
use read_models::Projection;
use runtime::Background;
use tokio::sync::watch;

/// The pause between two looks for one partition. Commits of this time are looked at together.
const PAUSE: Duration = Duration::from_millis(20);
/// The most events of one look. After more of them all streams of the partition are woken.
const MAX_EVENTS: usize = 1_000;

/// The people with open streams.
#[derive(Debug, Clone)]
pub(crate) struct StreamWakeups {
    partitions: PartitionCount,
    /// The people of each partition.
    followed: Arc<[Mutex<People>]>,
}

type People = HashMap<UserId, watch::Sender<()>>;

/// What one stream waits for.
#[derive(Debug)]
pub(crate) struct Wakeup {
    owner: UserId,
    wakeups: StreamWakeups,
    woken: watch::Receiver<()>,
}

impl StreamWakeups {
    pub(crate) fn new(partitions: PartitionCount) -> Self {
        Self { partitions, followed: partitions.iter().map(|_| Mutex::default()).collect() }
    }

    /// Wakes streams when `projection` moves on, in the `background`.
    pub(crate) fn follow(&self, projection: &Projection, read_models: &Database, background: &Background) {
        for (partition, mut checkpoint) in self.partitions.iter().zip(projection.watch_all()) {
            let (here, read_models) = (self.clone(), read_models.clone());
            // Taken here: a commit before the task runs is one that it has to look at.
            let before = *checkpoint.borrow_and_update();
            background.spawn_until_stopped("wake-ups of event streams", async move {
                here.follow_partition(partition, before, checkpoint, &read_models).await;
            });
        }
    }

    /// The wake-ups of a new stream of `owner`, which reads the table after this call.
    pub(crate) fn of(&self, owner: UserId) -> Wakeup {
        let mut people = self.people(self.partitions.of(owner));
        let sender = people.entry(owner).or_insert_with(|| watch::Sender::new(()));
        Wakeup { owner, woken: sender.subscribe(), wakeups: self.clone() }
    }

    async fn follow_partition(
        &self,
        partition: u16,
        mut before: u64,
        mut checkpoint: watch::Receiver<u64>,
        read_models: &Database,
    ) {
        while checkpoint.changed().await.is_ok() {
            let reached = *checkpoint.borrow_and_update();
            if !self.people(partition).is_empty() {
                self.wake(partition, before, reached, read_models).await;
            }
            before = reached;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Wakes the streams of those with events after `before`, up to `reached`.
    async fn wake(&self, partition: u16, before: u64, reached: u64, read_models: &Database) {
        let owners = match owners(read_models, before, reached).await {
            Ok(owners) => owners,
            Err(error) => {
                tracing::debug!(%error, "cannot see whose events came");
                None
            }
        };
        let people = self.people(partition);
        match owners {
            Some(owners) => {
                let found = owners.iter().filter_map(|owner| people.get(owner));
                found.for_each(|sender| sender.send_replace(()));
            }
            None => people.values().for_each(|sender| sender.send_replace(())),
        }
    }

    fn people(&self, partition: u16) -> MutexGuard<'_, People> {
        let people = &self.followed[usize::from(partition)];
        people.lock()
    }
}

/// The people with events between these positions; `None` when there are too many events to see that, or when the
/// read models begin again.
async fn owners(
    read_models: &Database,
    before: u64,
    reached: u64,
) -> Result<Option<HashSet<UserId>>, DatabaseError> {
    if reached < before {
        return Ok(None);
    }
    let rows = read_models.fetch_all(&statement(), &[before.into(), reached.into()]).await?;
    if rows.len() > MAX_EVENTS {
        return Ok(None);
    }
    let owners: Result<_, _> = rows.iter().map(|row| row.uuid(0).map(UserId)).collect();
    owners.map(Some)
}

/// Reads one range of the primary key.
fn statement() -> String {
    let most = MAX_EVENTS + 1;
    format!(
        "SELECT owner FROM task_history WHERE position > $1 AND position <= $2 ORDER BY position LIMIT {most}"
    )
}

impl Wakeup {
    /// Forgets earlier wake-ups, because the table is about to be read.
    pub(crate) fn forget(&mut self) {
        self.woken.mark_unchanged();
    }

    /// Waits until something has happened since the last call of [`Self::forget`].
    pub(crate) async fn next(&mut self) {
        if self.woken.changed().await.is_err() {
            // The sender stays as long as this is there.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Wakeup {
    fn drop(&mut self) {
        let mut people = self.wakeups.people(self.wakeups.partitions.of(self.owner));
        // Unsubscribes while nobody else counts: of two that end at once, one has to see that it is the last.
        self.woken = watch::channel(()).1;
        if people.get(&self.owner).is_some_and(|sender| sender.receiver_count() == 0) {
            people.remove(&self.owner);
        }
    }
}

#[cfg(test)]
mod tests {
    use event_store::EventStore;
    use read_models::Projection;
    use test_support::eventually;

    use super::*;
    use crate::testing::{
        PARTITIONS, TestLog, insert_history, on_postgres, on_sqlite, project, signal_checkpoint, task, user,
    };

    impl Wakeup {
        fn is_woken(&self) -> bool {
            self.woken.has_changed().unwrap()
        }
    }

    async fn a_commit_wakes_the_streams_of_those_to_whom_something_has_happened(database: Database) {
        let me = user();
        insert_history(&database, &[task(me, "Mine")], 5).await;
        project(&database, me, 5, false).await;
        let background = Background::new();
        let log: Arc<dyn EventStore> = Arc::new(TestLog::endless());
        let projection = Projection::new(database.clone(), log, PARTITIONS);
        projection.follow(&background);
        let wakeups = StreamWakeups::new(PARTITIONS);
        wakeups.follow(&projection, &database, &background);

        let neighbours: Vec<_> = std::iter::repeat_with(user)
            .filter(|other| PARTITIONS.of(*other) == PARTITIONS.of(me))
            .take(5)
            .collect();
        let mut mine = [wakeups.of(me), wakeups.of(me)];
        let others: Vec<_> = neighbours.iter().map(|other| wakeups.of(*other)).collect();
        for position in [5, 10, 20] {
            if position == 5 {
                // Signalled before any task of the background has run.
                signal_checkpoint(&database, me, position);
            } else {
                insert_history(&database, &[task(me, "Mine")], position).await;
                project(&database, me, position, true).await;
            }
            eventually("both of my streams are woken", async || mine.iter().all(Wakeup::is_woken)).await;
            mine.iter_mut().for_each(Wakeup::forget);
        }
        assert!(!others.iter().any(Wakeup::is_woken), "their streams read in vain");

        // So many events that it cannot be told at once whose they are.
        let many: Vec<_> = (0..MAX_EVENTS + 1).map(|_| task(neighbours[0], "Theirs")).collect();
        insert_history(&database, &many, 100).await;
        project(&database, me, 5_000, true).await;
        eventually("everybody is woken", async || mine.iter().chain(&others).all(Wakeup::is_woken)).await;
        drop((mine, others));
        assert!(wakeups.people(PARTITIONS.of(me)).is_empty());
        assert!(background.shut_down(Duration::from_secs(20)).await);
    }

    #[tokio::test]
    async fn a_commit_wakes_the_streams_of_its_people_on_sqlite() {
        on_sqlite(a_commit_wakes_the_streams_of_those_to_whom_something_has_happened).await;
    }

    #[tokio::test]
    async fn a_commit_wakes_the_streams_of_its_people_on_postgres() {
        on_postgres(a_commit_wakes_the_streams_of_those_to_whom_something_has_happened).await;
    }
}
