//! Decodes the byte arrays of a page into plain byte arrays. The page has one of two encodings. In one encoding, the
//! page begins with the lengths of all values. In the other encoding, the page stores only how each value differs from
//! the previous value.
//!
//! Such a page says how many lengths it has, and the parquet crate allocates memory for this number of lengths. If many
//! values begin with the same bytes, the decoded values can need far more memory than their page. This module limits
//! the memory for the lengths and for the decoded values. The module returns at most as many values as the page has,
//! and at most as many bytes as the caller allows. Source: the Parquet format, "Encodings", `DELTA_BINARY_PACKED`,
//! `DELTA_LENGTH_BYTE_ARRAY` and `DELTA_BYTE_ARRAY`.

use super::damage::Damage;

/// Converts values from `DELTA_LENGTH_BYTE_ARRAY` to `PLAIN`: at most `most_values` values and `most_bytes` bytes.
pub(super) fn plain_of_lengths(page: &[u8], most_values: usize, most_bytes: usize) -> Result<Vec<u8>, Damage> {
    let (lengths, rest) = ints(page, most_values)?;
    let mut plain = Vec::with_capacity((page.len() + 4 * lengths.len()).min(most_bytes));
    let mut rest = rest;
    for length in lengths {
        let (value, after) = take(rest, length)?;
        push(&mut plain, &[value], most_bytes)?;
        rest = after;
    }
    Ok(plain)
}

/// Converts values from `DELTA_BYTE_ARRAY` to `PLAIN`: at most `most_values` values and `most_bytes` bytes. The length
/// of a value is written before it, unless all values have a fixed length.
pub(super) fn plain_of_changes(
    page: &[u8],
    most_values: usize,
    most_bytes: usize,
    is_fixed: bool,
) -> Result<Vec<u8>, Damage> {
    let (prefixes, rest) = ints(page, most_values)?;
    let (suffixes, mut rest) = ints(rest, most_values)?;
    if prefixes.len() != suffixes.len() {
        return Err(damaged());
    }
    let mut plain: Vec<u8> = Vec::new();
    let mut last = 0..0;
    for (prefix, suffix) in prefixes.into_iter().zip(suffixes) {
        let prefix = usize::try_from(prefix).ok().filter(|prefix| *prefix <= last.len()).ok_or_else(damaged)?;
        let (suffix, after) = take(rest, suffix)?;
        rest = after;
        let length = prefix + suffix.len();
        if plain.len() + length + 4 > most_bytes {
            return Err(too_long(most_bytes));
        }
        if !is_fixed {
            plain.extend_from_slice(&(length as u32).to_le_bytes());
        }
        let begin = plain.len();
        plain.extend_from_within(last.start..last.start + prefix);
        plain.extend_from_slice(suffix);
        last = begin..plain.len();
    }
    Ok(plain)
}

fn push(plain: &mut Vec<u8>, parts: &[&[u8]], most_bytes: usize) -> Result<(), Damage> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if plain.len() + length + 4 > most_bytes {
        return Err(too_long(most_bytes));
    }
    plain.extend_from_slice(&(length as u32).to_le_bytes());
    parts.iter().for_each(|part| plain.extend_from_slice(part));
    Ok(())
}

fn take(bytes: &[u8], length: i64) -> Result<(&[u8], &[u8]), Damage> {
    usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length)).ok_or_else(damaged)
}

/// Reads numbers that are encoded as `DELTA_BINARY_PACKED`. Returns the numbers and the bytes after them.
fn ints(bytes: &[u8], most: usize) -> Result<(Vec<i64>, &[u8]), Damage> {
    let mut bits = Bits { bytes, at: 0 };
    let per_block = bits.varint()?;
    let blocks = bits.varint()?;
    let count = usize::try_from(bits.varint()?).ok().filter(|count| *count <= most).ok_or_else(damaged)?;
    let first = bits.zigzag()?;
    if blocks == 0 || !per_block.is_multiple_of(blocks) || !(per_block / blocks).is_multiple_of(8) || per_block == 0 {
        return Err(damaged());
    }
    let per_mini = usize::try_from(per_block / blocks).map_err(|_| damaged())?;
    let blocks = usize::try_from(blocks).map_err(|_| damaged())?;
    // If all differences are equal, the numbers take no bytes, so even a short page can have a very large count. No
    // memory is reserved in advance: the list grows with each number that is read.
    let mut numbers = Vec::new();
    if count > 0 {
        numbers.push(first);
    }
    let mut last = first;
    while numbers.len() < count {
        let least = bits.zigzag()?;
        let widths = bits.take(blocks)?;
        for &width in widths {
            if numbers.len() >= count {
                break;
            }
            let width = usize::from(width);
            if width > 64 {
                return Err(damaged());
            }
            let packed = bits.take(width.checked_mul(per_mini / 8).ok_or_else(damaged)?)?;
            for at in 0..per_mini.min(count - numbers.len()) {
                last = last.wrapping_add(least).wrapping_add(number_at(packed, at * width, width) as i64);
                numbers.push(last);
            }
        }
    }
    Ok((numbers, &bytes[bits.at..]))
}

/// Returns the number that begins at this bit and is `width` bits long. The lowest bit of the number comes first.
fn number_at(packed: &[u8], bit: usize, width: usize) -> u64 {
    let mut number = 0_u128;
    let (first, last) = (bit / 8, (bit + width).div_ceil(8));
    for (at, byte) in packed[first..last].iter().enumerate() {
        number |= u128::from(*byte) << (8 * at);
    }
    let mask = (1_u128 << width) - 1;
    ((number >> (bit % 8)) & mask) as u64
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let end = self.at.checked_add(count).ok_or_else(damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(damaged)?;
        self.at = end;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, Damage> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(damaged())
    }

    fn zigzag(&mut self) -> Result<i64, Damage> {
        let number = self.varint()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

fn damaged() -> Damage {
    Damage::new("a page can't be decoded")
}

fn too_long(most_bytes: usize) -> Damage {
    Damage::new(format!("the values of a page take more than {} MiB", most_bytes >> 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unpacked() {
        // These are the examples from the format's documentation: 1 2 3 4 5, and 7 5 3 1 2 3 4 5.
        let one_to_five = [0x80, 1, 4, 5, 2, 2, 0, 0, 0, 0, 9];
        let down_and_up = [0x80, 1, 4, 8, 14, 3, 2, 0, 0, 0, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0];

        let (numbers, rest) = ints(&one_to_five, 5).expect("it is whole");
        assert_eq!((numbers, rest), (vec![1, 2, 3, 4, 5], &[9][..]));
        let (numbers, rest) = ints(&down_and_up, 8).expect("it is whole");
        assert_eq!((numbers, rest), (vec![7, 5, 3, 1, 2, 3, 4, 5], &[][..]));
    }

    #[test]
    fn a_count_above_the_values_of_the_page_is_damaged() {
        let claims = [0x80, 1, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 2, 2, 0, 0, 0, 0];

        assert!(ints(&claims, 1 << 20).is_err());
    }

    #[test]
    fn values_that_repeat_a_beginning_are_bounded() {
        // The first value of the page is a text of a thousand bytes. The other 127 values are equal to the first.
        let prefixes = [0x80, 1, 4, 0x80, 1, 0, 0xd0, 15, 0, 0, 0, 0];
        let mut page = Vec::from(prefixes);
        // In both lists of lengths, the first difference is not zero, and all later differences are zero.
        page.truncate(6);
        page.extend([0, 16, 16, 16, 16]);
        page.extend((0..128_u16).flat_map(|at| if at == 0 { 1000_u16 } else { 0 }.to_le_bytes()));
        page.extend([0x80, 1, 4, 0x80, 1, 0xd0, 15]);
        page.extend([0xcf, 15, 16, 16, 16, 16]);
        page.extend((0..128_u16).flat_map(|at| if at == 0 { 0 } else { 1000_u16 }.to_le_bytes()));
        page.extend([b'x'; 1000]);

        let whole = plain_of_changes(&page, 128, 1 << 20, false).expect("it fits");
        let cut = plain_of_changes(&page, 128, 100_000, false);

        assert_eq!(whole.len(), 128 * 1_004);
        assert!(cut.is_err());
    }
}
