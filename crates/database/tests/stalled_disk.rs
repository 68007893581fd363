//! A disk that does not answer, and others who use a file of SQLite, hold up nothing that has nothing to do with them.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, time::Duration};

use database::{Database, Schema};
use tempfile::TempDir;
use test_support::{make_pipe, open_pipe};
use tokio::time::timeout;

async fn open(directory: &TempDir, name: &str) -> Database {
    let url = Database::file_url(&directory.path().join(name));
    let database = Database::connect(&url, Schema::ReadModels, 2).await.unwrap();
    let sql = "CREATE TABLE IF NOT EXISTS rows (data BLOB NOT NULL)";
    database.execute(sql, &[]).await.unwrap();
    database
}

/// The threads of this process with this name.
fn threads(name: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.flatten().map(|task| fs::read_to_string(task.path().join("comm")));
    names.flatten().filter(|it| it.trim() == name).count()
}

#[test]
fn probes_of_a_disk_that_does_not_answer_take_one_thread() {
    const NAME: &str = "stalled-disk";
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).thread_name(NAME).enable_all().build().unwrap();
    let directory = TempDir::new().unwrap();
    // Whoever writes into a pipe waits until somebody reads from it.
    let pipe = directory.path().join("test.db.probe");
    make_pipe(&pipe);
    let taken = runtime.block_on(async {
        let database = open(&directory, "test.db").await;
        let before = threads(NAME);
        for _ in 0..20 {
            let probe = timeout(Duration::from_millis(20), database.can_write()).await;
            assert!(!matches!(probe, Ok(Ok(()))));
        }
        let taken = threads(NAME).saturating_sub(before);
        drop(open_pipe(&pipe));
        taken
    });
    // A failed test does not wait for those threads either.
    runtime.shutdown_background();
    assert!(taken <= 1, "{taken} threads");
}

#[tokio::test]
async fn who_probes_a_file_at_the_same_time_as_another_is_not_refused() {
    let directory = TempDir::new().unwrap();
    let (one, other) = (open(&directory, "test.db").await, open(&directory, "test.db").await);
    for _ in 0..300 {
        let answers = tokio::join!(one.can_write(), one.can_write(), other.can_write());
        assert!(matches!(answers, (Ok(()), Ok(()), Ok(()))), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_a_file_holds_up_its_closing_for_a_moment_only() {
    let directory = TempDir::new().unwrap();
    let (file, other) = (open(&directory, "test.db").await, open(&directory, "test.db").await);
    let mut reader = other.snapshot().await.unwrap();
    reader.fetch_all("SELECT * FROM rows", &[]).await.unwrap();
    file.execute("INSERT INTO rows (data) VALUES ('later')", &[]).await.unwrap();
    timeout(Duration::from_secs(5), file.close()).await.unwrap();
    drop(reader);
    other.close().await;
    assert!(!directory.path().join("test.db-wal").exists());
}
