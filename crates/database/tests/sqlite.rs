//! Behaviour that only SQLite has: interrupted statements, files, full disks.

#![expect(clippy::disallowed_methods, reason = "tests make ids and start tasks as they like")]
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{
    os::unix::fs::PermissionsExt as _,
    path::Path,
    pin::pin,
    time::{Duration, Instant},
};

use database::{Database, DatabaseError, Forgetting, Schema, WriteProbe};
use runtime::Background;
use tempfile::TempDir;
use test_support::{eventually, until};

/// Counts for ever.
const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) AS n FROM n";

async fn open(directory: &TempDir) -> Database {
    let url = Database::file_url(&directory.path().join("test.db"));
    let database = Database::connect(&url, Schema::ReadModels, 1).await.unwrap();
    database.execute("CREATE TABLE IF NOT EXISTS rows (data BLOB NOT NULL)", &[]).await.unwrap();
    database
}

async fn count(database: &Database) -> i64 {
    let row = database.fetch_optional("SELECT count(*) AS n FROM rows", &[]).await;
    row.unwrap().unwrap().integer("n").unwrap()
}

async fn insert(database: &Database, bytes: usize) -> Result<(), DatabaseError> {
    let mut transaction = database.begin().await?;
    transaction.execute("INSERT INTO rows (data) VALUES ($1)", &[vec![7; bytes].into()]).await?;
    transaction.commit().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_waits_for_is_interrupted_and_frees_its_connection() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    for what in ["a query", "a statement", "a transaction", "a snapshot"] {
        {
            let mut endless = pin!(async {
                match what {
                    "a query" => database.fetch_all(ENDLESS, &[]).await.map(drop),
                    "a statement" => database.execute(ENDLESS, &[]).await.map(drop),
                    "a snapshot" => {
                        let mut transaction = database.snapshot().await.unwrap();
                        transaction.fetch_all(ENDLESS, &[]).await.map(drop)
                    }
                    _ => {
                        let mut transaction = database.begin().await.unwrap();
                        transaction.execute("INSERT INTO rows (data) VALUES (x'')", &[]).await.unwrap();
                        transaction.fetch_all(ENDLESS, &[]).await.map(drop)
                    }
                }
            });
            let given_up = tokio::time::timeout(Duration::from_millis(50), &mut endless).await;
            assert!(given_up.is_err(), "{what}");
        }
        assert_eq!(count(&database).await, 0, "{what}");
        let mut transaction = database.begin().await.unwrap();
        transaction.execute("DELETE FROM rows", &[]).await.unwrap();
        transaction.commit().await.unwrap();
    }
    // Waits for every thread of SQLite's, which would not end.
    let closed = tokio::time::timeout(Duration::from_secs(30), database.close()).await;
    closed.unwrap();
}

#[tokio::test]
async fn a_statement_ends_with_its_deadline_and_the_next_one_works() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    insert(&database, 1).await.unwrap();
    count(&database).await;
    tokio::time::pause();
    let read = database.fetch_all(ENDLESS, &[]).await;
    let written = database.execute(ENDLESS, &[]).await;
    tokio::time::resume();
    assert!(matches!(read, Err(DatabaseError::Late { .. })), "{read:?}");
    assert!(matches!(written, Err(DatabaseError::Late { .. })), "{written:?}");
    insert(&database, 1).await.unwrap();
    assert_eq!(count(&database).await, 2);
}

/// When the disk is full, SQLite ends a transaction by itself, or does not. In neither case an open transaction must
/// stay on the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_spoils_no_connection() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    for _ in 0..3 {
        let mut loan = database.writer().await.unwrap();
        // Limits the number of pages, for this connection only.
        sqlx::query("PRAGMA max_page_count = 1").execute(loan.sqlite().unwrap()).await.unwrap();
        loan.give_back();
        let before = count(&database).await;
        let error = insert(&database, 1 << 20).await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
        insert(&database, 1 << 20).await.unwrap();
        assert_eq!(count(&database).await, before + 1);
    }
}

/// A panic in the middle of a transaction that was begun by hand leaves nothing to others.
#[tokio::test(flavor = "multi_thread")]
async fn a_panic_leaves_no_transaction_behind() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    let panicking = tokio::spawn({
        let database = database.clone();
        async move {
            let mut loan = database.writer().await.unwrap();
            sqlx::query("BEGIN IMMEDIATE; INSERT INTO rows (data) VALUES (x'')")
                .execute(loan.sqlite().unwrap())
                .await
                .unwrap();
            panic!("a bug");
        }
    });
    assert!(panicking.await.unwrap_err().is_panic());
    insert(&database, 1).await.unwrap();
    assert_eq!(count(&database).await, 1);
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn database_files_are_private_whatever_they_were() {
    let directory = TempDir::new().unwrap();
    let file = |suffix: &str| directory.path().join(format!("test.db{suffix}"));
    let database = open(&directory).await;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&file(suffix)), 0o600, "{suffix}");
        std::fs::set_permissions(file(suffix), std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let again = open(&directory).await;
    for suffix in ["", "-wal", "-shm"] {
        assert_eq!(mode(&file(suffix)), 0o600, "{suffix}");
    }
    again.close().await;
    database.close().await;
}

/// Even while another process has it open. SQLite would keep the -wal then.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_file_is_whole_by_itself() {
    for others in [0, 1] {
        let directory = TempDir::new().unwrap();
        let database = open(&directory).await;
        let mut other = None;
        for _ in 0..others {
            let also = open(&directory).await;
            assert_eq!(count(&also).await, 0);
            other = Some(also);
        }
        for _ in 0..120 {
            insert(&database, 100).await.unwrap();
        }
        count(&database).await;
        database.close().await;
        let copy = TempDir::new().unwrap();
        std::fs::copy(directory.path().join("test.db"), copy.path().join("test.db")).unwrap();
        if other.is_none() {
            assert!(!directory.path().join("test.db-wal").exists());
        }
        assert_eq!(count(&open(&copy).await).await, 120);
        assert!(insert(&database, 1).await.unwrap_err().is_unavailable());
    }
}

/// A reader of this process keeps the -wal, so that waiting for it once is enough.
#[tokio::test(flavor = "multi_thread")]
async fn closing_waits_for_a_reader_that_stands_still_only_once() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    insert(&database, 100).await.unwrap();
    let mut reader = database.snapshot().await.unwrap();
    reader.fetch_all("SELECT data FROM rows", &[]).await.unwrap();
    insert(&database, 100).await.unwrap();
    let closing = Instant::now();
    database.close().await;
    assert!(closing.elapsed() < Duration::from_secs(8), "{:?}", closing.elapsed());
    drop(reader);
    assert_eq!(count(&open(&directory).await).await, 2);
}

/// A disk that hangs is a named pipe here: whoever writes into it waits until somebody reads.
#[tokio::test(flavor = "multi_thread")]
async fn probes_of_a_disk_that_hangs_keep_one_thread() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    let pipe = directory.path().join("test.db.probe");
    test_support::make_pipe(&pipe);
    let probes = (0..4).map(|_| database.can_write());
    for answer in futures::future::join_all(probes).await {
        assert!(matches!(answer, Err(DatabaseError::Late { .. })), "{answer:?}");
    }
    let written = tokio::task::spawn_blocking(move || std::fs::read(pipe)).await;
    assert_eq!(written.unwrap().unwrap().len(), 64 * 1024, "of one probe");
    database.can_write().await.unwrap();
}

/// A file system of one megabyte, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// Where mounting is not allowed, `./test` leaves the test out and says so.
    fn mount() -> Self {
        let directory = TempDir::new().unwrap();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs"])
            .arg(directory.path())
            .status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "mounting is not allowed here: leave this test out with `--skip really_full_disk`"
        );
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

/// On a disk that is really full, not only at a limit of pages.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_really_full_disk_reads_and_writes_work_again() {
    let disk = SmallDisk::mount();
    let database = open(&disk.0).await;
    insert(&database, 1_000).await.unwrap();
    database.can_write().await.unwrap();
    let ballast = disk.0.path().join("ballast");
    let _ = std::fs::write(&ballast, vec![0; 1 << 20]);
    let refused = database.can_write().await.unwrap_err();
    assert!(refused.is_unavailable(), "{refused}");
    for _ in 0..5 {
        let error = insert(&database, 300_000).await.unwrap_err();
        assert!(error.is_unavailable(), "{error}");
    }
    std::fs::remove_file(&ballast).unwrap();
    database.can_write().await.unwrap();
    insert(&database, 1_000).await.unwrap();
    assert_eq!(count(&database).await, 2);
    database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_tells_that_the_file_is_locked_and_when_it_is_free_again() {
    let directory = TempDir::new().unwrap();
    let (database, other) = (open(&directory).await, open(&directory).await);
    let background = Background::new();
    let probe = WriteProbe::start(database, &background);
    assert_eq!(probe.state(), Ok(()));
    let holder = other.begin().await.unwrap();
    eventually("the probe notices", async || probe.state().is_err()).await;
    drop(holder);
    eventually("the probe notices that it is free", async || probe.state().is_ok()).await;
    assert!(background.shut_down(Duration::from_secs(30)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_in_a_transaction_holds_up_nobody_when_deleted_rows_are_to_be_forgotten() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    insert(&database, 100_000).await.unwrap();
    let mut reader = database.snapshot().await.unwrap();
    reader.fetch_all("SELECT count(*) FROM rows", &[]).await.unwrap();
    database.execute("DELETE FROM rows", &[]).await.unwrap();
    let wal = || std::fs::metadata(directory.path().join("test.db-wal")).unwrap().len();
    let before = wal();
    for _ in 0..3 {
        let forgetting = tokio::time::timeout(Duration::from_secs(5), database.forget_deleted());
        assert!(!forgetting.await.expect("nobody waits for the reader").unwrap());
        assert_eq!(wal(), before, "the file is not written again for nothing");
    }
    insert(&database, 1).await.unwrap();
    drop(reader);
    eventually("all is forgotten", async || database.forget_deleted().await.unwrap() && wal() == 0).await;
    assert_eq!(count(&database).await, 1);
}

/// Before the file is written again, which may be a day later.
#[tokio::test]
async fn what_is_deleted_is_overwritten_at_once() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    let holds_it = || {
        let file = std::fs::read(directory.path().join("test.db")).unwrap();
        file.windows(1_000).any(|bytes| bytes.iter().all(|byte| *byte == 7))
    };
    for bytes in [1_000, 100_000] {
        insert(&database, bytes).await.unwrap();
    }
    assert!(database.empty_wal().await.unwrap() && holds_it());
    database.execute("DELETE FROM rows", &[]).await.unwrap();
    assert!(database.empty_wal().await.unwrap() && !holds_it());
}

/// Each try holds up whoever wants to write.
#[tokio::test]
async fn after_a_failure_it_is_not_tried_at_once_to_write_the_file_again() {
    let directory = TempDir::new().unwrap();
    let database = open(&directory).await;
    let mut forgetting = Forgetting::of(database.clone());
    database.close().await;
    forgetting.forget_deleted().await.unwrap_err();
    assert!(!forgetting.forget_deleted().await.unwrap(), "that was no try");
}

/// There is no moment in which nobody reads, so that SQLite alone does not begin the -wal again.
#[tokio::test(flavor = "multi_thread")]
async fn the_wal_does_not_grow_for_ever_where_reads_overlap() {
    const MEGABYTE: usize = 1 << 20;
    const MAX_BYTES: usize = 64 * MEGABYTE;
    let directory = TempDir::new().unwrap();
    let url = Database::file_url(&directory.path().join("test.db"));
    let (database, readers) =
        (open(&directory).await, Database::connect(&url, Schema::ReadModels, 2).await.unwrap());
    let reading = tokio::spawn(async move {
        let begin = async || {
            let mut reader = readers.snapshot().await.unwrap();
            reader.fetch_all("SELECT count(*) FROM rows", &[]).await.unwrap();
            reader
        };
        let mut reader = begin().await;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let next = begin().await;
            drop(std::mem::replace(&mut reader, next));
        }
    });
    let wal = directory.path().join("test.db-wal");
    let size = || usize::try_from(std::fs::metadata(&wal).unwrap().len()).unwrap();
    for _ in 0..2 {
        while size() <= MAX_BYTES {
            insert(&database, MEGABYTE).await.unwrap();
        }
        // After an attempt that failed there is a pause of 20 seconds.
        let limit = Duration::from_secs(90);
        until("it is small again", limit, async || size() < MAX_BYTES).await;
    }
    reading.abort();
}

/// On a disk that a try would fill.
#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_written_again_where_it_would_lead_to_a_really_full_disk() {
    let disk = SmallDisk::mount();
    let database = open(&disk.0).await;
    insert(&database, 300_000).await.unwrap();
    for _ in 0..2 {
        let refused = database.forget_deleted().await.unwrap_err();
        assert!(refused.to_string().contains("of free disk"), "{refused}");
    }
    database.execute("DELETE FROM rows", &[]).await.unwrap();
    insert(&database, 1_000).await.unwrap();
    database.close().await;
}
