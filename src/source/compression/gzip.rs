//! Unpacks gzip. Only this file uses the crate flate2.
//!
//! Source: RFC 1952, sections 2.2 and 2.3.

use std::io::{self, BufRead, BufReader, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::damage::Damage;

/// How far back deflate data can refer, in bytes. The decoder gets a buffer of this size and can use all of its free
/// part in each call. So when the decoder finds damage, it has already returned everything that it unpacked before.
const WINDOW: usize = 32 << 10;

/// Flags for the optional parts of the header, which come after its first ten bytes.
const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

/// The size of the read buffer, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The part of a gzip member that is read next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Header,
    Body,
    Trailer,
    End,
}

/// A reader that unpacks gzip members, one after another.
pub(super) struct Unpacked<R> {
    input: BufReader<R>,
    inflate: Decompress,
    crc: Crc,
    next: Next,
    /// Whether the next gzip member is the first one.
    is_first: bool,
    /// The unpacked bytes, and the range of the bytes that were not returned yet.
    unpacked: Box<[u8]>,
    given: usize,
    filled: usize,
    /// The error for the damage that follows the unpacked bytes. This error is returned after all unpacked bytes.
    damage: Option<io::Error>,
}

impl<R: Read> Unpacked<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            inflate: Decompress::new(false),
            crc: Crc::new(),
            next: Next::Header,
            is_first: true,
            unpacked: vec![0; WINDOW].into(),
            given: 0,
            filled: 0,
            damage: None,
        }
    }

    /// Reads until there are unpacked bytes, or until the input ends.
    fn fill(&mut self) -> io::Result<()> {
        while self.given == self.filled && self.next != Next::End {
            self.next = match self.next {
                Next::Header => self.header()?,
                Next::Body => self.body()?,
                Next::Trailer => self.trailer()?,
                Next::End => Next::End,
            };
        }
        Ok(())
    }

    /// Reads the header of the next member, if there is another member.
    fn header(&mut self) -> io::Result<Next> {
        if !self.is_first && self.is_padding()? {
            return Ok(Next::End);
        }
        // The first bytes are read one by one, because other data after a member can be shorter than a header.
        for expected in [0x1f, 0x8b] {
            if self.bytes()? != [expected] {
                return Err(Damage::error("the bytes after the gzip data are not gzip; remove them"));
            }
        }
        let [method, flags, ..] = self.bytes::<8>()?;
        if method != 8 || flags & RESERVED != 0 {
            return Err(Damage::error("the gzip header is wrong"));
        }
        if flags & HAS_EXTRA != 0 {
            for _ in 0..u16::from_le_bytes(self.bytes()?) {
                self.bytes::<1>()?;
            }
        }
        for part in [HAS_NAME, HAS_COMMENT] {
            while flags & part != 0 && self.bytes()? != [0] {}
        }
        if flags & HAS_CHECKSUM != 0 {
            self.bytes::<2>()?;
        }
        self.is_first = false;
        self.inflate.reset(false);
        self.crc.reset();
        Ok(Next::Body)
    }

    /// Unpacks the next bytes of a gzip member.
    fn body(&mut self) -> io::Result<Next> {
        let input = fill_buf(&mut self.input)?;
        if input.is_empty() {
            return Err(ends_early());
        }
        let (read, written) = (self.inflate.total_in(), self.inflate.total_out());
        let room = WINDOW - (written % WINDOW as u64) as usize;
        let status = self.inflate.decompress(input, &mut self.unpacked[..room], FlushDecompress::None);
        let consumed = (self.inflate.total_in() - read) as usize;
        self.input.consume(consumed);
        (self.given, self.filled) = (0, (self.inflate.total_out() - written) as usize);
        self.crc.update(&self.unpacked[..self.filled]);
        match status {
            Ok(Status::StreamEnd) => Ok(Next::Trailer),
            Ok(Status::Ok | Status::BufError) => Ok(Next::Body),
            Err(_) => Err(Damage::error("the gzip data is wrong here")),
        }
    }

    /// Reads the end of a member: its checksum and its length.
    fn trailer(&mut self) -> io::Result<Next> {
        let (sum, length) = (self.bytes::<4>()?, self.bytes::<4>()?);
        if u32::from_le_bytes(sum) != self.crc.sum() || u32::from_le_bytes(length) != self.crc.amount() {
            return Err(Damage::error("the checksum does not match, so what was read before may be wrong too"));
        }
        Ok(Next::Header)
    }

    /// Skips zeros, because tapes and some archives are padded with zeros. Returns whether the input ends after the
    /// zeros.
    fn is_padding(&mut self) -> io::Result<bool> {
        loop {
            let input = fill_buf(&mut self.input)?;
            let zeros = input.iter().take_while(|byte| **byte == 0).count();
            let is_all = zeros == input.len();
            let is_end = input.is_empty();
            self.input.consume(zeros);
            if is_end || !is_all {
                return Ok(is_end);
            }
        }
    }

    fn bytes<const COUNT: usize>(&mut self) -> io::Result<[u8; COUNT]> {
        let mut bytes = [0; COUNT];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ends_early(),
            _ => error,
        })?;
        Ok(bytes)
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.filled {
            if let Some(damage) = self.damage.take() {
                self.next = Next::End;
                return Err(damage);
            }
            if let Err(error) = self.fill() {
                if self.given == self.filled {
                    self.next = Next::End;
                    return Err(error);
                }
                self.damage = Some(error);
            }
        }
        let ready = &self.unpacked[self.given..self.filled];
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.given += count;
        Ok(count)
    }
}

fn ends_early() -> io::Error {
    Damage::error("the gzip data ends too early")
}

fn fill_buf<R: Read>(input: &mut BufReader<R>) -> io::Result<&[u8]> {
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(input.buffer())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{assert_salvage, rows, unpack};
    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write as _;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packer.write_all(bytes).and_then(|()| packer.finish()).expect("a write to memory never fails")
    }

    #[test]
    fn members_follow_each_other_and_zeros_at_the_end_are_skipped() {
        let text = rows(100_000);
        let (one, two) = text.split_at(text.len() / 3);
        let packed = [pack(one), pack(b""), pack(two), vec![0; 100_000]].concat();

        let (unpacked, damage) = unpack(Unpacked::new(&*packed));

        assert_eq!((unpacked == text, damage), (true, None));
    }

    #[test]
    fn every_optional_part_of_a_header_is_skipped() {
        let body = &pack(b"text")[10..];
        let header = b"\x1f\x8b\x08\x1e\0\0\0\0\0\x03\x02\0abname\0comment\0\0\0";

        let (unpacked, damage) = unpack(Unpacked::new(&*[header, body].concat()));

        assert_eq!((&*unpacked, damage), (&b"text"[..], None));
    }

    #[test]
    fn bytes_before_damage_are_returned() {
        for count in [100, 20_000] {
            assert_salvage(&rows(count), &pack(&rows(count)), |packed| Box::new(Unpacked::new(packed)));
        }
    }

    #[test]
    fn the_error_for_damage_says_what_is_damaged() {
        let whole = pack(b"some text, some text");
        let changed = |at: usize, byte: u8| {
            let mut packed = whole.clone();
            packed[at] = byte;
            packed
        };
        let end = whole.len();
        for (packed, what) in [
            (whole[..5].to_vec(), "ends too early"),
            (whole[..end - 1].to_vec(), "ends too early"),
            (changed(2, 7), "header is wrong"),
            (changed(3, 0x80), "header is wrong"),
            (changed(10, 0xff), "wrong here"),
            (changed(end - 8, !whole[end - 8]), "checksum does not match"),
            (changed(end - 1, 1), "checksum does not match"),
            ([&whole[..], b"m"].concat(), "are not gzip"),
            ([&whole[..], b"\x1f\x8b\x08"].concat(), "too early"),
            ([&whole[..], b"more than ten bytes"].concat(), "are not gzip"),
        ] {
            let (_, damage) = unpack(Unpacked::new(&*packed));

            assert!(damage.as_ref().is_some_and(|damage| damage.contains(what)), "{what}: {damage:?}");
        }
    }
}
