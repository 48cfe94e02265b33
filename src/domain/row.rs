//! The 16-byte identity by which a later run recognizes a row.

use std::fmt;

use ring::digest::{Context, SHA256};

use super::{Identity, JobKey};

/// The identity of a row across runs.
///
/// The identity consists of a label and a key, each 64 bits long. The key is half of the row's [`JobKey`]. The key is 0
/// for a row that never became a request. The label of a named row is the beginning of the SHA-256 of its name. The
/// label of an unnamed row is the sum of two numbers: the half of the `JobKey` that is not the key, and a number for
/// the row's place among equal rows. So the label and the key of an unnamed row together contain all 128 bits of the
/// `JobKey`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId {
    /// A number that is made from the row's name. If the row has no name, the number is made from the row's place among
    /// equal rows.
    pub label: u64,
    /// Half of the row's [`JobKey`].
    pub key: u64,
}

impl RowId {
    /// Returns the identity of a row with a request. The function computes a hash of the name, so call it only once per
    /// row.
    pub fn of(custom_id: &str, key: JobKey, identity: &Identity) -> Self {
        match *identity {
            Identity::Named => Self::named(custom_id, Some(key)),
            Identity::Nth(occurrence) => Self::nth(occurrence, key),
        }
    }

    /// Returns the identity of a row that the user named. `key` is `None` for a row that never became a request.
    pub fn named(custom_id: &str, key: Option<JobKey>) -> Self {
        Self { label: hash(&[b"label", custom_id.as_bytes()]), key: key.map_or(0, |key| halves(key).0) }
    }

    /// Returns the identity of an unnamed row. `occurrence` is the index of the row among the rows with this key,
    /// counted from 0.
    pub fn nth(occurrence: u32, key: JobKey) -> Self {
        let (key, rest) = halves(key);
        // The factor is large, so the labels of equal rows are far apart. The factor is odd, so two equal rows never
        // get the same label.
        let label = rest.wrapping_add(u64::from(occurrence).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { label, key }
    }

    /// Returns the identity of a row that could not be read.
    pub fn broken(source: &str, line: u64, raw: &str) -> Self {
        let label = hash(&[b"broken", source.as_bytes(), &line.to_be_bytes(), raw.as_bytes()]);
        Self { label, key: 0 }
    }

    /// Returns the half of the key that is kept in memory. Messages show this half.
    pub(crate) fn key_part(self) -> KeyPart {
        KeyPart(self.key)
    }
}

/// The half of a [`JobKey`] that is kept in memory. This half is shown as the beginning of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart(u64);

impl fmt::Display for KeyPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "k1:{:016x}…", self.0)
    }
}

fn halves(key: JobKey) -> (u64, u64) {
    let whole = u128::from_be_bytes(key.0);
    ((whole >> 64) as u64, whole as u64)
}

/// Returns the first 64 bits of the SHA-256 hash of the parts. The length of each part is hashed before the part, so
/// two different lists never have the same hash input.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let digest = context.finish();
    digest.as_ref().iter().take(8).fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_and_keys_distinguish_unnamed_rows() {
        let key = JobKey([1; 16]);
        let mut other = key;
        other.0[15] = 2;

        assert_ne!(RowId::nth(0, key), RowId::nth(1, key));
        assert_ne!(RowId::nth(0, key), RowId::nth(0, other));
        assert_eq!(RowId::nth(3, key), RowId::nth(3, key));
    }

    #[test]
    fn a_key_part_shows_the_beginning_of_the_key() {
        let key = JobKey([0xab; 16]);

        let shown = RowId::named("a", Some(key)).key_part().to_string();

        assert!(key.to_string().starts_with(shown.trim_end_matches('…')));
    }
}
