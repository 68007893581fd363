//! Encrypts the texts of metadata that clients choose: the request id and the idempotency key. A text in the form of
//! a UUID says nothing about a person, and stays as it is.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use events::{ERASED, Metadata, StoredEvent};
use ring::aead::{CHACHA20_POLY1305, NONCE_LEN};
use uuid::Uuid;

use crate::{KeyError, data_key::Key, event_place::EventPlace};

/// The prefix of an encrypted text.
const PREFIX: &str = "sealed:";
/// The most bytes of a text that are kept: more than the API accepts, and few enough to fit when encrypted.
const MAX_BYTES: usize = 264;
const MAX_BYTES_OF_CORRELATION_ID: usize = 128;

/// Whether any text must be encrypted.
pub(crate) fn needs_sealing(metadata: &Metadata) -> bool {
    texts(metadata).any(|(_, text)| !is_id(text))
}

/// Whether any text is encrypted.
pub(crate) fn is_sealed(metadata: &Metadata) -> bool {
    texts(metadata).any(|(_, text)| sealed_bytes(text).is_some())
}

/// Whether any text of stored metadata is neither encrypted nor an id.
pub(crate) fn is_in_clear(metadata: &Metadata) -> bool {
    texts(metadata).any(|(_, text)| !is_id(text) && sealed_bytes(text).is_none())
}

/// Encrypts the metadata of the event at `place`.
pub(crate) fn seal(metadata: &mut Metadata, place: EventPlace<'_>, key: &Key) -> Result<(), KeyError> {
    seal_unless(is_id, metadata, place, key)
}

/// The same for stored metadata, in which some texts may be encrypted already.
pub(crate) fn seal_what_is_clear(
    metadata: &mut Metadata,
    place: EventPlace<'_>,
    key: &Key,
) -> Result<(), KeyError> {
    let stays = |text: &str| is_id(text) || sealed_bytes(text).is_some();
    seal_unless(stays, metadata, place, key)
}

/// Encrypts every text except those for which `stays` is true.
fn seal_unless(
    stays: impl Fn(&str) -> bool,
    metadata: &mut Metadata,
    place: EventPlace<'_>,
    key: &Key,
) -> Result<(), KeyError> {
    replace(metadata, |part, text| match stays(text) {
        true => Ok(None),
        false => sealed(part, text, place, key).map(Some),
    })
}

fn sealed(part: &str, text: &str, place: EventPlace<'_>, key: &Key) -> Result<String, KeyError> {
    let sealed = key.seal(&place.associated(part), kept(part, text).as_bytes())?;
    Ok(format!("{PREFIX}{}", BASE64URL.encode(sealed)))
}

/// The part of a text that is kept when it is encrypted.
fn kept<'a>(part: &str, text: &'a str) -> &'a str {
    let most = match part {
        "correlation_id" => MAX_BYTES_OF_CORRELATION_ID,
        _ => MAX_BYTES,
    };
    &text[..text.floor_char_boundary(most)]
}

/// Whether `copy`, the metadata of `event`, is the result of [`seal_what_is_clear`] for `original`. Without a key it
/// compares what can be compared.
pub(crate) fn is_sealed_copy(
    copy: &Metadata,
    original: &Metadata,
    event: &StoredEvent,
    key: Option<&Key>,
) -> bool {
    let place = EventPlace::of_stored(event);
    let blank = |metadata: &Metadata| {
        let mut blank = metadata.clone();
        let none = |_: &str, _: &str| Ok::<_, KeyError>(Some(String::new()));
        replace(&mut blank, none).is_ok().then_some(blank)
    };
    let same = |(part, text): (&str, &str), (_, of_copy): (&str, &str)| {
        if is_id(text) || sealed_bytes(text).is_some() {
            return text == of_copy;
        }
        let Some(sealed) = sealed_bytes(of_copy) else {
            return false;
        };
        key.is_none_or(|key| {
            let opened = key.open(&place.associated(part), &sealed);
            opened.is_some_and(|opened| *opened == kept(part, text).as_bytes())
        })
    };
    blank(copy) == blank(original)
        && texts(original).zip(texts(copy)).all(|(text, of_copy)| same(text, of_copy))
}

/// Decrypts the texts; without a key an encrypted text becomes [`ERASED`].
///
/// # Errors
/// A sentence, when a text cannot be decrypted.
pub(crate) fn open(metadata: &mut Metadata, place: EventPlace<'_>, key: Option<&Key>) -> Result<(), String> {
    let open = |part: &str, text: &str| -> Result<Option<String>, String> {
        let Some(sealed) = sealed_bytes(text) else {
            return Ok(None);
        };
        let Some(key) = key else {
            return Ok(Some(ERASED.to_owned()));
        };
        let opened = key.open(&place.associated(part), &sealed);
        opened
            .and_then(|opened| String::from_utf8(opened.to_vec()).ok())
            .map(Some)
            .ok_or_else(|| format!("its {part} was not sealed for this place and person, or was changed"))
    };
    replace(metadata, open)
}

/// The texts that clients choose, by the names of their members.
fn texts(metadata: &Metadata) -> impl Iterator<Item = (&'static str, &str)> {
    let key = metadata.idempotency_key.as_deref();
    [("correlation_id", &*metadata.correlation_id)].into_iter().chain(key.map(|key| ("idempotency_key", key)))
}

/// Replaces each text by the result of `of`.
fn replace<E>(
    metadata: &mut Metadata,
    of: impl Fn(&str, &str) -> Result<Option<String>, E>,
) -> Result<(), E> {
    let replaced =
        texts(metadata).map(|(part, text)| Ok((part, of(part, text)?))).collect::<Result<Vec<_>, E>>()?;
    for (part, text) in replaced {
        match (part, text) {
            (_, None) => {}
            ("correlation_id", Some(text)) => metadata.correlation_id = text.into(),
            (_, Some(text)) => metadata.idempotency_key = Some(text.into()),
        }
    }
    Ok(())
}

/// Whether the text is an id.
fn is_id(text: &str) -> bool {
    text.is_empty() || Uuid::try_parse(text).is_ok()
}

/// The ciphertext of an encrypted text; `None` for any other, such as one of an earlier release.
fn sealed_bytes(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64URL.decode(text.strip_prefix(PREFIX)?).ok()?;
    (bytes.len() >= NONCE_LEN + CHACHA20_POLY1305.tag_len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use events::{Actor, StreamName, UserId};

    use super::*;

    #[test]
    fn the_longest_texts_fit_into_their_places_when_they_are_sealed() {
        let key = Key::new(&[1; 32]).unwrap();
        let stream = StreamName::raw("task-1");
        let place = EventPlace::new(&stream, 1, "task.created");
        let subject = UserId(Uuid::nil());
        let clear = Metadata {
            subject,
            actor: Actor::User(subject),
            correlation_id: "ß".repeat(1_000).into(),
            causation_id: Uuid::nil(),
            traceparent: None,
            idempotency_key: Some("ß".repeat(1_000).into()),
        };
        let mut metadata = clear.clone();
        seal(&mut metadata, place, &key).unwrap();
        assert!(is_sealed(&metadata));
        open(&mut metadata, place, Some(&key)).unwrap();
        assert_eq!(&*metadata.correlation_id, "ß".repeat(64));
        assert_eq!(metadata.idempotency_key.as_deref(), Some(&*"ß".repeat(132)));
    }

    #[test]
    fn an_id_stays_as_it_is() {
        let id = Uuid::from_u128(7).to_string();
        assert!(is_id(&id) && !is_id("request-7") && !is_id("4915112345678"));
    }
}
