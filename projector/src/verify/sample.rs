//! Compares some rows, chosen at random, with a fold of their streams: cheap however long the log is.

use std::collections::HashSet;

use database::Database;
use event_store::{EventStore, read_whole_stream};
use events::{Account, RecordedEvent, Session, StreamKind, StreamName, Task};
use rand::{RngExt as _, seq::IteratorRandom as _};
use uuid::Uuid;

use super::{
    Report, VerifyError, differences::Differences, exceptions::Exceptions, fold_in, rows::row_values,
    rows::slot_values,
};
use crate::{checkpoint, models::Model};

/// Logs up to this position are read as a whole to find streams, since chance would miss some.
const SHORT: u64 = 10_000;

/// Chooses up to `size` tasks, as many accounts and as many sessions at random, those with more events more
/// likely, and compares their rows with folds of their streams. May run beside a projector at work.
///
/// # Errors
/// When the log or the read models cannot be read.
pub async fn verify_sample(
    store: &dyn EventStore,
    read_models: &Database,
    size: usize,
) -> Result<Report, VerifyError> {
    let reached = checkpoint::completed(read_models).await?;
    let mut sample = Sample {
        store,
        read_models,
        reached,
        report: Report {
            position: reached,
            ..Report::default()
        },
        differences: Differences::default(),
    };
    for stream in choose(store, reached, size).await? {
        match stream.kind() {
            Ok(StreamKind::Task(id)) => {
                sample.report.tasks += 1;
                sample.compare::<Task>(id.0, &stream).await?;
            }
            Ok(StreamKind::Account(id)) => {
                sample.report.accounts += 1;
                sample.compare::<Account>(id.0, &stream).await?;
            }
            Ok(StreamKind::Session(id)) => {
                sample.report.sessions += 1;
                sample.compare::<Session>(id.0, &stream).await?;
            }
            Ok(StreamKind::Email(_) | StreamKind::Admins) | Err(_) => {}
        }
    }
    let Sample {
        mut report,
        differences,
        ..
    } = sample;
    report.differences = differences.list();
    Ok(report)
}

struct Sample<'a> {
    store: &'a dyn EventStore,
    read_models: &'a Database,
    /// Everything up to here has been projected.
    reached: u64,
    report: Report,
    differences: Differences,
}

impl Sample<'_> {
    async fn compare<M: Model>(&mut self, id: Uuid, stream: &StreamName) -> Result<(), VerifyError> {
        // What is parked, discarded or erased may change between the reads: then the second look is right.
        let mut found = self.look::<M>(id, stream).await?;
        if found.is_some() {
            found = self.look::<M>(id, stream).await?;
        }
        if let Some(difference) = found {
            self.differences.add(difference);
        }
        Ok(())
    }

    /// What is wrong with the row, if anything.
    async fn look<M: Model>(&mut self, id: Uuid, stream: &StreamName) -> Result<Option<String>, VerifyError> {
        let table = M::TABLE;
        let sql = format!("SELECT * FROM {} WHERE id = $1", table.name);
        let row = self.read_models.fetch_optional(&sql, &[id.into()]).await?;
        let exceptions = Exceptions::load(self.read_models).await?;
        let events = read_whole_stream(self.store, stream).await?;
        self.report.events += events.len() as u64;
        let is_erased = events
            .first()
            .is_some_and(|event| exceptions.erased_at(event.metadata.subject).is_some());
        let fold = |until: &dyn Fn(&RecordedEvent) -> bool| {
            let mut fold = exceptions.fold();
            for event in events.iter().filter(|event| until(event)) {
                fold_in(&mut fold, event.clone().into());
            }
            M::slots(&mut fold).0.remove(&id)
        };
        let due = fold(&|event| event.position <= self.reached).filter(|_| !is_erased);
        let Some(row) = row else {
            return Ok(due.map(|_| format!("{} lacks row {id}", table.name)));
        };
        if is_erased {
            return Ok(Some(format!(
                "{} has row {id} of someone who was erased",
                table.name
            )));
        }
        let version = row.unsigned("version")?;
        if let Some(due) = due
            && version < due.state.version()
        {
            return Ok(Some(format!(
                "{} differs in row {id}: it is at version {version}, the log at {}",
                table.name,
                due.state.version()
            )));
        }
        let Some(expected) = fold(&|event| event.version <= version) else {
            return Ok(Some(format!(
                "{} has row {id}, which should not be there",
                table.name
            )));
        };
        let (expected, found) = (slot_values(&expected), row_values(table, &row)?);
        let columns: Vec<&str> = table
            .columns
            .iter()
            .zip(expected.iter().zip(&found))
            .filter(|(_, (expected, found))| expected != found)
            .map(|((name, _), _)| *name)
            .collect();
        Ok((!columns.is_empty())
            .then(|| format!("{} differs in row {id}: {}", table.name, columns.join(", "))))
    }
}

/// Up to `size` streams of each kind with events up to `reached`.
async fn choose(store: &dyn EventStore, reached: u64, size: usize) -> Result<Vec<StreamName>, VerifyError> {
    let mut kinds: [HashSet<StreamName>; 3] = Default::default();
    let add = |kinds: &mut [HashSet<StreamName>; 3], stream: StreamName, most: usize| {
        let kind = match stream.kind() {
            Ok(StreamKind::Task(_)) => 0,
            Ok(StreamKind::Account(_)) => 1,
            Ok(StreamKind::Session(_)) => 2,
            Ok(StreamKind::Email(_) | StreamKind::Admins) | Err(_) => return,
        };
        if kinds[kind].len() < most {
            kinds[kind].insert(stream);
        }
    };
    if reached <= SHORT {
        let mut after = 0;
        while after < reached {
            let page = store.read_all(after, super::PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            for event in page {
                add(&mut kinds, event.stream, usize::MAX);
            }
        }
        return Ok(kinds
            .into_iter()
            .flat_map(|streams| streams.into_iter().sample(&mut rand::rng(), size))
            .collect());
    }
    // Some kinds may be rare or missing, so the tries are bounded.
    for _ in 0..size.saturating_mul(8) {
        if kinds.iter().all(|streams| streams.len() >= size) {
            break;
        }
        let after = rand::rng().random_range(0..reached);
        for event in store.read_all(after, 1).await? {
            add(&mut kinds, event.stream, size);
        }
    }
    Ok(kinds.into_iter().flatten().collect())
}
