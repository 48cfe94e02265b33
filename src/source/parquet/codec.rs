//! Decompresses pages. The result never has more bytes than the page header says.
//!
//! The parquet crate relies on the size in a page's header. But some of the crate's codecs unpack all data, even if the
//! result is much larger than this size. This module never unpacks more than the size in the header.

use std::io::Read;

use parquet::basic::Compression;

use super::damage::Damage;

/// Returns whether pages with this compression can be read.
pub(super) fn is_known(compression: Compression) -> bool {
    matches!(compression, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_))
}

/// Unpacks `packed` and appends the result to `into`. The result must be exactly `bytes` long.
pub(super) fn unpack(compression: Compression, packed: &[u8], bytes: usize, into: &mut Vec<u8>) -> Result<(), Damage> {
    let begin = into.len();
    match compression {
        Compression::UNCOMPRESSED => into.extend_from_slice(packed),
        Compression::SNAPPY => {
            into.resize(begin + bytes, 0);
            let unpacked = snap::raw::Decoder::new().decompress(packed, &mut into[begin..]);
            into.truncate(begin + unpacked.map_err(|_| damaged())?);
        }
        Compression::GZIP(_) => limited(flate2::read::MultiGzDecoder::new(packed), bytes, into)?,
        Compression::ZSTD(_) => {
            let mut decoder = zstd::stream::read::Decoder::new(packed).map_err(|_| damaged())?;
            // The memory for unpacking is limited by the size of the page, not by the window that the data claims to
            // need.
            decoder.window_log_max(MAX_WINDOW_LOG).map_err(|_| damaged())?;
            limited(decoder, bytes, into)?;
        }
        _ => return Err(Damage::new("a page has an unknown compression")),
    }
    if into.len() - begin == bytes { Ok(()) } else { Err(damaged()) }
}

/// The largest window of zstd, as a power of two: 128 MiB. By default, zstd accepts windows up to this size.
const MAX_WINDOW_LOG: u32 = 27;

fn limited(packed: impl Read, bytes: usize, into: &mut Vec<u8>) -> Result<(), Damage> {
    // One byte more than expected is read, to find out whether the data is too long.
    packed.take(bytes as u64 + 1).read_to_end(into).map(drop).map_err(|_| damaged())
}

fn damaged() -> Damage {
    Damage::new("a page can't be unpacked")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_page_must_unpack_to_exactly_its_size() {
        let text = b"page ".repeat(1_000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&text).expect("a write to memory never fails");
        let packed = [
            (Compression::UNCOMPRESSED, text.clone()),
            (Compression::SNAPPY, snap::raw::Encoder::new().compress_vec(&text).expect("it can be packed")),
            (Compression::GZIP(Default::default()), gzip.finish().expect("a write to memory never fails")),
            (Compression::ZSTD(Default::default()), zstd::bulk::compress(&text, 1).expect("it can be packed")),
        ];

        for (compression, packed) in packed {
            let mut into = b"before".to_vec();
            assert!(unpack(compression, &packed, text.len(), &mut into).is_ok(), "{compression}");
            assert_eq!(into, [b"before", &text[..]].concat(), "{compression}");
            for wrong in [0, 1, text.len() - 1, text.len() + 1] {
                assert!(unpack(compression, &packed, wrong, &mut Vec::new()).is_err(), "{compression}, {wrong}");
            }
            assert!(unpack(compression, &packed[..packed.len() / 2], text.len(), &mut Vec::new()).is_err());
        }
    }
}
