//! Compressed inputs: gzip and zstd. Compressed inputs are recognized by their first bytes and unpacked while they are
//! read.
//!
//! All bytes before a damaged place are returned, so that no row before it is lost. If the readers of the crates flate2
//! and zstd find damage during a call, they drop everything that they unpacked in this call. If the file is small, the
//! dropped data can be its whole content. So [`gzip`] and [`zstd`] call the decoders directly.
//!
//! Memory is bounded. For gzip, the last 32 KiB of the unpacked data are in memory. For zstd, the window of the frame
//! is in memory, and [`zstd::MAX_WINDOW_LOG`] limits the size of the window.

mod damage;
mod gzip;
#[cfg(test)]
mod testing;
mod zstd;

use std::io::Read;

pub(super) use self::damage::Damage;

/// How an input is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Compression {
    /// The input is compressed with gzip, in one member or more.
    Gzip,
    /// The input is compressed with zstd, in one frame or more.
    Zstd,
}

impl Compression {
    /// Returns the name of the compression, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// Returns how an input with these first bytes is compressed; `None` if it is not compressed.
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            // The first bytes of a skippable frame, which some packers write before the first frame with data.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Returns whether [`Self::of`] needs more bytes to recognize the compression.
    pub(super) fn may_begin_with(head: &[u8]) -> bool {
        const MAGIC: [&[u8]; 2] = [b"\x1f\x8b", b"\x28\xb5\x2f\xfd"];
        let is_skipped = |head: &[u8]| matches!(head, [0x50..=0x5f] | [0x50..=0x5f, 0x2a] | [0x50..=0x5f, 0x2a, 0x4d]);
        head.is_empty()
            || is_skipped(head)
            || MAGIC.iter().any(|magic| head.len() < magic.len() && magic.starts_with(head))
    }

    /// Returns a reader of the unpacked bytes of `input`.
    pub(super) fn unpack(self, input: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        match self {
            Self::Gzip => Box::new(gzip::Unpacked::new(input)),
            Self::Zstd => Box::new(zstd::Unpacked::new(input)),
        }
    }

    /// Returns a file's name without the extension of its compression.
    pub(super) fn name_inside(name: &str) -> &str {
        match name.rsplit_once('.') {
            Some((stem, ending)) if ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)) => stem,
            Some(_) | None => name,
        }
    }
}

/// The file name extensions of compressed files.
const ENDINGS: [&str; 4] = ["gz", "gzip", "zst", "zstd"];
