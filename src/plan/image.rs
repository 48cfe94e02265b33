//! Computes the tokens of pictures. The first bytes of a picture tell its width and height. The width and the height
//! decide how many tokens the picture has.

use crate::domain::json::special;

/// A model's limits for one picture: the longest edge in pixels and the largest number of tokens. The API scales larger
/// pictures down.
///
/// Source: API documentation, "Vision" (2026-08-22).
#[derive(Clone, Copy, Debug)]
pub(super) struct Vision {
    pub longest_edge_px: u32,
    pub max_tokens: u32,
}

impl Vision {
    /// The limits of models before Opus 4.7.
    pub(super) const OLD: Self = Self { longest_edge_px: 1568, max_tokens: 1568 };
    /// The limits of Opus 4.7 and later models.
    pub(super) const NEW: Self = Self { longest_edge_px: 2576, max_tokens: 4784 };

    /// Returns the number of tokens of a picture that is given as base64 text; `None` if the picture's size can't be
    /// read.
    pub(super) fn tokens_of(&self, base64: &[u8]) -> Option<u32> {
        dimensions(base64).map(|(width, height)| self.tokens(width, height))
    }

    /// Returns the number of tokens of a picture. After the API has scaled the picture down, each square of 28 by 28
    /// pixels counts as one token. A square that the picture covers only partly counts as one token too.
    pub(super) fn tokens(&self, width: u32, height: u32) -> u32 {
        let longest = u64::from(width.max(height)).max(1);
        let edge = u64::from(self.longest_edge_px).min(longest);
        let squares = |side: u32| (u64::from(side) * edge).div_ceil(longest).max(1).div_ceil(28);
        let tokens = squares(width) * squares(height);
        u32::try_from(tokens).map_or(self.max_tokens, |tokens| tokens.min(self.max_tokens))
    }
}

/// Returns the width and the height of a PNG, GIF, WebP or JPEG picture; `None` if they can't be read.
fn dimensions(base64: &[u8]) -> Option<(u32, u32)> {
    // An escape in the base64 text would shift all characters after it. A picture with escapes is not measured: such
    // pictures are rare, because few encoders escape base64.
    if special(base64, 0).is_some() {
        return None;
    }
    let bytes = Base64(base64);
    let found = match (bytes.at(0)?, bytes.at(1)?) {
        (0x89, b'P') => (bytes.big(16, 4)?, bytes.big(20, 4)?),
        (b'G', b'I') => (bytes.little(6, 2)?, bytes.little(8, 2)?),
        (b'R', b'I') => webp(&bytes)?,
        (0xff, 0xd8) => jpeg(&bytes)?,
        _ => return None,
    };
    (found.0 > 0 && found.1 > 0).then_some(found)
}

fn webp(bytes: &Base64) -> Option<(u32, u32)> {
    match bytes.big(12, 4)?.to_be_bytes() {
        [b'V', b'P', b'8', b'X'] => Some((bytes.little(24, 3)? + 1, bytes.little(27, 3)? + 1)),
        [b'V', b'P', b'8', b'L'] => {
            let bits = bytes.little(21, 4)?;
            Some(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
        }
        [b'V', b'P', b'8', b' '] => Some((bytes.little(26, 2)? & 0x3fff, bytes.little(28, 2)? & 0x3fff)),
        _ => None,
    }
}

/// Returns the width and the height from the frame header of a JPEG. The segments before the frame header are skipped.
fn jpeg(bytes: &Base64) -> Option<(u32, u32)> {
    let mut at = 2;
    // At most this number of segments is read. Real pictures have far fewer segments before their frame header.
    for _ in 0..1000 {
        if bytes.at(at)? != 0xff {
            return None;
        }
        match bytes.at(at + 1)? {
            0xff => at += 1,
            0xc4 | 0xc8 | 0xcc => at += 2 + bytes.big(at + 2, 2)? as usize,
            0xc0..=0xcf => return Some((bytes.big(at + 7, 2)?, bytes.big(at + 5, 2)?)),
            _ => at += 2 + bytes.big(at + 2, 2)? as usize,
        }
    }
    None
}

/// Base64 text. Each byte is decoded only when a caller reads this byte.
struct Base64<'a>(&'a [u8]);

impl Base64<'_> {
    fn at(&self, at: usize) -> Option<u8> {
        let bit = at * 8;
        let (first, shift) = (bit / 6, bit % 6);
        let pair = u16::from(self.sextet(first)?) << 6 | u16::from(self.sextet(first + 1)?);
        Some((pair >> (4 - shift) & 0xff) as u8)
    }

    fn sextet(&self, at: usize) -> Option<u8> {
        match *self.0.get(at)? {
            byte @ b'A'..=b'Z' => Some(byte - b'A'),
            byte @ b'a'..=b'z' => Some(byte - b'a' + 26),
            byte @ b'0'..=b'9' => Some(byte - b'0' + 52),
            b'+' => Some(62),
            b'/' => Some(63),
            _ => None,
        }
    }

    fn big(&self, from: usize, len: usize) -> Option<u32> {
        (from..from + len).try_fold(0, |value, at| Some(value << 8 | u32::from(self.at(at)?)))
    }

    fn little(&self, from: usize, len: usize) -> Option<u32> {
        (from..from + len).rev().try_fold(0, |value, at| Some(value << 8 | u32::from(self.at(at)?)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn single_bytes_are_decoded_at_every_position() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        let text = encode(&bytes);

        for (at, &byte) in bytes.iter().enumerate() {
            assert_eq!(Base64(text.as_bytes()).at(at), Some(byte));
        }
        assert_eq!(Base64(text.as_bytes()).at(bytes.len()), None);
    }

    #[test]
    fn the_size_of_each_format_is_read() {
        let mut gif = b"GIF89a".to_vec();
        gif.extend([0x40, 0x01, 0xf0, 0x00]);
        let mut webp = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0".to_vec();
        webp.extend([0x3f, 0x01, 0, 0xef, 0, 0]);
        let mut lossy = b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a".to_vec();
        lossy.extend([0x40, 0x01, 0xf0, 0x00]);
        let mut lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f".to_vec();
        lossless.extend((319_u32 | 239 << 14).to_le_bytes());

        for picture in [png(320, 240), gif, webp, lossy, lossless, jpeg_with_exif(320, 240)] {
            assert_eq!(dimensions(encode(&picture).as_bytes()), Some((320, 240)));
        }
    }

    #[test]
    fn a_picture_that_can_not_be_read_has_no_size() {
        let png = encode(&png(320, 240));
        let cut = &png[..30];
        let escaped = png.replacen('A', "\\/", 1);

        for text in ["", "A", cut, &escaped, "!!!!", &encode(b"GIF89a\0\0\0\0"), &encode(&[0xff, 0xd8, 0xff])] {
            assert_eq!(dimensions(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn tokens_follow_the_size_up_to_the_cap() {
        assert_eq!(Vision::OLD.tokens(28, 28), 1);
        assert_eq!(Vision::OLD.tokens(320, 240), 12 * 9);
        assert_eq!(Vision::OLD.tokens(8000, 8000), 1568);
        assert_eq!(Vision::NEW.tokens(8000, 8000), 4784);
        // The API scales the picture to 1568 by 196 pixels, which are 56 by 7 squares.
        assert_eq!(Vision::OLD.tokens(3136, 392), 56 * 7);
        assert_eq!(Vision::OLD.tokens(0, u32::MAX), 56);
    }

    pub(in super::super) fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend(width.to_be_bytes());
        bytes.extend(height.to_be_bytes());
        bytes.extend([8, 6, 0, 0, 0]);
        bytes
    }

    fn jpeg_with_exif(width: u16, height: u16) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, 0xe1, 0x40, 0x02];
        bytes.extend([0; 0x4000]);
        bytes.extend([0xff, 0xff, 0xc4, 0, 3, 0, 0xff, 0xc2, 0, 11, 8]);
        bytes.extend(height.to_be_bytes());
        bytes.extend(width.to_be_bytes());
        bytes
    }

    pub(in super::super) fn encode(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::new();
        for chunk in bytes.chunks(3) {
            let group =
                chunk.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
            for place in 0..4 {
                let sextet = group >> (18 - 6 * place) & 0x3f;
                text.push(if place <= chunk.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
            }
        }
        text
    }
}
