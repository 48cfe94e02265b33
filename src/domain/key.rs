//! Keys: how a later run recognizes a row.

use std::fmt;

/// A hash of a job's request, 128 bits long. Two rows with the same key have the same request.
///
/// Shape: it is shown as `k1:` and 32 hexadecimal digits. [`crate::plan::key`] makes it from the logical request: API
/// version, sorted betas, model and params without insignificant white space.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobKey(pub [u8; 16]);

impl JobKey {
    /// Returns the key as it is shown, in ASCII.
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
    /// Reads a key as it is shown; `None` for any other text, for example a key of another version or a damaged line.
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

/// How a later run recognizes a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The user named the row. The row's label and key together identify the row.
    Named,
    /// The row has no name. The row's key and its number among equal rows identify the row. The numbers begin at 0, in
    /// input order.
    ///
    /// So a later run still recognizes such rows after the user has inserted a line above them.
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
