//! The ids of rows inside a batch.
//!
//! The API allows 64 letters, digits, `-` and `_`, so the row's own label can't be used. An id has four parts: the
//! nonce of the run, the number of the chunk, the number of the row in its chunk, and the identity of the row. A chunk
//! is the group of rows in one batch. The nonce proves that a batch was created by this run. With the identity, the row
//! can be found even if all files about the batch are lost.

use crate::domain::RowId;

/// The id of a row inside a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemId<'a> {
    /// The nonce of the run that created the batch.
    pub(crate) nonce: &'a str,
    /// The number of the chunk of rows.
    pub(crate) chunk: u32,
    /// The number of the row in its chunk, counted from 0.
    pub(crate) item: u32,
    /// The identity of the row.
    pub(crate) row: RowId,
}

impl<'a> ItemId<'a> {
    /// Reads an id; `None` if this program did not make it.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('-');
        let (nonce, chunk, item, row) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let hex = |text: &str| u32::from_str_radix(text, 16).ok();
        let is_row = row.len() == 32 && row.bytes().all(|byte| byte.is_ascii_hexdigit());
        if parts.next().is_some() || nonce.is_empty() || !is_row {
            return None;
        }
        let half = |text: &str| u64::from_str_radix(text, 16).ok();
        let row = RowId { label: half(&row[..16])?, key: half(&row[16..])? };
        Some(Self { nonce, chunk: hex(chunk)?, item: hex(item)?, row })
    }
}

impl std::fmt::Display for ItemId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { nonce, chunk, item, row } = self;
        write!(f, "{nonce}-{chunk:x}-{item:x}-{:016x}{:016x}", row.label, row.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_be_read_back_and_fits_the_api() {
        let row = RowId { label: u64::MAX, key: 7 };
        let id = ItemId { nonce: "k3x9a0bz", chunk: u32::MAX, item: 99_999, row };

        let text = id.to_string();

        assert_eq!(ItemId::parse(&text), Some(id));
        assert!(text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'), "{text}");
    }

    #[test]
    fn ids_of_other_programs_are_recognized() {
        for text in ["", "row-1", "a-1-2", "a-1-2-3", "-1-2-00000000000000070000000000000007", "a-g-2-0", "a-1-2-+"] {
            assert_eq!(ItemId::parse(text), None, "{text}");
        }
    }
}
