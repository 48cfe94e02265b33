//! The forms of a secret that the program searches for.

use zeroize::Zeroizing;

use super::view::{VIEWS, View};

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const FOR_URLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Returns the forms of a secret: the secret itself, the secret with its escapes decoded, its base64 and its hex form.
pub(super) fn of(secret: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let views = View::of(secret.as_bytes(), 0..secret.len()).all(VIEWS);
    let mut forms: Vec<_> = views.map(|view| Zeroizing::new(view.bytes().to_vec())).collect();
    for alphabet in [STANDARD, FOR_URLS] {
        forms.extend((0..3).map(|before| base64(secret.as_bytes(), before, alphabet)));
    }
    forms.push(hex(secret.as_bytes(), b"0123456789abcdef"));
    forms.push(hex(secret.as_bytes(), b"0123456789ABCDEF"));
    forms
}

/// Returns the base64 form of `secret`. `before` is the number of bytes that precede the secret in the text that is
/// encoded. The result contains only characters that do not depend on the bytes before or after the secret.
fn base64(secret: &[u8], before: usize, alphabet: &[u8; 64]) -> Zeroizing<Vec<u8>> {
    let bit = |at: usize| match (at / 8).checked_sub(before) {
        Some(byte) => secret[byte] >> (7 - at % 8) & 1,
        None => 0,
    };
    let characters = (8 * before).div_ceil(6)..8 * (before + secret.len()) / 6;
    let value = |at: usize| (0..6).fold(0, |value, more| value << 1 | usize::from(bit(6 * at + more)));
    Zeroizing::new(characters.map(|at| alphabet[value(at)]).collect())
}

fn hex(secret: &[u8], digits: &[u8; 16]) -> Zeroizing<Vec<u8>> {
    let both = |byte: &u8| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]];
    Zeroizing::new(secret.iter().flat_map(both).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_matches_the_standard_at_every_alignment() {
        // The base64 of "foobar" is Zm9vYmFy, the base64 of "xfoobar" is eGZvb2Jhcg==, and the base64 of "xxfoobar" is
        // eHhmb29iYXI=.
        let at = |before| String::from_utf8_lossy(&base64(b"foobar", before, STANDARD)).into_owned();

        assert_eq!([at(0), at(1), at(2)], ["Zm9vYmFy", "Zvb2Jhc", "mb29iYX"]);
        assert_eq!(&**base64(b"\xfb\xff\xbf", 0, STANDARD), b"+/+/");
        assert_eq!(&**base64(b"\xfb\xff\xbf", 0, FOR_URLS), b"-_-_");
    }

    #[test]
    fn hex_has_two_digits_a_byte() {
        assert_eq!(&**hex(b"a\n~", b"0123456789abcdef"), b"610a7e");
    }
}
