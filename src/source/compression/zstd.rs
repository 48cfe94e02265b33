//! Unpacks zstd. Only this file uses the crate zstd.

use std::io::{self, BufRead, BufReader, Read};

use ::zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::damage::Damage;

/// The largest window that a frame may have, as a power of two in bytes: 128 MiB. The zstd tool has the same limit, and
/// makes files with larger windows only with its options `--long` and `--ultra`.
pub(super) const MAX_WINDOW_LOG: u32 = 27;

/// The size of the read buffer, in bytes.
const BUFFER_BYTES: usize = 64 << 10;

/// The size of the largest block, in bytes. The decoder never returns more than a block in one call.
const BLOCK: usize = 128 << 10;

/// How many bytes the decoder gets at the start of a frame. Every frame is longer than this.
const FIRST: usize = 5;

/// A reader of the unpacked bytes of zstd frames, one frame after another.
///
/// The decoder never gets more bytes than it asks for, and it never asks for more than one block. So when the decoder
/// finds damage, all blocks before the damage have been returned.
pub(super) struct Unpacked<R> {
    input: BufReader<R>,
    decoder: io::Result<Decoder<'static>>,
    /// How many bytes the decoder asks for next.
    wanted: usize,
    is_in_frame: bool,
    /// Unpacked bytes. The bytes from `given` to `filled` were not returned yet.
    unpacked: Box<[u8]>,
    given: usize,
    filled: usize,
}

impl<R: Read> Unpacked<R> {
    pub(super) fn new(input: R) -> Self {
        let decoder = Decoder::new().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
            Ok(decoder)
        });
        Self {
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            decoder,
            wanted: FIRST,
            is_in_frame: false,
            unpacked: vec![0; BLOCK].into(),
            given: 0,
            filled: 0,
        }
    }

    /// Reads until there are unpacked bytes. Returns `false` at the end of the input.
    fn fill(&mut self) -> io::Result<bool> {
        let decoder = self.decoder.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
        while self.given == self.filled {
            let input = match self.input.fill_buf() {
                Ok(input) => input,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if input.is_empty() {
                return if self.is_in_frame { Err(Damage::error("the zstd data ends too early")) } else { Ok(false) };
            }
            let mut part = InBuffer::around(&input[..input.len().min(self.wanted)]);
            let mut room = OutBuffer::around(&mut self.unpacked[..]);
            let wanted = decoder.run(&mut part, &mut room).map_err(|error| damage(&error))?;
            let (consumed, written) = (part.pos(), room.pos());
            self.input.consume(consumed);
            (self.given, self.filled) = (0, written);
            self.is_in_frame = wanted > 0;
            self.wanted = if self.is_in_frame { wanted } else { FIRST };
        }
        Ok(true)
    }
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.filled && !self.fill()? {
            return Ok(0);
        }
        let ready = &self.unpacked[self.given..self.filled];
        let count = ready.len().min(into.len());
        into[..count].copy_from_slice(&ready[..count]);
        self.given += count;
        Ok(count)
    }
}

fn damage(error: &io::Error) -> io::Error {
    let what = error.to_string();
    match &*what {
        "Frame requires too much memory for decoding" => Damage::error(format!(
            "it needs more than {} MiB of memory to unpack; pipe it in, with: zstd -dc --long=31 FILE | claude-batch run -",
            (1_u64 << MAX_WINDOW_LOG) >> 20
        )),
        "Restored data doesn't match checksum" => {
            Damage::error("the checksum does not match, so what was read before may be wrong too")
        }
        _ => Damage::error(format!("the zstd data is wrong here ({what})")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ::zstd::Encoder;
    use ::zstd::stream::raw::CParameter;

    use super::super::testing::{assert_salvage, rows, unpack};
    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packer = Encoder::new(Vec::new(), 3).expect("there is memory");
        packer.include_checksum(true).expect("it can be set");
        packer.write_all(bytes).and_then(|()| packer.finish()).expect("a write to memory never fails")
    }

    #[test]
    fn frames_follow_each_other_and_some_are_skipped() {
        let text = rows(100_000);
        let (one, two) = text.split_at(text.len() / 3);
        let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
        let packed = [skipped.clone(), pack(one), pack(b""), skipped, pack(two)].concat();

        let (unpacked, damage) = unpack(Unpacked::new(&*packed));

        assert_eq!((unpacked == text, damage), (true, None));
    }

    #[test]
    fn bytes_before_damage_are_returned() {
        let text = rows(40_000);
        assert_salvage(&text, &pack(&text), |packed| Box::new(Unpacked::new(packed)));
    }

    #[test]
    fn the_error_for_damage_says_what_is_damaged() {
        let whole = pack(&rows(100));
        let changed = |at: usize| {
            let mut packed = whole.clone();
            packed[at] = !packed[at];
            packed
        };
        for (packed, what) in [
            (whole[..5].to_vec(), "ends too early"),
            (whole[..whole.len() - 1].to_vec(), "ends too early"),
            (changed(whole.len() - 2), "checksum does not match"),
            ([&whole[..], b"more"].concat(), "wrong here"),
        ] {
            let (_, damage) = unpack(Unpacked::new(&*packed));

            assert!(damage.as_ref().is_some_and(|damage| damage.contains(what)), "{what}: {damage:?}");
        }
    }

    #[test]
    fn a_frame_that_needs_too_much_memory_is_refused() {
        let mut packer = Encoder::new(Vec::new(), 1).expect("there is memory");
        packer.set_parameter(CParameter::WindowLog(MAX_WINDOW_LOG + 1)).expect("it can be set");
        packer.write_all(b"text").and_then(|()| packer.flush()).expect("a write to memory never fails");

        let (unpacked, damage) = unpack(Unpacked::new(&**packer.get_ref()));

        let damage = damage.expect("it is refused");
        assert!(unpacked.is_empty() && damage.contains("128 MiB") && damage.contains("zstd -dc"), "{damage}");
    }
}
