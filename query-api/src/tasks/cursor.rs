//! Cursors: the place after which a page begins, signed together with the query that it belongs to.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use events::{TaskId, UserId};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

use super::{Filter, Sort, SortBy};

/// What the cursor's bytes mean. Raise it when they change; older cursors are then refused.
const FORMAT: u8 = 1;
const ID_BYTES: usize = 16;
/// A tag of HMAC-SHA-256 cut to 128 bits (RFC 2104, section 5).
const TAG_BYTES: usize = 16;
const SHA_256_BLOCK_BYTES: usize = 64;

/// The place of one task in an order: its value and its id at the time it was shown. It stays where it is
/// when the task changes or disappears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) key: SortKey,
    pub(crate) id: TaskId,
}

/// The value of a column that is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SortKey {
    Number(i64),
    Text(String),
}

/// The text is no cursor of this query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a cursor of this query: send back `next_cursor` as it came, with the filters and sort that it came with"
)]
pub(crate) struct BadCursor;

/// What a cursor is bound to: who asks for what, in which order. Not how many, and not the time.
#[derive(Debug, Clone, Copy, Serialize)]
struct Binding<'a> {
    owner: UserId,
    filter: &'a Filter,
    sort: Sort,
}

/// Signs cursors. Every replica has the same key.
#[derive(Clone)]
pub(crate) struct CursorKey([u8; 32]);

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey(…)")
    }
}

impl CursorKey {
    pub(crate) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The cursor that continues after `place`.
    pub(crate) fn write(&self, place: &Place, owner: UserId, filter: &Filter, sort: Sort) -> String {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(place.id.0.as_bytes());
        match &place.key {
            SortKey::Number(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            SortKey::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        }
        let tag = self
            .mac(&bytes, Binding { owner, filter, sort })
            .finalize()
            .into_bytes();
        bytes.extend_from_slice(&tag[..TAG_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place after which `cursor` continues.
    ///
    /// # Errors
    /// When it was not written by [`Self::write`] for the same owner, filter and sort.
    pub(crate) fn read(
        &self,
        cursor: &str,
        owner: UserId,
        filter: &Filter,
        sort: Sort,
    ) -> Result<Place, BadCursor> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).map_err(|_| BadCursor)?;
        let (signed, tag) = bytes.split_last_chunk::<TAG_BYTES>().ok_or(BadCursor)?;
        self.mac(signed, Binding { owner, filter, sort })
            .verify_truncated_left(tag)
            .map_err(|_| BadCursor)?;
        let (format, rest) = signed.split_first().ok_or(BadCursor)?;
        let (id, key) = rest.split_first_chunk::<ID_BYTES>().ok_or(BadCursor)?;
        if *format != FORMAT {
            return Err(BadCursor);
        }
        let key = match sort.by {
            SortBy::CreatedAt | SortBy::UpdatedAt | SortBy::Due | SortBy::Priority => {
                SortKey::Number(i64::from_be_bytes(key.try_into().map_err(|_| BadCursor)?))
            }
            SortBy::Title => SortKey::Text(String::from_utf8(key.to_vec()).map_err(|_| BadCursor)?),
        };
        Ok(Place {
            key,
            id: TaskId(Uuid::from_bytes(*id)),
        })
    }

    fn mac(&self, signed: &[u8], binding: Binding<'_>) -> Hmac<Sha256> {
        // Plain structs, sets and texts: writing them as JSON cannot fail.
        let binding = serde_json::to_vec(&binding).unwrap_or_default();
        // HMAC fills a short key up with zeros to the block of its hash (RFC 2104, section 2).
        let mut key = [0; SHA_256_BLOCK_BYTES];
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        mac.update(b"taskledger task cursor");
        mac.update(&(binding.len() as u64).to_be_bytes());
        mac.update(&binding);
        mac.update(signed);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: CursorKey = CursorKey([7; 32]);

    fn sort(by: SortBy) -> Sort {
        Sort {
            by,
            descending: false,
        }
    }

    fn number() -> Place {
        Place {
            key: SortKey::Number(-5),
            id: TaskId(Uuid::from_u128(9)),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let (owner, filter) = (
            UserId(Uuid::from_u128(1)),
            Filter {
                deleted: true,
                ..Filter::default()
            },
        );
        for by in [
            SortBy::CreatedAt,
            SortBy::UpdatedAt,
            SortBy::Due,
            SortBy::Priority,
        ] {
            let cursor = KEY.write(&number(), owner, &filter, sort(by));
            assert_eq!(KEY.read(&cursor, owner, &filter, sort(by)), Ok(number()));
        }
        for title in ["", "straße", "日本語"] {
            let place = Place {
                key: SortKey::Text(title.to_owned()),
                id: TaskId(Uuid::from_u128(9)),
            };
            let cursor = KEY.write(&place, owner, &filter, sort(SortBy::Title));
            assert_eq!(KEY.read(&cursor, owner, &filter, sort(SortBy::Title)), Ok(place));
        }
    }

    #[test]
    fn a_cursor_is_good_only_for_its_query_its_owner_and_its_key() {
        let (owner, filter, by) = (
            UserId(Uuid::from_u128(1)),
            Filter::default(),
            sort(SortBy::CreatedAt),
        );
        let cursor = KEY.write(&number(), owner, &filter, by);
        let other = Filter {
            words: ["a".to_owned()].into(),
            ..Filter::default()
        };
        assert_eq!(
            KEY.read(&cursor, UserId(Uuid::from_u128(2)), &filter, by),
            Err(BadCursor)
        );
        assert_eq!(KEY.read(&cursor, owner, &other, by), Err(BadCursor));
        assert_eq!(
            KEY.read(&cursor, owner, &filter, sort(SortBy::UpdatedAt)),
            Err(BadCursor)
        );
        assert_eq!(
            KEY.read(
                &cursor,
                owner,
                &filter,
                Sort {
                    descending: true,
                    ..by
                }
            ),
            Err(BadCursor)
        );
        assert_eq!(
            CursorKey([8; 32]).read(&cursor, owner, &filter, by),
            Err(BadCursor)
        );
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let (owner, filter, by) = (
            UserId(Uuid::from_u128(1)),
            Filter::default(),
            sort(SortBy::CreatedAt),
        );
        let cursor = KEY.write(&number(), owner, &filter, by);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut spoiled = bytes.clone();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            let spoiled = BASE64_URL_SAFE_NO_PAD.encode(spoiled);
            assert_eq!(
                KEY.read(&spoiled, owner, &filter, by),
                Err(BadCursor),
                "bit {bit}"
            );
        }
        for length in 0..cursor.len() {
            assert_eq!(
                KEY.read(&cursor[..length], owner, &filter, by),
                Err(BadCursor),
                "{length} characters"
            );
        }
        for text in [
            "",
            "?",
            "AAAA",
            "ünï",
            &format!("{cursor}A"),
            &format!("{cursor}="),
        ] {
            assert_eq!(KEY.read(text, owner, &filter, by), Err(BadCursor), "{text}");
        }
    }
}
