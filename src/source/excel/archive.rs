//! Checks an `.xlsx` file, which is a zip archive of XML files, before calamine reads it.
//!
//! Everything is unpacked once, and only counted: what an archive says about sizes need not be true. The list of shared
//! texts is looked into as well, because calamine allocates for as many as it claims to have.

use std::io::{Cursor, Read};

use quick_xml::Reader;
use quick_xml::events::Event;
use zip::ZipArchive;

/// How much of an `.xlsx` file is read, packed and unpacked. A sheet of a million rows and ten columns unpacks to some
/// 600 MB.
pub(super) const MAX_PACKED_BYTES: u64 = 256 << 20;
const MAX_BYTES: u64 = 1 << 30;

/// How many bytes the shared texts may have, and any part that is no sheet.
const MAX_TEXTS_BYTES: u64 = 512 << 20;
const MAX_PART_BYTES: u64 = 64 << 20;

/// The most files in an archive; each sheet has one or two.
const MAX_FILES: usize = 10_000;

/// The fewest bytes of a shared text: `<si/>`.
const MIN_TEXT_BYTES: u64 = 5;

/// The most shared texts, each of which takes 24 bytes beside its text.
const MAX_TEXTS: u64 = 16 << 20;

/// Checks the sizes of everything in an archive.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut archive =
        ZipArchive::new(Cursor::new(bytes)).map_err(|error| format!("it is no whole .xlsx file: {error}"))?;
    if archive.len() > MAX_FILES {
        return Err(format!("it has more than {MAX_FILES} parts"));
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
        let unpacked = count(part, most).map_err(|error| format!("its part {name:?} can't be unpacked: {error}"))?;
        if unpacked > most {
            return Err(format!("its part {name:?} unpacks to more than {} MiB", most >> 20));
        }
        left -= unpacked;
        if name.ends_with("sharedstrings.xml") {
            let part = archive.by_index(at).map_err(|error| format!("a part of it can't be read: {error}"))?;
            check_texts(part, unpacked)?;
        }
    }
    Ok(())
}

/// Returns how many bytes there are, up to one more than `most`.
fn count(part: impl Read, most: u64) -> std::io::Result<u64> {
    std::io::copy(&mut part.take(most + 1), &mut std::io::sink())
}

/// Checks how many shared texts there are, and how many are claimed.
fn check_texts(part: impl Read, bytes: u64) -> Result<(), String> {
    let too_many = || "it claims more shared texts than it has".to_owned();
    let mut reader = Reader::from_reader(std::io::BufReader::new(part));
    let config = reader.config_mut();
    config.check_end_names = false;
    config.expand_empty_elements = true;
    let (mut buffer, mut texts) = (Vec::new(), 0_u64);
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start)) if start.local_name().as_ref() == "sst" => {
                // Duplicates need not be looked for, which takes long for many attributes.
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
                    return Err(format!("it has more than {MAX_TEXTS} shared texts"));
                }
            }
            // What is wrong with the XML is found again by calamine.
            Ok(Event::Eof) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}
