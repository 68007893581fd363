//! The event store as the roles use it: they append and read plain events, and the log has encrypted ones.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use event_store::{
    Appended, DropError, Entry, EventStore, ImportError, Page, StoreError, StoredPage, StreamHead,
    UnfinishedImport, Unreadable,
};
use events::{
    DividedPayload, Encoding, EventDigest, EventId, LogPoint, NewEvent, RecordedEvent, StoredEvent,
    StreamName, UserId,
};
use futures::{StreamExt as _, stream::BoxStream};
use runtime::Backoff;

use crate::{
    KeyError, SubjectKeys,
    append_order::AppendOrder,
    data_key::Key,
    event_place::EventPlace,
    metadata, payload,
    stored::{self, person_in_clear},
    subject_keys::{SubjectKey, sealing_key},
};

/// The pauses between attempts to decrypt a page of a subscription.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));

/// The most events of an account that are read at once.
const ACCOUNT_PAGE: usize = 100;

/// Encrypts events that are appended to the store inside, and decrypts those that are read from it.
/// [`EventStore::stored_page`] and [`EventStore::stored_at`] return records as they are stored, encrypted.
///
/// While the database of keys is unavailable, appending and reading personal events fail as if the log were
/// unavailable; what else keeps this process from using keys is [`StoreError::KeysUnavailable`]. A
/// record that cannot be decrypted is an unreadable record; if the key of its person is damaged, lost, or wrapped
/// by a master key that this process does not have, the record
/// is available with placeholders ([`Unreadable::impersonal`]).
///
/// Appends about one person reach the store inside in the order in which their futures were first polled, unless one
/// waits for its key for more than five seconds.
#[derive(Clone)]
pub struct SealedStore {
    inner: Arc<dyn EventStore>,
    keys: SubjectKeys,
    order: AppendOrder,
    seals: bool,
}

impl SealedStore {
    /// Encrypts and decrypts in front of `inner`.
    pub fn over(inner: Arc<dyn EventStore>, keys: SubjectKeys) -> Arc<Self> {
        Self::new(inner, keys, true)
    }

    /// Decrypts, but appends plain events: while readers of an earlier release still run.
    pub fn only_opening(inner: Arc<dyn EventStore>, keys: SubjectKeys) -> Arc<Self> {
        Self::new(inner, keys, false)
    }

    fn new(inner: Arc<dyn EventStore>, keys: SubjectKeys, seals: bool) -> Arc<Self> {
        Arc::new(Self { inner, keys, order: AppendOrder::new(), seals })
    }

    async fn seal(
        &self,
        stream: &StreamName,
        expected_version: u64,
        events: &mut [NewEvent],
    ) -> Result<(), KeyError> {
        let divided: Vec<_> = events.iter().map(payload::divide).collect();
        let is_personal = |event: &NewEvent, divided: &Option<DividedPayload>| {
            divided.is_some() || metadata::needs_sealing(&event.metadata)
        };
        let subjects: BTreeSet<UserId> = events
            .iter()
            .zip(&divided)
            .filter(|(event, divided)| is_personal(event, divided))
            .map(|(event, _)| event.metadata.subject)
            .collect();
        if subjects.is_empty() {
            return Ok(());
        }
        let keys = self.keys_to_seal_with(&subjects).await?;
        let versions = (1..).map(|number| expected_version.saturating_add(number));
        for ((event, version), divided) in events.iter_mut().zip(versions).zip(divided) {
            if !is_personal(event, &divided) {
                continue;
            }
            let subject = event.metadata.subject;
            let key = sealing_key(&keys, subject)?;
            let place = EventPlace::new(stream, version, &event.kind);
            if let Some(divided) = divided {
                event.data = payload::sealed(divided, place, &key)?;
                event.encoding = Encoding::Sealed;
            }
            metadata::seal(&mut event.metadata, place, &key)?;
        }
        Ok(())
    }

    /// The keys of `subjects`. Missing ones are created, except for people with encrypted events in the log: a new
    /// key could not decrypt those, and would be in the way when the lost one is restored.
    async fn keys_to_seal_with(
        &self,
        subjects: &BTreeSet<UserId>,
    ) -> Result<HashMap<UserId, SubjectKey>, KeyError> {
        let mut keys = self.keys.of(subjects).await?;
        let mut missing = Vec::new();
        for subject in subjects {
            if keys.contains_key(subject) {
                continue;
            }
            if !self.has_sealed_events(*subject).await? {
                missing.push(*subject);
                continue;
            }
            // Another process may have created the key and appended meanwhile. Then the key is here by now.
            let created = self.keys.of(&BTreeSet::from([*subject])).await?;
            if created.is_empty() {
                self.keys.report_lost(*subject);
                return Err(KeyError::Lost(*subject));
            }
            keys.extend(created);
        }
        if !missing.is_empty() {
            keys.extend(self.keys.new_for(&missing).await?);
        }
        Ok(keys)
    }

    /// Whether there are encrypted events about `subject` in the log. An account of an earlier release begins with
    /// plain ones, so the whole account is read.
    async fn has_sealed_events(&self, subject: UserId) -> Result<bool, KeyError> {
        let account = StreamName::account(subject);
        // It is unknown whether a dropped payload was encrypted.
        let may_be_sealed = |event: &RecordedEvent| is_sealed(event) || event.is_dropped();
        let mut after = 0;
        loop {
            let page = self.inner.stream_page(&account, after, ACCOUNT_PAGE).await?;
            if page.entries.iter().flatten().any(may_be_sealed) {
                return Ok(true);
            }
            after = match page.version() {
                Some(last) if page.more => last,
                _ => return Ok(false),
            };
        }
    }
}

/// Whether any part of the event is encrypted.
fn is_sealed(event: &RecordedEvent) -> bool {
    payload::is_sealed(event) || metadata::is_sealed(&event.metadata)
}

/// Decrypts the events among `entries` in place.
async fn open(keys: &SubjectKeys, entries: &mut [Entry]) -> Result<(), KeyError> {
    let subjects: BTreeSet<UserId> = entries
        .iter()
        .flatten()
        .filter(|event| is_sealed(event))
        .map(|event| event.metadata.subject)
        .collect();
    if subjects.is_empty() {
        return Ok(());
    }
    let found = keys.of(&subjects).await?;
    for lost in subjects.iter().filter(|subject| !found.contains_key(subject)) {
        keys.report_lost(*lost);
    }
    for entry in entries {
        if let Ok(event) = entry
            && is_sealed(event)
            && let Err((reason, impersonal)) = open_one(event, found.get(&event.metadata.subject))
        {
            *entry = Err(Unreadable {
                position: event.position,
                stream: event.stream.clone(),
                version: event.version,
                id: Some(event.id),
                kind: event.kind.as_str().into(),
                subject: Some(event.metadata.subject),
                reason: reason.into(),
                impersonal,
            });
        }
    }
    Ok(())
}

/// Decrypts an event in place.
///
/// # Errors
/// Why it cannot be decrypted; with the event in placeholders if only its key is missing.
fn open_one(
    event: &mut RecordedEvent,
    key: Option<&SubjectKey>,
) -> Result<(), (String, Option<Box<RecordedEvent>>)> {
    let without_placeholders = |reason| (reason, None);
    let reason = match key {
        Some(SubjectKey::Live(key)) => return open_with(event, Some(key)).map_err(without_placeholders),
        Some(SubjectKey::Destroyed) => return open_with(event, None).map_err(without_placeholders),
        Some(SubjectKey::Damaged) => {
            "the key of its person is damaged: restore it from a backup of the keys".to_owned()
        }
        Some(SubjectKey::OtherMasterKey { id, place }) => {
            format!("the key of its person is wrapped by the master key {id}, which is not in {place}")
        }
        None => "the key of its person is missing: restore the keys from a backup".to_owned(),
    };
    let mut impersonal = event.clone();
    let impersonal = open_with(&mut impersonal, None).ok().map(|()| Box::new(impersonal));
    Err((reason, impersonal))
}

/// Decrypts an event in place, or uses placeholders if its key was destroyed.
fn open_with(event: &mut RecordedEvent, key: Option<&Key>) -> Result<(), String> {
    payload::open(event, key)?;
    let place = EventPlace::new(&event.stream, event.version, &event.kind);
    metadata::open(&mut event.metadata, place, key)
}

#[async_trait]
impl EventStore for SealedStore {
    async fn append(
        &self,
        stream: &StreamName,
        expected_version: u64,
        mut events: Vec<NewEvent>,
    ) -> Result<Appended, StoreError> {
        let subject = events.first().map(|event| event.metadata.subject);
        let Some(subject) = subject.filter(|_| self.seals) else {
            return self.inner.append(stream, expected_version, events).await;
        };
        // Also what is not encrypted keeps its place behind what is.
        let prepare = async move {
            self.seal(stream, expected_version, &mut events).await?;
            Ok::<_, StoreError>(self.inner.append(stream, expected_version, events))
        };
        self.order.keep(subject, prepare).await
    }

    async fn import(&self, after: LogPoint, events: &[StoredEvent]) -> Result<LogPoint, ImportError> {
        if !self.seals {
            return self.inner.import(after, events).await;
        }
        let mut events = events.to_vec();
        let mut people = BTreeSet::new();
        for event in &events {
            people.extend(person_in_clear(event).map_err(|reason| ImportError::refused(event, reason))?);
        }
        let keys = self.keys_to_seal_with(&people).await.map_err(StoreError::unavailable)?;
        for event in &mut events {
            stored::seal(event, &keys).map_err(StoreError::unavailable)?;
        }
        self.inner.import(after, &events).await
    }

    async fn drop_payloads(&self, events: &[EventDigest]) -> Result<u64, DropError> {
        self.inner.drop_payloads(events).await
    }

    fn check_import(&self, event: &StoredEvent) -> Result<(), ImportError> {
        self.inner.check_import(event)
    }

    async fn note_import(&self, unfinished: Option<&UnfinishedImport>) -> Result<(), StoreError> {
        self.inner.note_import(unfinished).await
    }

    async fn unfinished_import(&self) -> Result<Option<UnfinishedImport>, StoreError> {
        self.inner.unfinished_import().await
    }

    async fn stream_head(&self, stream: &StreamName) -> Result<Option<StreamHead>, StoreError> {
        self.inner.stream_head(stream).await
    }

    async fn stream_page(
        &self,
        stream: &StreamName,
        after_version: u64,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let mut page = self.inner.stream_page(stream, after_version, limit).await?;
        open(&self.keys, &mut page.entries).await?;
        Ok(page)
    }

    async fn log_page(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let mut page = self.inner.log_page(after, limit).await?;
        open(&self.keys, &mut page.entries).await?;
        Ok(page)
    }

    async fn stored_page(&self, after: i64, limit: usize) -> Result<StoredPage, StoreError> {
        self.inner.stored_page(after, limit).await
    }

    async fn record_at(&self, position: u64) -> Result<Option<Entry>, StoreError> {
        let mut found: Vec<Entry> = self.inner.record_at(position).await?.into_iter().collect();
        open(&self.keys, &mut found).await?;
        Ok(found.pop())
    }

    async fn stored_at(&self, position: u64) -> Result<Option<StoredEvent>, StoreError> {
        self.inner.stored_at(position).await
    }

    async fn head(&self) -> Result<u64, StoreError> {
        self.inner.head().await
    }

    async fn can_append(&self) -> Result<(), StoreError> {
        self.keys.can_make().await?;
        self.inner.can_append().await
    }

    async fn identify(&self, positions: &[u64]) -> Result<Vec<Option<EventId>>, StoreError> {
        self.inner.identify(positions).await
    }

    fn positions_are_dense(&self) -> bool {
        self.inner.positions_are_dense()
    }

    fn subscribe(&self, after: u64) -> BoxStream<'static, Page> {
        let keys = self.keys.clone();
        let pages = self.inner.subscribe(after).then(move |mut page| {
            let keys = keys.clone();
            async move {
                let mut backoff = BACKOFF;
                while let Err(error) = open(&keys, &mut page.entries).await {
                    tracing::warn!(%error, position = page.position(), "cannot open what was read of the log: trying again");
                    backoff.wait().await;
                }
                page
            }
        });
        pages.boxed()
    }

    async fn opened(&self, events: Vec<RecordedEvent>) -> Result<Vec<Entry>, StoreError> {
        let mut entries: Vec<Entry> = events.into_iter().map(Ok).collect();
        open(&self.keys, &mut entries).await?;
        Ok(entries)
    }
}
