//! SQLite copies the rows while the tables change places, and nobody else can write meanwhile.

use std::time::Duration;

use projector::RebuildError;
use tokio_util::sync::CancellationToken;

use crate::suite::{
    ground::Ground,
    rebuilding::{dump, history, open},
    writer::Writer,
};

/// Copying a row takes as long as a program that counts without end, so that only a deadline can end it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_takes_too_long_changes_nothing_and_lets_go() {
    let ground = Ground::sqlite().await;
    let mut log = Writer::new(&ground.store);
    history(&mut log, 10).await;
    ground.catch_up(2).await;
    let before = dump(&ground).await;
    let endless = "CREATE TRIGGER endless BEFORE INSERT ON tasks BEGIN
        SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n);
    END";
    ground.read_models.execute(endless, &[]).await.unwrap();
    let rebuild = open(&ground).await.with_longest_hold(Duration::from_secs(1));
    assert!(rebuild.build(&CancellationToken::new(), |_| {}).await.unwrap());
    let swapped = rebuild.swap().await;
    assert!(matches!(swapped, Err(RebuildError::TooLarge(_))), "{swapped:?}");
    assert_eq!(dump(&ground).await, before);
    // Whoever waits for the lock gets it, and the next try goes well.
    ground
        .read_models
        .execute("DROP TRIGGER endless", &[])
        .await
        .unwrap();
    rebuild.close().await;
    drop(rebuild);
    open(&ground).await.swap().await.unwrap();
    assert_eq!(ground.settled().await.differences, Vec::<String>::new());
}
