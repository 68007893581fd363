//! Imports an export into a store. `inspect` checks the whole export and compares it with the events of the store, and
//! `import` writes those that the store lacks. After an interruption, the same two steps continue the import.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Seek as _},
};

use event_store::{
    EventStore, ImportError as Refused, PAGE_BYTES, StoreError, StoredEvents, UnfinishedImport, check_import,
    head_point,
};
use events::{LogPoint, StoredEvent, UserId};
use sealing::{KeyError, SubjectKeys, erased_person, person_in_clear, sealed_person, sealed_sample};

use crate::{End, ReadError, Reader, export::signed};

/// The most events that are written in one batch.
const PAGE: usize = 1_000;

/// Why an export is not imported.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant has its message")]
pub enum ImportError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(
        "the export begins after position {0} of its log: only one from the beginning on can be imported"
    )]
    Partial(i64),
    #[error(
        "the log that is there is another one: its event at position {position} is not the one of line {line} of the export"
    )]
    Another {
        /// The position of the event in the store.
        position: i64,
        /// The line of the export that has another event.
        line: u64,
    },
    #[error(
        "an import of {0} events into this log has begun and not ended, and this export has fewer than are there already: go on with that one"
    )]
    OtherUnfinished(u64),
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> Self {
        Self::Read(error.into())
    }
}

/// What an export contains, and which of its events a store has.
#[derive(Debug, Default)]
pub struct Inspection {
    /// The end of the export.
    pub end: End,
    /// The number of events that the store has, which are the first ones of the export.
    pub present: u64,
    /// Whether the store has events after all of those in the export.
    pub goes_on: bool,
    /// Whether the positions in the export are 1, 2, 3 …, as those of the SQL stores are.
    pub is_dense: bool,
    /// The number of events with personal data in clear which are sealed in the store, or will be.
    pub sealed_on_the_way: u64,
    /// The number of events with personal data in clear which are in clear in the store, too, or will be.
    pub stays_in_clear: u64,
    /// The people whose personal data is sealed in the export.
    pub sealed: BTreeSet<UserId>,
    /// The people whose personal data is in the export, sealed or in clear.
    pub people: BTreeSet<UserId>,
    /// The people whom the export erases.
    pub erased: BTreeSet<UserId>,
    /// Whether an import into the store has begun and not ended.
    pub is_unfinished: bool,
    /// The end of the log in the store.
    log_end: LogPoint,
}

impl Inspection {
    /// The number of events that are to be imported.
    pub fn missing(&self) -> u64 {
        self.end.events - self.present
    }
}

/// Reads and checks a whole export, and compares it with the events of `store`. With `keys`, an event that is sealed in
/// `store` is compared with one in clear of the export. `seals` says whether `store` seals personal data of new events.
/// `progress` gets the number of events that were read.
///
/// # Errors
/// When the export is damaged, `store` has another log, or `store` cannot hold an event. All reasons to refuse an
/// export are found here, before anything is written.
pub async fn inspect(
    file: &mut File,
    store: Option<&dyn EventStore>,
    keys: Option<&SubjectKeys>,
    seals: bool,
    mut progress: impl FnMut(u64),
) -> Result<Inspection, ImportError> {
    let (log_end, unfinished) = match store {
        Some(store) => (head_point(store).await?, store.unfinished_import().await?),
        None => (LogPoint::default(), None),
    };
    let log = store.map(|store| StoredEvents::new(store, 0, signed(log_end.position)));
    let mut inspector = Inspector {
        store,
        keys,
        seals,
        log: log.unwrap_or_default(),
        found: Inspection {
            is_dense: true,
            is_unfinished: unfinished.is_some(),
            log_end,
            ..Inspection::default()
        },
    };
    file.rewind()?;
    let mut reader = Reader::new(BufReader::new(file)).checking_versions();
    while let Some(event) = reader.next_stored()? {
        let line = reader.line_number();
        inspector.inspect(&event, line).await?;
        if line.is_multiple_of(PAGE as u64) {
            progress(line);
        }
    }
    let mut found = inspector.found;
    found.end = end_of_whole(&reader)?;
    progress(found.end.events);
    found.goes_on = inspector.log.next().await?.is_some();
    found.people.extend(&found.sealed);
    match unfinished {
        Some(other) if found.goes_on && other.root != found.end.root => {
            Err(ImportError::OtherUnfinished(other.events))
        }
        _ => Ok(found),
    }
}

/// The end of an export that was read, which must be complete and begin with the first event of its log.
fn end_of_whole(reader: &Reader<impl BufRead>) -> Result<End, ImportError> {
    match reader.end() {
        Some(end) if end.after == 0 => Ok(end.clone()),
        Some(end) => Err(ImportError::Partial(end.after)),
        None => Err(ReadError::Unfinished { lines: reader.line_number() }.into()),
    }
}

/// Compares the events of an export one by one with those of a store.
struct Inspector<'a> {
    store: Option<&'a dyn EventStore>,
    keys: Option<&'a SubjectKeys>,
    seals: bool,
    /// The events of the store that were not compared yet.
    log: StoredEvents<'a>,
    /// The results so far.
    found: Inspection,
}

impl Inspector<'_> {
    async fn inspect(&mut self, event: &StoredEvent, line: u64) -> Result<(), ImportError> {
        self.found.is_dense &= u64::try_from(event.position) == Ok(line);
        self.found.sealed.extend(sealed_person(event));
        self.found.erased.extend(erased_person(event));
        let person = self.person_in_clear(event, line)?;
        self.found.people.extend(person);
        let is_sealed = match self.log.next().await? {
            Some(there) => self.is_sealed_there(&there, event, line).await?,
            None => {
                self.check_missing(event, person.is_some())?;
                self.seals
            }
        };
        match is_sealed {
            true => self.found.sealed_on_the_way += u64::from(person.is_some()),
            false => self.found.stays_in_clear += u64::from(person.is_some()),
        }
        Ok(())
    }

    /// The person whose personal data is in the event in clear.
    fn person_in_clear(&self, event: &StoredEvent, line: u64) -> Result<Option<UserId>, ImportError> {
        match person_in_clear(event) {
            Ok(person) => Ok(person),
            Err(reason) if self.seals => {
                let reason = format!("what is personal in it cannot be sealed: {reason}");
                Err(ReadError::Line { number: line, reason }.into())
            }
            Err(_) => Ok(None),
        }
    }

    /// Whether the event is sealed in the store, where it is `there`. Fails if the two are not the same event.
    async fn is_sealed_there(
        &mut self,
        there: &StoredEvent,
        event: &StoredEvent,
        line: u64,
    ) -> Result<bool, ImportError> {
        let is_sealed = compare(there, event, self.keys).await?;
        self.found.present += u64::from(is_sealed.is_some());
        is_sealed.ok_or(ImportError::Another { position: there.position, line })
    }

    /// Fails if the store would refuse an event that it lacks.
    fn check_missing(&self, event: &StoredEvent, is_in_clear: bool) -> Result<(), ImportError> {
        // Sealing makes an event larger, so the check is of a sealed one.
        let sealed = (self.seals && is_in_clear).then(|| sealed_sample(event)).transpose()?;
        let event = sealed.as_ref().unwrap_or(event);
        match self.store {
            Some(store) => store.check_import(event)?,
            None => check_import(event)?,
        }
        Ok(())
    }
}

/// Writes the events of an inspected export that `store` lacks, and returns the end of the log. `progress` gets the
/// number of events of the export that the store has. The store notes that an import has begun; the caller ends it with
/// [`EventStore::note_import`].
///
/// # Errors
/// When the file was changed after its inspection, or the store refuses an event. Events that were written stay: they
/// are the beginning of the export, and the next attempt continues after them.
pub async fn import(
    file: &mut File,
    inspection: &Inspection,
    store: &dyn EventStore,
    mut progress: impl FnMut(u64),
) -> Result<LogPoint, ImportError> {
    file.rewind()?;
    let mut reader = Reader::new(BufReader::new(file));
    let mut end = inspection.log_end;
    if inspection.missing() == 0 {
        return Ok(end);
    }
    let begun = UnfinishedImport { events: inspection.end.events, root: inspection.end.root.clone() };
    store.note_import(Some(&begun)).await?;
    let (mut batch, mut bytes) = (Vec::new(), 0);
    loop {
        let event = reader.next_stored()?;
        let is_last = event.is_none();
        if let Some(event) = event.filter(|_| reader.line_number() > inspection.present) {
            bytes += event.data.size() + event.metadata.len();
            batch.push(event);
        }
        if is_last || batch.len() >= PAGE || bytes >= PAGE_BYTES {
            end = store.import(end, &batch).await?;
            progress(reader.line_number().min(inspection.end.events));
            (batch, bytes) = (Vec::new(), 0);
        }
        if is_last {
            return Ok(end);
        }
    }
}

/// Compares an event of the export with the event `there` of the store, without their positions. Returns `Some(false)`
/// when their bytes are the same, `Some(true)` when the one in the store is sealed, and `None` when they are different.
async fn compare(
    there: &StoredEvent,
    event: &StoredEvent,
    keys: Option<&SubjectKeys>,
) -> Result<Option<bool>, KeyError> {
    let mut moved = StoredEvent { position: there.position, ..event.clone() };
    // One of the two logs may have dropped the payload since the export.
    if moved.data.is_same(&there.data) {
        moved.data = there.data.clone();
    }
    match keys {
        _ if moved == *there => Ok(Some(false)),
        Some(keys) => Ok(keys.is_sealed_copy(there, event).await?.then_some(true)),
        None => Ok(None),
    }
}
