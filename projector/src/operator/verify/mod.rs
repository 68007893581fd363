//! Proves that the tables equal a fold of the whole log, or reports the differences.

mod audit;
mod differences;
mod error;
mod exceptions;
mod history;
mod reading;
mod report;
mod rows;
mod sample;
mod tables;

use std::time::{Duration, Instant};

use database::{Database, DatabaseError};
use event_store::{EventStore, LogRange, MissingPositions, describe_gap};

use crate::{
    models::for_each_model,
    projecting::{checkpoint, decode::decode, fold::Fold},
};
use audit::AuditVerifier;
use differences::Differences;
pub use error::VerifyError;
use exceptions::Exceptions;
use history::HistoryVerifier;
use reading::{PAGE, fold_in};
use report::Counted;
use rows::RowVerifier;

pub use report::Report;
pub use sample::verify_sample;
pub(crate) use tables::compare_tables;
pub use tables::{ComparedTable, Comparison};

/// How long the projection may take to reach the head of the log.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Folds the log up to its present head in memory and compares every row of the read models with it. Projectors may
/// run meanwhile: rows that have changed since are compared with a fold of their own stream.
pub async fn verify(store: &dyn EventStore, read_models: &Database) -> Result<Report, VerifyError> {
    let head = store.head().await?;
    let reached = wait_for(read_models, head).await?;
    if reached < head {
        return Ok(behind(reached, head));
    }
    let mut differences = Differences::default();
    let exceptions = Exceptions::load(read_models, &mut differences).await?;
    let mut report = Report { position: head, ..Report::default() };
    let mut fold = exceptions.fold();
    let mut audit = AuditVerifier::default();
    let mut history = HistoryVerifier::default();
    let mut after = 0;
    let mut gaps = MissingPositions::after(store, after);
    let mut pages = LogRange::new(store, after, head, PAGE);
    while let Some(page) = pages.next().await? {
        let page = decode(store, page.entries).await?;
        let Some(to) = page.last().map(|event| event.record.position) else {
            break;
        };
        report.events += page.len() as u64;
        for gap in page.iter().filter_map(|event| gaps.before(event.record.position)) {
            differences.add(describe_gap(&gap));
        }
        report.audit += audit.compare(read_models, after, to, &page, &mut differences).await?;
        fold.rows.history = Some(Vec::new());
        for event in page {
            fold_in(&mut fold, event);
        }
        let made = fold.rows.history.take().unwrap_or_default();
        report.history += history.compare(read_models, after, to, &made, &mut differences).await?;
        after = to;
    }
    report.parked = exceptions.compare(&fold, head, &mut differences);
    report.parked_streams = exceptions.parked_streams();
    let Fold { mut rows, erased, .. } = fold;
    let mut verifier =
        RowVerifier { store, read_models, exceptions, erased, head, differences, left_by_drop: 0 };
    audit.finish(&mut verifier).await?;
    history.finish(&mut verifier, &rows.tasks).await?;
    for_each_model!(M => *M::rows(&mut report) = verifier.compare::<M>(&mut rows).await?);
    report.left_by_drop = verifier.left_by_drop;
    report.differences = verifier.differences.list();
    Ok(report)
}

/// The report about a projection that has only reached `reached`. Other differences may disappear when it is complete.
fn behind(reached: u64, head: u64) -> Report {
    let difference = format!("the projection is at position {reached}, the log at {head}");
    Report { position: reached, behind: head - reached, differences: vec![difference], ..Report::default() }
}

async fn wait_for(read_models: &Database, head: u64) -> Result<u64, DatabaseError> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let reached = checkpoint::completed(read_models).await?;
        if reached >= head || Instant::now() >= deadline {
            return Ok(reached);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
