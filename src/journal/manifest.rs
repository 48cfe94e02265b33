//! The manifest: what a run was, beside what it wrote.
//!
//! Owns `manifest.json` in the run folder. It is replaced atomically (temporary file, sync, rename, sync folder).
//! Where it and the lines differ, the lines win; losing it loses only convenience and the counts of what no line holds.
//!
//! A run folder may come from somebody else. So a manifest is data to be judged: its size is bounded, its numbers are
//! added without overflow, its origin is only compared, and of its settings `resume` takes what stands in the table of
//! `cli/config/recorded.rs`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::JournalError;
use super::disk::{Disk, DiskFailure, OpenMode};
use super::lines::read_up_to;
use super::paths::with_suffix;
use super::replace::replace;
use crate::domain::{Money, Usage};

/// Version of the run folder's form. A folder with a higher one is refused.
pub const FORMAT_VERSION: u32 = 1;

const NAME: &str = "manifest.json";

/// The largest manifest that is read: tens of thousands of inputs fit. Parsed, hostile text takes thirty times as much.
const MOST_BYTES: u64 = 4 << 20;
/// Longest origin, for messages that show it.
const ORIGIN_BYTES: usize = 512;
/// Longest text of a parser's complaint, which may quote the file.
const FAULT_CHARS: usize = 200;

/// What a run was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the run folder's form: [`FORMAT_VERSION`].
    pub format: u32,
    /// Version of the program that wrote it.
    #[serde(default)]
    pub tool: String,
    /// Id of the latest run.
    #[serde(default)]
    pub run: String,
    /// Where answers come from: the base URL's origin, or `simulator`.
    #[serde(default)]
    pub origin: String,
    /// What was read.
    #[serde(default)]
    pub inputs: Vec<InputIdentity>,
    /// What shapes every request.
    #[serde(default)]
    pub shape: RequestShape,
    /// Other settings, by the names of their flags, as they were found: whoever takes one over must judge it. Never a
    /// credential, never the base URL.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// What was used and spent and stands in no line any more.
    #[serde(default)]
    pub carried: Carried,
    /// How often the run folder was opened: tells one opening's slots from another's.
    #[serde(default)]
    pub opening: u64,
    /// The last opening whose slots, left by a death, are in `carried`.
    #[serde(default)]
    pub counted_opening: u64,
}

/// One input, as far as it can be known again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputIdentity {
    /// Its path as given, or `stdin`.
    pub path: String,
    /// Its length in bytes; `None` for a pipe.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// When it was last changed.
    #[serde(default)]
    pub modified: Option<jiff::Timestamp>,
}

/// What the flags put into every request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestShape {
    /// `--model`, or the default.
    #[serde(default)]
    pub model: Option<String>,
    /// `--max-tokens`.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// SHA-256 of `--system`, in hexadecimal digits.
    #[serde(default)]
    pub system_sha256: Option<String>,
    /// `--param`.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// `anthropic-version`.
    #[serde(default)]
    pub api_version: String,
    /// `anthropic-beta` values, sorted.
    #[serde(default)]
    pub betas: Vec<String>,
}

/// Sums over what stands in no line any more: entries that compaction removed, and rows in flight at a death.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// Pico-dollars.
    #[serde(default)]
    pub spend_pico: u64,
    /// Tokens.
    #[serde(default)]
    pub usage: Usage,
    /// Attempts that may have been billed without a kept answer.
    #[serde(default)]
    pub maybe_paid: u64,
}

impl Carried {
    /// Returns the money.
    pub fn spend(&self) -> Money {
        Money(u128::from(self.spend_pico))
    }

    /// Adds what one removed line said.
    pub(super) fn add(&mut self, spend: Money, usage: Usage, maybe_paid: u64) {
        self.spend_pico = self.spend_pico.saturating_add(u64::try_from(spend.0).unwrap_or(u64::MAX));
        self.usage += usage;
        self.maybe_paid = self.maybe_paid.saturating_add(maybe_paid);
    }
}

/// Returns whether a run folder has a manifest.
pub(super) fn exists(disk: &dyn Disk, folder: &Path) -> Result<bool, DiskFailure> {
    let path = path_in(folder);
    Ok(disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_some())
}

/// Returns the path of a run folder's manifest.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Reads the manifest of a run folder; `None` when there is none.
///
/// # Errors
/// [`JournalError::NewerFormat`]; [`JournalError::Manifest`] when it can't be read; [`JournalError::Disk`].
pub(super) fn read(disk: &dyn Disk, folder: &Path) -> Result<Option<Manifest>, JournalError> {
    let path = path_in(folder);
    if disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_none() {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?;
    let bytes = read_up_to(&*file, MOST_BYTES + 1).map_err(DiskFailure::of("read", &path))?;
    if bytes.len() as u64 > MOST_BYTES {
        let fault = format!("it is larger than {} MiB", MOST_BYTES >> 20);
        return Err(JournalError::Manifest { path, fault });
    }
    parse(&bytes, path).map(Some)
}

fn parse(bytes: &[u8], path: PathBuf) -> Result<Manifest, JournalError> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    if let Ok(Format { format }) = serde_json::from_slice(bytes)
        && format > FORMAT_VERSION
    {
        return Err(JournalError::NewerFormat { path, version: format });
    }
    let manifest = serde_json::from_slice::<Manifest>(bytes);
    let fault = match manifest {
        Ok(manifest) => match fault_of_origin(&manifest.origin) {
            None => return Ok(manifest),
            Some(fault) => fault,
        },
        Err(error) => fault_of_json(&error),
    };
    Err(JournalError::Manifest { path, fault })
}

fn fault_of_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
    let what: String = what.chars().take(FAULT_CHARS).collect();
    format!("line {}, column {}: {what}", error.line(), error.column())
}

/// Returns what keeps a text from being an origin that can be shown to people.
fn fault_of_origin(origin: &str) -> Option<String> {
    match origin {
        origin if origin.len() > ORIGIN_BYTES => Some(format!("origin has {} bytes", origin.len())),
        origin if origin.chars().any(char::is_control) => Some("origin has control characters".to_owned()),
        _ => None,
    }
}

/// Replaces the manifest.
///
/// # Errors
/// What failed; the manifest is then the old one or the new one, never a mixture.
pub(super) fn write(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<(), DiskFailure> {
    let mut bytes = rendered(manifest);
    if bytes.len() as u64 > MOST_BYTES {
        // A list of inputs that long is the one part that nothing depends on.
        bytes = rendered(&Manifest { inputs: Vec::new(), ..manifest.clone() });
    }
    replace(disk, &path_in(folder), |file, path| file.write_at(&bytes, 0).map_err(DiskFailure::of("write", path)))
}

fn rendered(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
    bytes.push(b'\n');
    bytes
}

/// Moves the manifest aside, under a name that tells which run did it.
pub(super) fn set_aside(disk: &dyn Disk, folder: &Path, suffix: &str) -> Result<(), DiskFailure> {
    let path = path_in(folder);
    match disk.kind(&path).map_err(DiskFailure::of("look at", &path))? {
        Some(_) => disk.rename(&path, &with_suffix(&path, suffix)).map_err(DiskFailure::of("rename", &path)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::mem_disk::MemDisk;
    use super::*;

    const FOLDER: &str = "o.run";

    /// Reads a manifest of this text; the fault when it is refused.
    fn read_text(text: &[u8]) -> Result<Option<Manifest>, String> {
        let disk = MemDisk::new();
        disk.put("o.run/manifest.json", text);
        read(&disk, Path::new(FOLDER)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_its_place_and_little_of_its_text() {
        let long = format!("{{\"format\":1,\n\"opening\":\"{}\"}}", "\u{1b}[31mx".repeat(100_000));
        let deep = format!("{{\"format\":1,\"settings\":{}", "{\"a\":".repeat(100_000));
        let cases: [(&[u8], &str); 12] = [
            (b"", "line 1"),
            (b"\0\0\0", "line 1"),
            (b"[]", "line 1"),
            (b"{}", "missing field `format`"),
            (b"{\"format\":-1}", "line 1"),
            (b"{\"format\":1,\"format\":1}", "duplicate field `format`"),
            (b"{\"format\":1,\n\"opening\":18446744073709551616}", "line 2"),
            (b"{\"format\":1,\"carried\":{\"spend_pico\":1e400}}", "line 1"),
            (b"{\"format\":1,\"origin\":\"http://a\\u001b[2J\"}", "origin has control characters"),
            (b"{\"format\":1,\"origin\":\"\xff\"}", "line 1"),
            (long.as_bytes(), "line 2"),
            (deep.as_bytes(), "recursion limit"),
        ];
        for (text, expected) in cases {
            let message = read_text(text).expect_err("it is no manifest");

            assert!(message.contains("manifest.json") && message.contains(expected), "{message}");
            assert!(message.len() < 600 && !message.contains('\u{1b}'), "{message}");
        }
    }

    #[test]
    fn a_manifest_of_any_size_is_read_up_to_a_bound() {
        let mut text = b"{\"format\":1,\"origin\":\"".to_vec();
        text.resize(MOST_BYTES as usize + 100, b'a');

        let message = read_text(&text).expect_err("it is too large");

        assert!(message.contains("larger than 4 MiB"), "{message}");
    }

    #[test]
    fn inputs_that_would_make_it_too_large_to_be_read_are_left_out() {
        let disk = MemDisk::new();
        let input = InputIdentity { path: "a/long/path/".repeat(50), ..InputIdentity::default() };
        let inputs = vec![input; 10_000];
        let manifest = Manifest { format: FORMAT_VERSION, opening: 7, inputs, ..Manifest::default() };

        write(&disk, Path::new(FOLDER), &manifest).expect("it can be written");

        let read = read(&disk, Path::new(FOLDER)).expect("it can be read").expect("it is there");
        assert_eq!(read, Manifest { inputs: Vec::new(), ..manifest });
    }

    #[test]
    fn sums_stop_at_the_largest_number() {
        let most = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::default() };
        let mut carried = Carried { spend_pico: u64::MAX, usage: most, maybe_paid: u64::MAX };

        carried.add(Money(u128::MAX), most, u64::MAX);

        assert_eq!(carried, Carried { spend_pico: u64::MAX, usage: most, maybe_paid: u64::MAX });
    }
}
