//! Random appends compared with the simplest model of a log.

use std::{cell::Cell, collections::HashMap, sync::Arc};

use event_store::{Appended, EventStore, StoreError};
use futures::future::join_all;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};
use test_support::read_all;
use tokio::{runtime::Handle, task::block_in_place};

use super::{TestLog, assert_exactly, assert_in_order, events, stream, whole_log};

/// One append: the stream, the version (right or wrong), and the number of events.
#[derive(Debug, Clone)]
struct Attempt {
    stream: u8,
    /// Added to the version that the model knows.
    error: i64,
    count: usize,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let error = prop_oneof![4 => Just(0_i64), 1 => -2_i64..3];
    let attempt =
        (0_u8..4, error, 0_usize..4).prop_map(|(stream, error, count)| Attempt { stream, error, count });
    vec(attempt, 1..60)
}

/// The expected result of an append.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    Appended { version: u64, position: u64 },
    Conflict { actual: u64 },
    Empty,
}

/// The last position and each stream's version.
#[derive(Default)]
struct Model {
    position: u64,
    versions: HashMap<u8, u64>,
}

impl Model {
    fn expected_version(&self, attempt: &Attempt) -> u64 {
        self.versions.get(&attempt.stream).copied().unwrap_or_default().saturating_add_signed(attempt.error)
    }

    fn append(&mut self, stream: u8, expected: u64, count: usize) -> Expected {
        let version = self.versions.entry(stream).or_default();
        if count == 0 {
            return Expected::Empty;
        }
        if *version != expected {
            return Expected::Conflict { actual: *version };
        }
        *version += count as u64;
        self.position += count as u64;
        Expected::Appended { version: *version, position: self.position }
    }
}

fn expected(result: Result<Appended, StoreError>) -> Expected {
    match result {
        Ok(Appended { version, position }) => Expected::Appended { version, position },
        Err(StoreError::Conflict { actual, .. }) => Expected::Conflict { actual },
        Err(StoreError::Empty) => Expected::Empty,
        Err(error) => panic!("{error}"),
    }
}

/// Removes positions that the model does not predict.
fn comparable(outcome: Expected, base: u64, dense: bool) -> Expected {
    match outcome {
        Expected::Appended { version, position } => {
            Expected::Appended { version, position: if dense { position - base } else { 0 } }
        }
        other => other,
    }
}

/// Runs random cases on one log, each with streams of its own. With `at_once` the store gets all appends of a case
/// together, so that they share batches.
async fn check(log: &impl TestLog, at_once: bool) {
    let store = log.store().await;
    let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
    let case = Cell::new(0);
    let run = |attempts: Vec<Attempt>| {
        case.set(case.get() + 1);
        Handle::current().block_on(run_case(&store, case.get(), &attempts, at_once, log.dense()));
        Ok(())
    };
    block_in_place(|| TestRunner::new(config).run(&attempts(), run)).unwrap();
    assert_in_order(&whole_log(&*store).await, log.dense());
}

async fn run_case(
    store: &Arc<dyn EventStore>,
    case: usize,
    attempts: &[Attempt],
    at_once: bool,
    dense: bool,
) {
    let base = store.head().await.unwrap();
    let name = |number: u8| stream(&format!("case-{case}-{number}"));
    let (mut model, mut appends, mut modelled) = (Model::default(), Vec::new(), Vec::new());
    for attempt in attempts {
        let version = model.expected_version(attempt);
        modelled.push(comparable(model.append(attempt.stream, version, attempt.count), 0, dense));
        appends.push((name(attempt.stream), version, events(attempt.count)));
    }
    let results = if at_once {
        join_all(appends.iter().map(|(stream, version, new)| store.append(stream, *version, new.clone())))
            .await
    } else {
        let mut results = Vec::new();
        for (stream, version, new) in &appends {
            results.push(store.append(stream, *version, new.clone()).await);
        }
        results
    };
    let found: Vec<Expected> =
        results.into_iter().map(|result| comparable(expected(result), base, dense)).collect();
    assert_eq!(found, modelled, "case {case}: {attempts:?}");

    let kept =
        appends.iter().zip(&modelled).filter(|(_, outcome)| matches!(outcome, Expected::Appended { .. }));
    let kept = kept.flat_map(|((_, _, new), _)| new.iter().map(|event| event.id));
    assert_exactly(&read_all(&**store, base, usize::MAX).await, kept);
}

pub(crate) async fn sequences_match_the_model(log: &impl TestLog) {
    check(log, false).await;
}

pub(crate) async fn batches_match_the_model(log: &impl TestLog) {
    if log.keeps_order() {
        check(log, true).await;
    }
}
