//! Checks an `.xlsx` file, which is a zip archive of XML files, before calamine reads it.
//!
//! The sizes that an archive states can be wrong. So everything is unpacked once, only to count its bytes. The list of
//! shared texts is also parsed, because calamine allocates memory for as many texts as the list claims to have.

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;

/// The largest size, in bytes, of an `.xlsx` file, and the largest size of its unpacked content. A sheet with a million
/// rows and ten columns takes about 600 MB when it is unpacked.
pub(super) const MAX_PACKED_BYTES: u64 = 256 << 20;
const MAX_BYTES: u64 = 1 << 30;

/// The largest size, in bytes, of a part of the archive, such as the list of shared texts. This limit does not apply to
/// sheets and images.
const MAX_TEXTS_BYTES: u64 = 512 << 20;
const MAX_PART_BYTES: u64 = 64 << 20;

/// The largest number of files in an archive. Each sheet has one or two files.
const MAX_FILES: usize = 10_000;

/// The length of the shortest shared text, which is `<si/>`.
const MIN_TEXT_BYTES: u64 = 5;

/// The highest number of shared texts. Each shared text takes 24 bytes of memory in addition to its characters.
const MAX_TEXTS: u64 = 16 << 20;

/// Checks the sizes of everything in an archive.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("it is not a complete .xlsx file: {error}"))?;
    if archive.len() > MAX_FILES {
        return Err(format!("the file has more than {MAX_FILES} parts"));
    }
    let mut left = MAX_BYTES;
    for at in 0..archive.len() {
        let part = archive.by_index(at).map_err(|error| format!("a part of it can't be read: {error}"))?;
        let name = part.name().map(|name| name.to_ascii_lowercase()).unwrap_or_default();
        let name = name.replace('\\', "/");
        let most = match () {
            () if name.ends_with("sharedstrings.xml") => MAX_TEXTS_BYTES,
            () if name.contains("worksheets/") || name.contains("media/") => MAX_BYTES,
            () => MAX_PART_BYTES,
        };
        let most = most.min(left);
        let unpacked = count(part, most).map_err(|error| format!("the part {name:?} can't be unpacked: {error}"))?;
        if unpacked > most {
            return Err(format!("the part {name:?} unpacks to more than {} MiB", most >> 20));
        }
        left -= unpacked;
        if name.ends_with("sharedstrings.xml") {
            let part = archive.by_index(at).map_err(|error| format!("a part of it can't be read: {error}"))?;
            check_texts(part, unpacked)?;
        }
    }
    Ok(())
}

/// Returns the length of an unpacked part, in bytes. Counting stops at `most + 1`.
fn count(part: impl Read, most: u64) -> std::io::Result<u64> {
    std::io::copy(&mut part.take(most + 1), &mut std::io::sink())
}

/// Rejects a list of shared texts that has too many texts, or claims to have too many.
fn check_texts(part: impl Read, bytes: u64) -> Result<(), String> {
    let too_many = || "the list claims more shared texts than the file has".to_owned();
    let mut reader = Reader::from_reader(std::io::BufReader::new(part));
    let config = reader.config_mut();
    config.check_end_names = false;
    config.expand_empty_elements = true;
    let (mut buffer, mut texts) = (Vec::new(), 0_u64);
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start)) if start.local_name().as_ref() == "sst" => {
                // The check for duplicate attributes is off. This check is not needed here, and it is slow if there are
                // many attributes.
                for attribute in start.attributes().with_checks(false).flatten() {
                    let claimed: Option<u64> = std::str::from_utf8(attribute.value.as_ref().as_ref())
                        .ok()
                        .and_then(|value| value.trim().parse().ok());
                    if attribute.key.as_ref() == "uniqueCount"
                        && claimed.is_some_and(|claimed| claimed > bytes / MIN_TEXT_BYTES || claimed > MAX_TEXTS)
                    {
                        return Err(too_many());
                    }
                }
            }
            Ok(Event::Start(start)) if start.local_name().as_ref() == "si" => {
                texts += 1;
                if texts > MAX_TEXTS {
                    return Err(format!("the file has more than {MAX_TEXTS} shared texts"));
                }
            }
            // Errors in the XML are ignored here, because calamine finds and reports them.
            Ok(Event::Eof) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}
