//! The key of a row, by which a later run recognizes the row.

use std::fmt;

/// A hash of a job's request, 128 bits long. Two rows with the same key have the same request.
///
/// A key is shown as `k1:` and 32 hexadecimal digits. [`crate::plan::key`] computes the key from the API version, the
/// sorted beta headers, the model and the parameters. White space between the JSON values does not change the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub [u8; 16]);

impl JobKey {
    /// Returns the key as text, in ASCII bytes.
    pub fn text(self) -> [u8; 35] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = *b"k1:00000000000000000000000000000000";
        for (pair, byte) in text[3..].chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        text
    }
}

impl fmt::Display for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text()).expect("hexadecimal digits are text"))
    }
}

impl fmt::Debug for JobKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobKey({self})")
    }
}

impl JobKey {
    /// Reads the shown form of a key. Returns `None` for all other texts, for example for a damaged key.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = text.strip_prefix("k1:")?;
        let digits: &[u8; 32] = hex.as_bytes().try_into().ok()?;
        let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (value(pair[0])? << 4) | value(pair[1])?;
        }
        Some(Self(bytes))
    }
}

/// The identity by which a later run recognizes a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The user gave the row a label. The label and the key together identify the row.
    Named,
    /// The user gave the row no label. The row is identified by its key and by its number among equal rows. Equal rows
    /// are numbered from 0, in input order.
    ///
    /// A later run recognizes an unnamed row even after the user has inserted a line above it.
    Nth(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_can_be_read_back_from_its_text() {
        let key = JobKey([0xab; 16]);

        assert_eq!(JobKey::parse(&key.to_string()), Some(key));
        assert_eq!(JobKey::parse("k2:00"), None);
        assert_eq!(JobKey::parse("k1:é0000000000000000000000000000000"), None);
    }
}
