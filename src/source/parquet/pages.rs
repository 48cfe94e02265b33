//! Reads the pages of a column chunk, within limits for memory.
//!
//! This module replaces the page reader of the parquet crate, which allocates as much memory as a page claims to need.
//! This module checks every size. A page must fit into its chunk. All pages that are in memory at the same time must
//! together fit into a [`Budget`].

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};

use super::damage::Damage;
use super::thrift::{Thrift, Value};
use super::{codec, delta};

/// The largest total size, in bytes, of the pages of a file that are in memory at the same time. Usually, one page of
/// about a megabyte is in memory per column.
pub(super) const MAX_HELD_BYTES: usize = 512 << 20;

/// The longest page, in bytes.
const MAX_PAGE_BYTES: usize = 256 << 20;

/// The longest page header, in bytes. Headers are long if they contain statistics of long texts.
const MAX_HEADER_BYTES: usize = 1 << 20;

/// The largest number of values of a column in one batch of rows. The limit matters only for columns of lists.
const MAX_BATCH_VALUES: usize = 1 << 23;

/// The largest number of values in a page. The limit is this high because old writers put a whole row group of 64 Mi
/// rows into one page if all values are missing.
const MAX_PAGE_VALUES: usize = 1 << 26;

/// The largest number of values in a page whose encoding stores the lengths of the values.
const MAX_DELTA_VALUES: usize = 1 << 24;

/// The memory, in bytes, that is taken by the pages of one file.
#[derive(Debug, Default)]
pub(super) struct Budget {
    held_bytes: AtomicUsize,
    batch_values: AtomicUsize,
}

impl Budget {
    /// Begins a batch of rows of one column.
    pub(super) fn begin_batch(&self) {
        self.batch_values.store(0, Ordering::Relaxed);
    }

    fn take(self: &Arc<Self>, bytes: usize) -> std::result::Result<Held, Damage> {
        let before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = Held { budget: self.clone(), bytes };
        match before.saturating_add(bytes) > MAX_HELD_BYTES {
            true => Err(Damage::new(format!("the pages need more than {} MiB at once", MAX_HELD_BYTES >> 20))),
            false => Ok(held),
        }
    }
}

/// A part of the memory budget. When this value is dropped, this part of the budget becomes free.
#[derive(Debug)]
struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The bytes of a page, and the part of the budget that they use.
struct PageBytes {
    bytes: Vec<u8>,
    _held: Held,
}

impl AsRef<[u8]> for PageBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The place of a column chunk in the file, and how the chunk is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chunk {
    /// The offset of the first page of the chunk in the file.
    pub(super) begin: u64,
    /// The length of the chunk in the file.
    pub(super) bytes: u64,
    pub(super) compression: Compression,
    pub(super) physical: Type,
    /// The length of each value if the column has values of a fixed length.
    pub(super) type_length: usize,
    /// The highest repetition level and the highest definition level of the column. The repetition level is above 0
    /// only for lists.
    pub(super) max_levels: [i16; 2],
}

/// The pages of one column chunk, in order.
pub(super) struct Pages {
    file: Arc<Mutex<File>>,
    budget: Arc<Budget>,
    chunk: Chunk,
    /// The offset of the next byte to read, and how much of the chunk is left.
    at: u64,
    left: u64,
    next: Option<Header>,
}

impl Pages {
    pub(super) fn new(file: Arc<Mutex<File>>, budget: Arc<Budget>, chunk: Chunk) -> Self {
        Self { file, budget, chunk, at: chunk.begin, left: chunk.bytes, next: None }
    }

    fn read(&self, at: u64, bytes: usize) -> Result<Vec<u8>> {
        let mut file = self.file.lock().map_err(|_| ParquetError::General("the file can't be read".to_owned()))?;
        file.seek(SeekFrom::Start(at))?;
        let mut read = Vec::with_capacity(bytes);
        Read::by_ref(&mut *file).take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    /// Reads the next header before its page is needed. The header is kept until the page is read.
    fn header(&mut self) -> Result<Option<Header>> {
        if self.next.is_some() || self.left == 0 {
            return Ok(self.next);
        }
        let mut wanted = 256;
        let (header, length) = loop {
            let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(MAX_HEADER_BYTES);
            let bytes = self.read(self.at, wanted.min(most))?;
            match Header::read(&bytes) {
                Ok(found) => break found,
                Err(_) if bytes.len() == wanted && wanted < most => wanted = (wanted * 16).min(most),
                Err(damage) => return Err(damage.into()),
            }
        };
        self.at += length as u64;
        self.left -= length as u64;
        if header.packed_bytes as u64 > self.left {
            return Err(Damage::new("a page ends after its column").into());
        }
        if header.bytes > MAX_PAGE_BYTES {
            return Err(Damage::new(format!("a page has more than {} MiB", MAX_PAGE_BYTES >> 20)).into());
        }
        self.next = Some(header);
        Ok(self.next)
    }

    fn skip(&mut self) {
        if let Some(header) = self.next.take() {
            self.at += header.packed_bytes as u64;
            self.left -= header.packed_bytes as u64;
        }
    }

    /// Rejects a page whose values would take much more memory than the page.
    fn check(&self, header: &Header) -> std::result::Result<(), Damage> {
        let smallest = match self.chunk.physical {
            Type::BOOLEAN => 0,
            Type::INT32 | Type::FLOAT | Type::BYTE_ARRAY => 4,
            Type::INT64 | Type::DOUBLE => 8,
            Type::INT96 => 12,
            Type::FIXED_LEN_BYTE_ARRAY => self.chunk.type_length,
        };
        let too_many = || Damage::new("a page claims more values than it has");
        if header.kind == Kind::Dictionary {
            let is_held = header.values.checked_mul(smallest.max(1)).is_some_and(|bytes| bytes <= header.bytes);
            return if is_held { Ok(()) } else { Err(too_many()) };
        }
        // A block of 128 values takes at least five bytes.
        let most_delta = header.bytes.saturating_mul(32).saturating_add(128).min(MAX_DELTA_VALUES);
        if header.values > MAX_PAGE_VALUES || (header.is_delta() && header.values > most_delta) {
            return Err(too_many());
        }
        let values = self.budget.batch_values.fetch_add(header.values, Ordering::Relaxed) + header.values;
        match self.chunk.max_levels[0] > 0 && values > MAX_BATCH_VALUES {
            true => Err(Damage::new(format!("a row has lists of more than {MAX_BATCH_VALUES} values"))),
            false => Ok(()),
        }
    }

    /// Reads and unpacks the page that follows a header.
    fn page(&mut self, header: Header) -> Result<Page> {
        self.check(&header)?;
        // The values of a dictionary are kept as slices, which take 32 bytes each.
        let of_dictionary = if header.kind == Kind::Dictionary { header.values.saturating_mul(32) } else { 0 };
        let held = self.budget.take(header.bytes.saturating_add(of_dictionary))?;
        let packed = self.read(self.at, header.packed_bytes)?;
        if packed.len() != header.packed_bytes {
            return Err(Damage::new("the file ends within a page").into());
        }
        if header.checksum.is_some_and(|checksum| checksum != crc32fast::hash(&packed)) {
            return Err(Damage::new("the checksum of a page does not match its bytes").into());
        }
        self.skip();
        let levels = header.definition_bytes.saturating_add(header.repetition_bytes);
        let is_packed = header.kind != Kind::DataV2 || header.is_packed;
        if levels > packed.len() || levels > header.bytes || (!is_packed && header.bytes != packed.len()) {
            return Err(impossible().into());
        }
        let bytes = match is_packed && self.chunk.compression != Compression::UNCOMPRESSED {
            false if packed.len() != header.bytes => return Err(impossible().into()),
            false => packed,
            true => {
                let mut bytes = Vec::with_capacity(header.bytes);
                bytes.extend_from_slice(&packed[..levels]);
                // If a page contains only levels, there is nothing to unpack.
                if header.bytes > levels || packed.len() > levels {
                    codec::unpack(self.chunk.compression, &packed[levels..], header.bytes - levels, &mut bytes)?;
                }
                bytes
            }
        };
        if header.is_delta() && matches!(self.chunk.physical, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY) {
            return self.plain(header, &bytes);
        }
        header.page(Bytes::from_owner(PageBytes { bytes, _held: held }))
    }

    /// Makes a page of plain values. The original page stores lengths separately, or stores only differences.
    fn plain(&self, header: Header, bytes: &[u8]) -> Result<Page> {
        let levels = self.levels_end(&header, bytes)?;
        let values = &bytes[levels..];
        let is_fixed = self.chunk.physical == Type::FIXED_LEN_BYTE_ARRAY;
        let mut plain = bytes[..levels].to_vec();
        plain.extend(match header.encoding {
            Encoding::DELTA_LENGTH_BYTE_ARRAY => delta::plain_of_lengths(values, header.values, MAX_PAGE_BYTES)?,
            _ => delta::plain_of_changes(values, header.values, MAX_PAGE_BYTES, is_fixed)?,
        });
        let held = self.budget.take(plain.len())?;
        let header = Header { encoding: Encoding::PLAIN, ..header };
        header.page(Bytes::from_owner(PageBytes { bytes: plain, _held: held }))
    }

    /// Returns where the values of a page begin. The values come after the levels.
    fn levels_end(&self, header: &Header, bytes: &[u8]) -> std::result::Result<usize, Damage> {
        let mut end = header.definition_bytes + header.repetition_bytes;
        if header.kind == Kind::Data {
            let encodings = [header.repetition_encoding, header.definition_encoding];
            for (max, encoding) in self.chunk.max_levels.into_iter().zip(encodings).filter(|(max, _)| *max > 0) {
                end += if encoding == Encoding::RLE {
                    let length = bytes.get(end..end + 4).and_then(|length| length.try_into().ok());
                    4 + u32::from_le_bytes(length.ok_or_else(impossible)?) as usize
                } else {
                    let width = (i16::BITS - max.leading_zeros()) as usize;
                    (header.values * width).div_ceil(8)
                };
            }
        }
        if end <= bytes.len() { Ok(end) } else { Err(impossible()) }
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        while let Some(header) = self.header()? {
            match header.kind {
                Kind::Index => self.skip(),
                Kind::Data | Kind::DataV2 | Kind::Dictionary => return self.page(header).map(Some),
            }
        }
        Ok(None)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        while let Some(header) = self.header()? {
            let (num_rows, is_dict) = match header.kind {
                Kind::Index => {
                    self.skip();
                    continue;
                }
                Kind::Data => (None, false),
                Kind::DataV2 => (Some(header.rows), false),
                Kind::Dictionary => (None, true),
            };
            let num_levels = (!is_dict).then_some(header.values);
            return Ok(Some(PageMetadata { num_rows, num_levels, is_dict }));
        }
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Result<()> {
        if self.peek_next_page()?.is_some() {
            self.skip();
        }
        Ok(())
    }
}

/// The kind of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Data,
    Index,
    Dictionary,
    DataV2,
}

/// The header of a page.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: Kind,
    bytes: usize,
    packed_bytes: usize,
    /// The checksum of the page's packed bytes. Some writers leave the checksum out.
    checksum: Option<u32>,
    values: usize,
    nulls: usize,
    rows: usize,
    encoding: Encoding,
    definition_encoding: Encoding,
    repetition_encoding: Encoding,
    definition_bytes: usize,
    repetition_bytes: usize,
    is_packed: bool,
}

impl Header {
    /// Reads a page header. Returns the header and its length in bytes.
    fn read(bytes: &[u8]) -> std::result::Result<(Self, usize), Damage> {
        let mut thrift = Thrift::new(bytes);
        // The first index is the number of a header field, and the second index is the number of a field inside it.
        let mut found = [[None; 8]; 9];
        thrift.visit(&mut |path, value| {
            let number = match value {
                Value::Int(number) => number,
                Value::Bool(is_true) => i64::from(is_true),
                _ => return Ok(()),
            };
            let (field, within) = match *path {
                [field] => (field, 0),
                [field, within] => (field, within),
                _ => return Ok(()),
            };
            if let (Ok(field), Ok(within)) = (usize::try_from(field), usize::try_from(within))
                && let Some(slot) = found.get_mut(field).and_then(|fields| fields.get_mut(within))
            {
                *slot = Some(number);
            }
            Ok(())
        })?;
        let missing = || Damage::new("a page header is not complete");
        let size = |field: usize, within: usize| {
            found[field][within].and_then(|number: i64| i32::try_from(number).ok()?.try_into().ok()).ok_or_else(missing)
        };
        let encoding_of = |field: usize, within: usize| found[field][within].and_then(encoding).ok_or_else(missing);
        let (bytes, packed_bytes) = (size(2, 0)?, size(3, 0)?);
        let page = Self {
            kind: Kind::Index,
            bytes,
            packed_bytes,
            checksum: found[4][0].map(|checksum| checksum as u32),
            values: 0,
            nulls: 0,
            rows: 0,
            encoding: Encoding::PLAIN,
            definition_encoding: Encoding::RLE,
            repetition_encoding: Encoding::RLE,
            definition_bytes: 0,
            repetition_bytes: 0,
            is_packed: true,
        };
        let page = match size(1, 0)? {
            0_usize => Self {
                kind: Kind::Data,
                values: size(5, 1)?,
                encoding: encoding_of(5, 2)?,
                definition_encoding: encoding_of(5, 3)?,
                repetition_encoding: encoding_of(5, 4)?,
                ..page
            },
            1 => page,
            2 => Self { kind: Kind::Dictionary, values: size(7, 1)?, encoding: encoding_of(7, 2)?, ..page },
            3 => Self {
                kind: Kind::DataV2,
                values: size(8, 1)?,
                nulls: size(8, 2)?,
                rows: size(8, 3)?,
                encoding: encoding_of(8, 4)?,
                definition_bytes: size(8, 5)?,
                repetition_bytes: size(8, 6)?,
                is_packed: found[8][7].is_none_or(|is_packed| is_packed != 0),
                ..page
            },
            _ => return Err(Damage::new("a page has an unknown type")),
        };
        Ok((page, thrift.read_bytes()))
    }

    /// Returns whether the page stores the lengths of its values separately from the values.
    fn is_delta(&self) -> bool {
        matches!(self.encoding, Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY)
    }

    fn page(self, buf: Bytes) -> Result<Page> {
        let num_values = self.values as u32;
        Ok(match self.kind {
            Kind::Dictionary => Page::DictionaryPage { buf, num_values, encoding: self.encoding, is_sorted: false },
            Kind::Data => Page::DataPage {
                buf,
                num_values,
                encoding: self.encoding,
                def_level_encoding: self.definition_encoding,
                rep_level_encoding: self.repetition_encoding,
                statistics: None,
            },
            Kind::DataV2 => Page::DataPageV2 {
                buf,
                num_values,
                encoding: self.encoding,
                num_nulls: self.nulls as u32,
                num_rows: self.rows as u32,
                def_levels_byte_len: self.definition_bytes as u32,
                rep_levels_byte_len: self.repetition_bytes as u32,
                is_compressed: self.is_packed,
                statistics: None,
            },
            Kind::Index => return Err(Damage::new("a page has an unknown type").into()),
        })
    }
}

fn impossible() -> Damage {
    Damage::new("a page has impossible sizes")
}

fn encoding(number: i64) -> Option<Encoding> {
    Some(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        #[expect(deprecated, reason = "old files use this encoding")]
        4 => Encoding::BIT_PACKED,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Returns the bytes of a field of a page header. `step` is the number of the field minus the number of the
    /// previous field, and `number` is the value of the field.
    fn int(step: u8, number: u64) -> Vec<u8> {
        let (mut bytes, mut rest) = (vec![step << 4 | 5], number << 1);
        while rest >= 0x80 {
            bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(rest as u8);
        bytes
    }

    /// Returns the bytes of a page: a data page, or a dictionary.
    fn page(kind: u64, bytes: u64, values: u64, encoding: u64, packed: &[u8]) -> Vec<u8> {
        let within = match kind {
            2 => [vec![0x4c], int(1, values), int(1, encoding), vec![0]].concat(),
            _ => [vec![0x2c], int(1, values), int(1, encoding), int(1, 3), int(1, 3), vec![0]].concat(),
        };
        let head = [int(1, kind), int(1, bytes), int(1, packed.len() as u64)].concat();
        [head, within, vec![0], packed.to_vec()].concat()
    }

    fn pages(bytes: &[u8], chunk: Chunk) -> (Pages, Arc<Budget>) {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("it can be written");
        let budget = Arc::new(Budget::default());
        let chunk = Chunk { bytes: bytes.len() as u64, ..chunk };
        (Pages::new(Arc::new(Mutex::new(file)), budget.clone(), chunk), budget)
    }

    const TEXTS: Chunk = Chunk {
        begin: 0,
        bytes: 0,
        compression: Compression::UNCOMPRESSED,
        physical: Type::BYTE_ARRAY,
        type_length: 0,
        max_levels: [0, 0],
    };

    #[test]
    fn pages_are_read_or_skipped_in_order_and_their_memory_is_freed() {
        let bytes =
            [page(2, 5, 1, 0, b"\x01\0\0\0a"), page(0, 5, 1, 0, b"\x01\0\0\0b"), page(0, 3, 9, 8, b"cde")].concat();
        let (mut found, budget) = pages(&bytes, TEXTS);

        let first = found.get_next_page().expect("a page").expect("a page");
        assert!(first.is_dictionary_page());
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), 5 + 32);
        drop(first);
        found.skip_next_page().expect("a page");
        assert_eq!(found.peek_next_page().expect("a page").and_then(|page| page.num_levels), Some(9));
        let last = found.get_next_page().expect("a page").expect("a page");
        assert_eq!((last.buffer().as_ref(), last.num_values()), (&b"cde"[..], 9));
        drop(last);
        assert!(found.get_next_page().expect("the end").is_none());
        assert_eq!(budget.held_bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_page_with_a_wrong_checksum_is_damage() {
        let with_checksum = |checksum: u32| {
            let head = [int(1, 0), int(1, 5), int(1, 5), int(1, u64::from(checksum)), vec![0x1c]].concat();
            let within = [int(1, 1), int(1, 0), int(1, 3), int(1, 3), vec![0, 0]].concat();
            [head, within, b"\x01\0\0\0a".to_vec()].concat()
        };
        let right = crc32fast::hash(b"\x01\0\0\0a");

        assert!(pages(&with_checksum(right), TEXTS).0.get_next_page().is_ok());
        assert!(pages(&with_checksum(right ^ 1), TEXTS).0.get_next_page().is_err());
    }

    #[test]
    fn pages_that_claim_more_than_they_contain_are_damage() {
        let zeros = zstd::bulk::compress(&vec![0; 1 << 20], 3).expect("it can be packed");
        let zstd = Chunk { compression: Compression::ZSTD(Default::default()), ..TEXTS };
        let lists = Chunk { max_levels: [1, 1], ..TEXTS };
        let cases = [
            ("more bytes than it unpacks to", page(0, i32::MAX as u64, 1, 0, &zeros), zstd),
            ("fewer bytes than it unpacks to", page(0, 10, 1, 0, &zeros), zstd),
            ("more bytes than there are", page(0, i32::MAX as u64, 1, 0, b"abcd"), TEXTS),
            ("a dictionary of more values", page(2, 4, 1 << 30, 0, b"abcd"), TEXTS),
            ("more values than any page has", page(0, 4, 1 << 30, 0, b"abcd"), TEXTS),
            ("lengths of more values", page(0, 4, 1 << 20, 6, b"abcd"), TEXTS),
            ("a list of more values", page(0, 4, 1 << 24, 0, b"abcd"), lists),
            ("negative sizes", page(0, u64::MAX >> 1, 1, 0, b"abcd"), TEXTS),
            ("an end after the column", page(0, 4, 1, 0, b"abcd")[..20].to_vec(), TEXTS),
        ];

        for (name, bytes, chunk) in cases {
            let (mut found, budget) = pages(&bytes, chunk);
            assert!(found.get_next_page().is_err(), "{name}");
            assert_eq!(budget.held_bytes.load(Ordering::Relaxed), 0, "{name}");
        }
    }

    #[test]
    fn the_memory_of_all_pages_together_is_bounded() {
        let zeros = zstd::bulk::compress(&vec![0; 200 << 20], 3).expect("it can be packed");
        let one = page(0, 200 << 20, 1, 0, &zeros);
        let (mut found, _) =
            pages(&one.repeat(3), Chunk { compression: Compression::ZSTD(Default::default()), ..TEXTS });

        let held: Vec<Page> = (0..2).map(|_| found.get_next_page().expect("it fits").expect("a page")).collect();
        let error = found.get_next_page().expect_err("three do not fit").to_string();

        assert_eq!(held.len(), 2);
        assert!(error.contains("512 MiB at once"), "{error}");
    }
}
