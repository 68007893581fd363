//! Stored events that are copied into another log: finds what is still in clear, encrypts it, and recognises
//! encrypted copies.

use std::collections::HashMap;

use bytes::Bytes;
use events::{
    AccountErased, Encoding, Metadata, StoredEvent, StreamKind, StreamName, UserId, divide_payload,
};

use crate::{
    KeyError, SubjectKeys,
    event_place::EventPlace,
    metadata, payload,
    subject_keys::{SubjectKey, sealing_key},
};

/// The person that this event erases.
pub fn erased_person(event: &StoredEvent) -> Option<UserId> {
    match StreamName::raw(&*event.stream).kind() {
        Ok(StreamKind::Account(id)) if AccountErased::has_kind(&event.kind) => Some(id),
        _ => None,
    }
}

/// The person whose key encrypts a part of this event.
pub fn sealed_person(event: &StoredEvent) -> Option<UserId> {
    let metadata = read_metadata(event).ok()?;
    let is_sealed = event.encoding == Encoding::Sealed.as_str() || metadata::is_sealed(&metadata);
    is_sealed.then_some(metadata.subject)
}

/// The person whose personal data this event has in clear.
///
/// # Errors
/// A sentence, when this build cannot read enough of the event.
pub fn person_in_clear(event: &StoredEvent) -> Result<Option<UserId>, String> {
    let encoding: Encoding = event.encoding.parse()?;
    let metadata = read_metadata(event)?;
    let payload = event.data.whole();
    let is_clear = encoding == Encoding::Json && payload.is_some_and(|data| divide_payload(data).is_some());
    Ok((is_clear || metadata::is_in_clear(&metadata)).then_some(metadata.subject))
}

/// Encrypts the personal data in clear of `event`, whose metadata must be readable.
pub(crate) fn seal(event: &mut StoredEvent, keys: &HashMap<UserId, SubjectKey>) -> Result<(), KeyError> {
    let (Ok(Some(person)), Ok(mut metadata)) = (person_in_clear(event), read_metadata(event)) else {
        return Ok(());
    };
    let key = sealing_key(keys, person)?;
    if event.encoding == Encoding::Json.as_str()
        && let Some(divided) = event.data.whole().and_then(|data| divide_payload(data))
    {
        event.data = payload::sealed(divided, EventPlace::of_stored(event), &key)?.into();
        Encoding::Sealed.as_str().clone_into(&mut event.encoding);
    }
    if metadata::is_in_clear(&metadata) {
        metadata::seal_what_is_clear(&mut metadata, EventPlace::of_stored(event), &key)?;
        event.metadata = serde_json::to_vec(&metadata).map_err(|_| KeyError::Unusable)?.into();
    }
    Ok(())
}

/// The event encrypted under a key that is thrown away. It has the right size for checking whether a store can hold
/// the event.
///
/// # Errors
/// When encryption fails.
pub fn sealed_sample(event: &StoredEvent) -> Result<StoredEvent, KeyError> {
    let mut sealed = event.clone();
    if let Ok(Some(person)) = person_in_clear(event) {
        seal(&mut sealed, &HashMap::from([(person, SubjectKey::Destroyed)]))?;
    }
    Ok(sealed)
}

impl SubjectKeys {
    /// Whether `copy` is `original` with its personal data encrypted, at any position. For an erased person the
    /// encrypted part cannot be compared.
    ///
    /// # Errors
    /// When the keys are unavailable.
    pub async fn is_sealed_copy(&self, copy: &StoredEvent, original: &StoredEvent) -> Result<bool, KeyError> {
        let (Ok(metadata), Ok(of_copy)) = (read_metadata(original), read_metadata(copy)) else {
            return Ok(false);
        };
        let person = metadata.subject;
        let key = match self.of(&[person].into()).await?.remove(&person) {
            Some(SubjectKey::Live(key)) => Some(key),
            Some(SubjectKey::Destroyed) => None,
            Some(SubjectKey::Damaged | SubjectKey::OtherMasterKey { .. }) | None => return Ok(false),
        };
        let same_payload = match (&*original.encoding, &*copy.encoding) {
            ("json", "sealed") => {
                let divided = original.data.whole().and_then(|data| divide_payload(data));
                let parts = divided.zip(copy.data.whole());
                parts.is_some_and(|(divided, data)| {
                    payload::is_sealed_copy(data, divided, copy, key.as_deref())
                })
            }
            (before, after) => before == after && original.data.is_same(&copy.data),
        };
        let same_metadata = original.metadata == copy.metadata
            || metadata::is_sealed_copy(&of_copy, &metadata, copy, key.as_deref());
        let place = |event: &StoredEvent| StoredEvent {
            position: 0,
            encoding: String::new(),
            metadata: Bytes::new(),
            data: Bytes::new().into(),
            ..event.clone()
        };
        Ok(same_payload && same_metadata && place(copy) == place(original))
    }
}

fn read_metadata(event: &StoredEvent) -> Result<Metadata, String> {
    serde_json::from_slice(&event.metadata).map_err(|error| format!("metadata: {error}"))
}
