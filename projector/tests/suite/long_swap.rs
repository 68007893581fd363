//! SQLite copies the rows during a swap, and nobody else can write meanwhile.

use std::time::Duration;

use projector::RebuildError;
use tokio_util::sync::CancellationToken;

use crate::suite::{
    fixture::Fixture,
    rebuilding::{dump, history},
    writer::Writer,
};

/// Copying a row never ends here, so only a deadline can end the swap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_that_takes_too_long_changes_nothing_and_lets_go() {
    let fixture = Fixture::sqlite().await;
    let mut log = Writer::new(&fixture.store);
    history(&mut log, 10).await;
    fixture.catch_up(2).await;
    let before = dump(&fixture).await;
    let endless = "CREATE TRIGGER endless BEFORE INSERT ON tasks BEGIN
        SELECT count(*) FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n);
    END";
    fixture.read_models.execute(endless, &[]).await.unwrap();
    let rebuild = fixture.rebuild(2).await.with_longest_hold(Duration::from_secs(1));
    assert!(rebuild.build(&CancellationToken::new(), |_| {}).await.unwrap());
    let swapped = rebuild.swap(&CancellationToken::new()).await;
    assert!(matches!(swapped, Err(RebuildError::TooLarge(_))), "{swapped:?}");
    assert_eq!(dump(&fixture).await, before);
    let url = fixture.url();
    let live = std::path::Path::new(url.strip_prefix("sqlite:").unwrap());
    assert!(!live.with_extension("previous.db.new").exists(), "a copy is left");
    // The lock is released, and the next try succeeds.
    fixture.read_models.execute("DROP TRIGGER endless", &[]).await.unwrap();
    rebuild.close().await;
    drop(rebuild);
    fixture.rebuild(2).await.swap(&CancellationToken::new()).await.unwrap();
    assert_eq!(fixture.caught_up().await.differences, Vec::<String>::new());
}
