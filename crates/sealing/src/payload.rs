//! Encrypts payloads on their way into the log, and decrypts them on their way out. Pure, except for the nonce.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use bytes::Bytes;
use events::{
    DividedPayload, Encoding, NewEvent, RecordedEvent, StoredEvent, divide_payload, erased_payload,
    sealed_part, unite_payload,
};

use crate::{KeyError, data_key::Key, event_place::EventPlace};

/// The name of the payload in the associated data.
const PART: &str = "data";

/// The payload of `event` in two parts; `None` if nothing in it is personal.
pub(crate) fn divide(event: &NewEvent) -> Option<DividedPayload> {
    match event.encoding {
        Encoding::Json => divide_payload(&event.data),
        Encoding::Sealed | Encoding::Dropped => None,
    }
}

/// The payload `divided` of the event at `place` with its personal part encrypted.
pub(crate) fn sealed(divided: DividedPayload, place: EventPlace<'_>, key: &Key) -> Result<Bytes, KeyError> {
    let sealed = key.seal(&place.associated(PART), &divided.personal)?;
    Ok(divided.with_sealed(&BASE64URL.encode(sealed)))
}

/// Whether the payload `data` of `event` is the result of [`sealed`] for `divided`. Without a key it compares what
/// can be compared.
pub(crate) fn is_sealed_copy(
    data: &[u8],
    divided: DividedPayload,
    event: &StoredEvent,
    key: Option<&Key>,
) -> bool {
    let Some(text) = sealed_part(data) else {
        return false;
    };
    let associated = EventPlace::of_stored(event).associated(PART);
    let is_personal = key.is_none_or(|key| {
        let opened = BASE64URL.decode(&text).ok().and_then(|sealed| key.open(&associated, &sealed));
        opened.is_some_and(|opened| *opened == divided.personal)
    });
    is_personal && divided.with_sealed(&text) == data
}

/// Whether the payload of `event` is encrypted.
pub(crate) fn is_sealed(event: &RecordedEvent) -> bool {
    event.encoding == Encoding::Sealed
}

/// Decrypts the payload of `event` with its subject's key. Without a key it uses placeholders.
///
/// # Errors
/// A sentence, when it cannot be decrypted.
pub(crate) fn open(event: &mut RecordedEvent, key: Option<&Key>) -> Result<(), String> {
    if !is_sealed(event) {
        return Ok(());
    }
    let opened = match key {
        None => erased_payload(&event.data),
        Some(key) => {
            let associated = EventPlace::new(&event.stream, event.version, &event.kind).associated(PART);
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
