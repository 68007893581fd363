//! Payloads: sealed on their way into the log, opened on their way out. Pure, but for the nonce.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bytes::Bytes;
use events::{
    DividedPayload, Encoding, NewEvent, RecordedEvent, StoredEvent, StreamName, divide_payload,
    erased_payload, sealed_part, unite_payload,
};

use crate::{
    KeyError,
    data_key::{Key, place},
};

/// The part of an event that this is about.
const PART: &str = "data";

/// The payload of `event` in two parts, if anything in it is to be sealed.
pub(crate) fn divide(event: &NewEvent) -> Option<DividedPayload> {
    match event.encoding {
        Encoding::Json => divide_payload(&event.data),
        Encoding::Sealed | Encoding::Dropped => None,
    }
}

/// Gives `event`, which becomes `version` of `stream`, its payload `divided`, with what is personal in it sealed.
pub(crate) fn seal(
    event: &mut NewEvent,
    divided: DividedPayload,
    stream: &StreamName,
    version: u64,
    key: &Key,
) -> Result<(), KeyError> {
    event.data = sealed(divided, stream, version, &event.kind, key)?;
    event.encoding = Encoding::Sealed;
    Ok(())
}

/// The payload `divided` with what is personal in it sealed, of an event of this type that is `version` of `stream`.
pub(crate) fn sealed(
    divided: DividedPayload,
    stream: &StreamName,
    version: u64,
    kind: &str,
    key: &Key,
) -> Result<Bytes, KeyError> {
    let sealed = key.seal(&place(stream, version, kind, PART), &divided.personal)?;
    Ok(divided.with_sealed(&BASE64URL.encode(sealed)))
}

/// Whether the payload `data` of `event` is what [`sealed`] made of `divided`; without a key, as far as that can be told.
pub(crate) fn is_sealed_copy(
    data: &[u8],
    divided: DividedPayload,
    event: &StoredEvent,
    key: Option<&Key>,
) -> bool {
    let Some(text) = sealed_part(data) else {
        return false;
    };
    let version = u64::try_from(event.version).unwrap_or_default();
    let place = place(&StreamName::raw(&*event.stream), version, &event.kind, PART);
    let is_personal = key.is_none_or(|key| {
        let opened = BASE64URL
            .decode(&text)
            .ok()
            .and_then(|sealed| key.open(&place, &sealed));
        opened.is_some_and(|opened| *opened == divided.personal)
    });
    is_personal && divided.with_sealed(&text) == data
}

/// Whether `event` holds anything that has to be opened.
pub(crate) fn is_sealed(event: &RecordedEvent) -> bool {
    event.encoding == Encoding::Sealed
}

/// Opens the payload of `event` with its subject's key, or without one puts placeholders in the place of what is gone.
///
/// # Errors
/// In a sentence, when it does not open.
pub(crate) fn open(event: &mut RecordedEvent, key: Option<&Key>) -> Result<(), String> {
    if !is_sealed(event) {
        return Ok(());
    }
    let opened = match key {
        None => erased_payload(&event.data),
        Some(key) => {
            let associated = place(&event.stream, event.version, &event.kind, PART);
            sealed_part(&event.data)
                .and_then(|sealed| BASE64URL.decode(sealed).ok())
                .and_then(|sealed| key.open(&associated, &sealed))
                .and_then(|personal| unite_payload(&event.data, &personal))
        }
    };
    event.data =
        opened.ok_or("what is personal in it was not sealed for this place and person, or was changed")?;
    event.encoding = Encoding::Json;
    Ok(())
}
