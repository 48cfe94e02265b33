//! Contains a buffer for output bytes, and makes ids that look like the ids of the API.

use super::hash::Hash;

/// Returns an id: the prefix, and then 22 letters or digits that depend on the seed and the serial number.
pub(super) fn id(prefix: &str, seed: u64, serial: u64) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = Hash::new(seed).word(serial);
    let mut number = (u128::from(hash.end()) << 64) | u128::from(serial);
    let mut text = String::with_capacity(prefix.len() + 22);
    text.push_str(prefix);
    for _ in 0..22 {
        text.push(char::from(DIGITS[(number % 62) as usize]));
        number /= 62;
    }
    text
}

/// A buffer for text and numbers.
pub(super) struct Out(pub(super) Vec<u8>);

impl Out {
    pub(super) fn add(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[at..]);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::is_simulated_id;

    #[test]
    fn ids_are_recognized_as_ids_of_the_simulator() {
        for seed in [0, 1, 42, u64::MAX] {
            for serial in [0, 1, 61, 62, 1_000_000, 10_000_000_000] {
                assert!(is_simulated_id(&id("msg_01", seed, serial)) && is_simulated_id(&id("req_01", seed, serial)));
            }
        }
    }
}
