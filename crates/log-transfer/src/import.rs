//! Brings an export into a store: first everything is checked and compared with what the store has, then what is missing there
//! is written. Broken off anywhere and begun again, it goes on where it was.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead, BufReader, Seek as _},
};

use event_store::{
    EventStore, ImportError as Refused, PAGE_BYTES, StoreError, UnfinishedImport, check_import, head_point,
};
use events::{LogPoint, StoredEvent, UserId};
use sealing::{KeyError, SubjectKeys, erased_person, person_in_clear, sealed_person, sealed_sample};

use crate::{End, ReadError, Reader, StoredEvents};

/// Events written at once.
const PAGE: usize = 1_000;

/// Why an export is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The export is wrong.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It does not begin with the first event of its log.
    #[error(
        "the export begins after position {0} of its log: only one from the beginning on can be imported"
    )]
    Partial(i64),
    /// The store has events that the export does not have.
    #[error(
        "the log that is there is another one: its event at position {position} is not the one of line {line} of the export"
    )]
    Another {
        /// Where in the store.
        position: i64,
        /// Which line it should be.
        line: u64,
    },
    /// The log is a part of another one, and has more than this export.
    #[error(
        "an import of {0} events into this log has begun and not ended, and this export has fewer than are there already: go on with that one"
    )]
    OtherUnfinished(u64),
    /// The store does not take an event.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys of people cannot be had.
    #[error(transparent)]
    Keys(#[from] KeyError),
}

impl From<io::Error> for ImportError {
    fn from(error: io::Error) -> Self {
        Self::Read(error.into())
    }
}

/// What an export has, and how it compares with a store.
#[derive(Debug)]
pub struct Inspection {
    /// The end of the export.
    pub end: End,
    /// How many of its events, the first ones, the store has.
    pub present: u64,
    /// The store has events after all of those in the export.
    pub goes_on: bool,
    /// Its positions are 1, 2, 3 …, as those of the stores in SQL are.
    pub is_dense: bool,
    /// How many of its events say something in clear that is personal, and are sealed in the log, or will be.
    pub sealed_on_the_way: u64,
    /// How many of them say so in the log, too, or will.
    pub stays_in_clear: u64,
    /// About whom something is sealed in it.
    pub sealed: BTreeSet<UserId>,
    /// About whom something personal is in it, sealed or in clear.
    pub people: BTreeSet<UserId>,
    /// Whom it erases.
    pub erased: BTreeSet<UserId>,
    /// An import into the store has begun and not ended.
    pub is_unfinished: bool,
    /// Where the store ends.
    log_end: LogPoint,
}

impl Inspection {
    /// How many events are to be imported.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.end.events - self.present
    }
}

/// Reads all of an export and checks it, and compares it with `store` as far as that goes. `keys` tell whether what is sealed
/// there is what is in clear in the export; `seals` says whether `store` seals that. `progress` is told how many events were read.
///
/// # Errors
/// When the export is wrong, `store` has another log, or it cannot hold an event: an import refuses nothing that is not refused
/// here.
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
    let mut inspector = Inspector {
        store,
        keys,
        seals,
        log: store.map_or_else(StoredEvents::default, |store| {
            StoredEvents::new(store, 0, log_end.position)
        }),
        found: Found::default(),
    };
    let mut is_dense = true;
    file.rewind()?;
    let mut reader = Reader::new(BufReader::new(file)).checking_versions();
    while let Some(event) = reader.next_stored()? {
        let line = reader.line_number();
        is_dense &= u64::try_from(event.position) == Ok(line);
        inspector.look_at(&event, line).await?;
        if line.is_multiple_of(PAGE as u64) {
            progress(line);
        }
    }
    let end = whole_end(&reader)?;
    progress(end.events);
    let goes_on = inspector.log.next().await?.is_some();
    match &unfinished {
        Some(other) if goes_on && other.root != end.root => {
            return Err(ImportError::OtherUnfinished(other.events));
        }
        _ => {}
    }
    let mut found = inspector.found;
    found.people.extend(&found.sealed);
    Ok(Inspection {
        end,
        present: found.present,
        goes_on,
        is_dense,
        sealed_on_the_way: found.sealed_on_the_way,
        stays_in_clear: found.stays_in_clear,
        sealed: found.sealed,
        people: found.people,
        erased: found.erased,
        is_unfinished: unfinished.is_some(),
        log_end,
    })
}

/// The end of an export that has been read, which must be whole.
fn whole_end(reader: &Reader<impl BufRead>) -> Result<End, ImportError> {
    match reader.end() {
        Some(end) if end.after == 0 => Ok(end.clone()),
        Some(end) => Err(ImportError::Partial(end.after)),
        None => Err(ReadError::Unfinished {
            lines: reader.line_number(),
        }
        .into()),
    }
}

/// Looks at the events of an export one by one, beside those of the store.
struct Inspector<'a> {
    store: Option<&'a dyn EventStore>,
    keys: Option<&'a SubjectKeys>,
    seals: bool,
    log: StoredEvents<'a>,
    found: Found,
}

/// What the events so far have. The fields are those of [`Inspection`].
#[derive(Default)]
struct Found {
    present: u64,
    sealed_on_the_way: u64,
    stays_in_clear: u64,
    sealed: BTreeSet<UserId>,
    people: BTreeSet<UserId>,
    erased: BTreeSet<UserId>,
}

impl Inspector<'_> {
    async fn look_at(&mut self, event: &StoredEvent, line: u64) -> Result<(), ImportError> {
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

    /// About whom the event says something personal in clear.
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

    /// Whether the event was sealed on its way to the one `there`, which must be the same.
    async fn is_sealed_there(
        &mut self,
        there: &StoredEvent,
        event: &StoredEvent,
        line: u64,
    ) -> Result<bool, ImportError> {
        let is_sealed = compare(there, event, self.keys).await?;
        self.found.present += u64::from(is_sealed.is_some());
        is_sealed.ok_or(ImportError::Another {
            position: there.position,
            line,
        })
    }

    /// Whether the store takes an event that it does not have.
    fn check_missing(&self, event: &StoredEvent, is_in_clear: bool) -> Result<(), ImportError> {
        // What is sealed on the way is larger.
        let sealed = (self.seals && is_in_clear)
            .then(|| sealed_sample(event))
            .transpose()?;
        let event = sealed.as_ref().unwrap_or(event);
        match self.store {
            Some(store) => store.check_import(event)?,
            None => check_import(event)?,
        }
        Ok(())
    }
}

/// Writes what `store` lacks of an export that was inspected. `progress` is told how many events of the export are there.
/// Returns the end of the log. The import is noted in the store as begun: it has ended once [`EventStore::note_import`] says so.
///
/// # Errors
/// When the file is not the one that was inspected any more, or the store does not take an event: what was written until then
/// is the beginning of the export, and another try goes on after it.
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
    let begun = UnfinishedImport {
        events: inspection.end.events,
        root: inspection.end.root.clone(),
    };
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

/// Whether the event `there` in the store is the one of the export, in whatever position: `Some(true)` when it was sealed on its
/// way, `Some(false)` when its bytes are the same.
async fn compare(
    there: &StoredEvent,
    event: &StoredEvent,
    keys: Option<&SubjectKeys>,
) -> Result<Option<bool>, KeyError> {
    let mut moved = StoredEvent {
        position: there.position,
        ..event.clone()
    };
    // One of the two logs may have dropped it since.
    if moved.data.is_same(&there.data) {
        moved.data = there.data.clone();
    }
    match keys {
        _ if moved == *there => Ok(Some(false)),
        Some(keys) => Ok(keys.is_sealed_copy(there, event).await?.then_some(true)),
        None => Ok(None),
    }
}
