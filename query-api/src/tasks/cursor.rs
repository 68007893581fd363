//! Cursors of lists of tasks: where the next page begins, signed together with the query.

use events::{TaskId, UserId};
use http_api::{BadCursor, CursorKey};
use serde::Serialize;
use uuid::Uuid;

use super::{Filter, Sort, SortBy};

/// The version of the cursor's format. Increase it when the format changes; older cursors are then refused.
const FORMAT: u8 = 1;
const ID_BYTES: usize = 16;

/// The place of one task in an order: its value and its id when it was shown. It stays the same when the task changes
/// or disappears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskCursor {
    pub(crate) key: SortKey,
    pub(crate) id: TaskId,
}

/// The value of the sorted column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SortKey {
    Number(i64),
    Text(String),
}

/// The data that a cursor is bound to: the person, the query and the order, but not the limit or the time.
#[derive(Debug, Clone, Copy, Serialize)]
struct Binding<'a> {
    owner: UserId,
    filter: &'a Filter,
    sort: Sort,
}

/// What task cursors are for, beside the other texts that the key signs.
const PURPOSE: &str = "task cursor";

impl TaskCursor {
    /// The signed text of this cursor, for the client.
    pub(crate) fn write(&self, key: &CursorKey, owner: UserId, filter: &Filter, sort: Sort) -> String {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(self.id.0.as_bytes());
        match &self.key {
            SortKey::Number(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            SortKey::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        }
        key.seal(PURPOSE, &Binding { owner, filter, sort }, bytes)
    }

    /// Reads the text of a cursor.
    ///
    /// # Errors
    /// When it was not written by [`Self::write`] for the same owner, filter and sort.
    pub(crate) fn read(
        key: &CursorKey,
        cursor: &str,
        owner: UserId,
        filter: &Filter,
        sort: Sort,
    ) -> Result<Self, BadCursor> {
        let signed = key.open(PURPOSE, &Binding { owner, filter, sort }, cursor)?;
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
        Ok(Self { key, id: TaskId(Uuid::from_bytes(*id)) })
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

    use super::*;

    const KEY: CursorKey = CursorKey::new([7; 32]);

    fn sort(by: SortBy) -> Sort {
        Sort { by, descending: false }
    }

    fn number() -> TaskCursor {
        TaskCursor { key: SortKey::Number(-5), id: TaskId(Uuid::from_u128(9)) }
    }

    #[test]
    fn what_was_written_is_read() {
        let (owner, filter) = (UserId(Uuid::from_u128(1)), Filter { deleted: true, ..Filter::default() });
        for by in [SortBy::CreatedAt, SortBy::UpdatedAt, SortBy::Due, SortBy::Priority] {
            let cursor = number().write(&KEY, owner, &filter, sort(by));
            assert_eq!(TaskCursor::read(&KEY, &cursor, owner, &filter, sort(by)), Ok(number()));
        }
        for title in ["", "straße", "日本語"] {
            let place = TaskCursor { key: SortKey::Text(title.to_owned()), id: TaskId(Uuid::from_u128(9)) };
            let cursor = place.write(&KEY, owner, &filter, sort(SortBy::Title));
            assert_eq!(TaskCursor::read(&KEY, &cursor, owner, &filter, sort(SortBy::Title)), Ok(place));
        }
    }

    #[test]
    fn a_cursor_is_good_only_for_its_query_its_owner_and_its_key() {
        let (owner, filter, by) = (UserId(Uuid::from_u128(1)), Filter::default(), sort(SortBy::CreatedAt));
        let cursor = number().write(&KEY, owner, &filter, by);
        let other = Filter { words: ["a".to_owned()].into(), ..Filter::default() };
        assert_eq!(TaskCursor::read(&KEY, &cursor, UserId(Uuid::from_u128(2)), &filter, by), Err(BadCursor));
        assert_eq!(TaskCursor::read(&KEY, &cursor, owner, &other, by), Err(BadCursor));
        assert_eq!(TaskCursor::read(&KEY, &cursor, owner, &filter, sort(SortBy::UpdatedAt)), Err(BadCursor));
        assert_eq!(
            TaskCursor::read(&KEY, &cursor, owner, &filter, Sort { descending: true, ..by }),
            Err(BadCursor)
        );
        assert_eq!(TaskCursor::read(&CursorKey::new([8; 32]), &cursor, owner, &filter, by), Err(BadCursor));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let (owner, filter, by) = (UserId(Uuid::from_u128(1)), Filter::default(), sort(SortBy::CreatedAt));
        let cursor = number().write(&KEY, owner, &filter, by);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&cursor).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut spoiled = bytes.clone();
            spoiled[bit / 8] ^= 1 << (bit % 8);
            let spoiled = BASE64_URL_SAFE_NO_PAD.encode(spoiled);
            assert_eq!(TaskCursor::read(&KEY, &spoiled, owner, &filter, by), Err(BadCursor), "bit {bit}");
        }
        for length in 0..cursor.len() {
            assert_eq!(
                TaskCursor::read(&KEY, &cursor[..length], owner, &filter, by),
                Err(BadCursor),
                "{length} characters"
            );
        }
        for text in ["", "?", "AAAA", "ünï", &format!("{cursor}A"), &format!("{cursor}=")] {
            assert_eq!(TaskCursor::read(&KEY, text, owner, &filter, by), Err(BadCursor), "{text}");
        }
    }
}
