//! The manifest: the file `manifest.json` in the run folder, which describes the run.
//!
//! The manifest is replaced atomically (temporary file, sync, rename, sync of the folder). If the manifest and the
//! lines disagree, the lines are right. A lost manifest costs only three things: the recorded settings, the sums of
//! removed lines, and the check that the server has not changed.
//!
//! A run folder can come from another person, so a manifest is not trusted:
//! - The size of the manifest is limited.
//! - The numbers in the manifest are added without overflow.
//! - The origin in the manifest is only compared with the origin of the run.
//! - `resume` uses a setting from the manifest only if the table of `cli/config/recorded.rs` contains the setting.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::servers::Servers;
use crate::domain::{Money, Usage};
use crate::journal::charges::Charges;
use crate::journal::disk::{Disk, DiskFailure, OpenMode, read_up_to, replace, with_suffix};
use crate::journal::error::JournalError;

/// Format version of the run folder. If a folder has a higher version than this, a run does not use the folder.
pub(crate) const FORMAT_VERSION: u32 = 1;

const NAME: &str = "manifest.json";

/// The maximum size of a manifest in bytes; a larger file is not read. The size is enough for tens of thousands of
/// inputs. The limit is needed because a malicious manifest can need thirty times its size in memory while it is
/// parsed.
const MOST_BYTES: u64 = 4 << 20;
/// The largest length of an origin, in bytes. The length is limited because messages show the origin.
const ORIGIN_BYTES: usize = 512;
/// How many characters of a parser message are shown. The message is shortened because it can quote a part of the file.
const FAULT_CHARS: usize = 200;

/// The description of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format version of the run folder.
    pub format: u32,
    /// Version of the program that wrote the manifest.
    #[serde(default)]
    pub tool: String,
    /// Id of the latest run.
    #[serde(default)]
    pub run: String,
    /// The server that the answers come from: the origin of the base URL, or `simulator`.
    #[serde(default)]
    pub origin: String,
    /// The providers that this run or an earlier run could use, with their origins. The first versions of the program
    /// had only one provider, and the map in their manifests is empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub providers: BTreeMap<String, String>,
    /// The inputs.
    #[serde(default)]
    pub inputs: Vec<InputIdentity>,
    /// The settings that come from flags and are part of every request.
    #[serde(default)]
    pub shape: RequestShape,
    /// The other settings: a map from flag names to values. The values are not checked here, and never include a
    /// credential or the base URL.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// The settings that say how rows are read and how requests are made from rows: a map from flag names to values.
    /// The values of the settings are not checked here.
    #[serde(default)]
    pub rows: Map<String, Value>,
    /// The output that is made from the results; `None` if the results file is the output.
    #[serde(default)]
    pub output: Option<RecordedOutput>,
    /// The sums of those charges that no line contains.
    #[serde(default)]
    pub carried: Carried,
    /// The number of runs that have opened the run folder, including the latest run. Each run also writes this number
    /// to its file of slots.
    #[serde(default)]
    pub opening: u64,
    /// The value of `opening` for the last run whose slots were counted. If that run died with requests in flight,
    /// `carried` includes these requests.
    #[serde(default)]
    pub counted_opening: u64,
}

/// An output that is made from the results. The output is in the same folder as the results file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedOutput {
    /// The name of the file.
    pub name: String,
    /// The settings of the output: a map from flag names to values. The values of the settings are not checked here.
    #[serde(default)]
    pub settings: Map<String, Value>,
}

/// What identifies one input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputIdentity {
    /// The path of the input as the user typed it, or `stdin`.
    pub path: String,
    /// The length of the input in bytes; `None` for a pipe.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// The time at which the input was last changed.
    #[serde(default)]
    pub modified: Option<jiff::Timestamp>,
}

/// The settings that come from flags and are part of every request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RequestShape {
    /// The value of `--model`, or the default model.
    #[serde(default)]
    pub model: Option<String>,
    /// `--map-model`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub map_model: BTreeMap<String, String>,
    /// `--max-tokens`.
    #[serde(default)]
    pub max_tokens: Option<u32>,
    /// The SHA-256 hash of the text of `--system`, in hexadecimal.
    #[serde(default)]
    pub system_sha256: Option<String>,
    /// `--param`.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// `anthropic-version`.
    #[serde(default)]
    pub api_version: String,
    /// The values of the header `anthropic-beta`, sorted.
    #[serde(default)]
    pub betas: Vec<String>,
}

/// Sums that are not in any line: the charges of removed lines, and the possible charges of requests that were in
/// flight when a run died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The money spent, in pico-dollars.
    #[serde(default)]
    pub spend_pico: u64,
    /// Tokens used.
    #[serde(default)]
    pub usage: Usage,
    /// The number of attempts that may have been billed but have no stored answer.
    #[serde(default)]
    pub maybe_paid: u64,
    /// The highest possible cost of the attempts in `maybe_paid`, in pico-dollars.
    #[serde(default)]
    pub maybe_spend_pico: u64,
}

impl Manifest {
    /// Returns the servers that the answers come from.
    pub(crate) fn servers(&self) -> Servers {
        Servers::new(&self.origin, &self.providers)
    }

    /// Returns the origins and provider names that messages show.
    fn shown(&self) -> impl Iterator<Item = &str> {
        let providers = self.providers.iter().flat_map(|(name, origin)| [&**name, &**origin]);
        [&*self.origin].into_iter().chain(providers)
    }

    /// Before lines are removed, adds the charges of these lines to the sums, and makes the sums durable. If there is
    /// no run folder, the sums are kept only in memory.
    ///
    /// # Errors
    /// A disk failure.
    pub(crate) fn carry(
        &mut self,
        disk: &dyn Disk,
        folder: Option<&Path>,
        removed: Charges,
    ) -> Result<(), DiskFailure> {
        if removed == Charges::default() {
            return Ok(());
        }
        self.carried.add(removed);
        folder.map_or(Ok(()), |folder| write(disk, folder, self))
    }
}

impl Carried {
    /// Returns these sums as charges.
    pub(crate) fn charges(&self) -> Charges {
        Charges {
            usage: self.usage,
            spend: Money(self.spend_pico.into()),
            maybe_paid: self.maybe_paid,
            maybe_spend: Money(self.maybe_spend_pico.into()),
        }
    }

    /// Adds the charges of removed lines.
    pub(crate) fn add(&mut self, removed: Charges) {
        let pico = |money: Money| u64::try_from(money.0).unwrap_or(u64::MAX);
        self.spend_pico = self.spend_pico.saturating_add(pico(removed.spend));
        self.usage += removed.usage;
        self.maybe_paid = self.maybe_paid.saturating_add(removed.maybe_paid);
        self.maybe_spend_pico = self.maybe_spend_pico.saturating_add(pico(removed.maybe_spend));
    }
}

/// Returns whether a run folder has a manifest.
pub(crate) fn exists(disk: &dyn Disk, folder: &Path) -> Result<bool, DiskFailure> {
    let path = manifest_path(folder);
    Ok(disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_some())
}

/// Returns the path of a run folder's manifest.
pub(crate) fn manifest_path(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Reads the manifest of a run folder; `None` if there is no manifest.
///
/// # Errors
/// [`JournalError::NewerFormat`]; [`JournalError::Manifest`] if it can't be read; [`JournalError::Refused`];
/// [`JournalError::Disk`].
pub fn read_manifest(folder: &Path, disk: &dyn Disk) -> Result<Option<Manifest>, JournalError> {
    let path = manifest_path(folder);
    if disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_none() {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?;
    let bytes = read_up_to(&*file, MOST_BYTES + 1).map_err(DiskFailure::of("read", &path))?;
    if bytes.len() as u64 > MOST_BYTES {
        let fault = format!("the file is larger than {} MiB", MOST_BYTES >> 20);
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
        Ok(manifest) => {
            let fault = manifest.shown().find_map(fault_of_origin);
            match fault {
                None => return Ok(manifest),
                Some(fault) => fault,
            }
        }
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

/// Returns why an origin can't be shown to people; `None` if it can be shown.
pub(super) fn fault_of_origin(origin: &str) -> Option<String> {
    match origin {
        origin if origin.len() > ORIGIN_BYTES => Some(format!("origin has {} bytes", origin.len())),
        origin if origin.chars().any(char::is_control) => Some("origin has control characters".to_owned()),
        _ => None,
    }
}

/// Replaces the manifest.
///
/// # Errors
/// A disk failure. The file is then either the old manifest or the new manifest, never a mixture.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<(), DiskFailure> {
    let mut bytes = rendered(manifest);
    if bytes.len() as u64 > MOST_BYTES {
        // Only a long list of inputs can make the manifest exceed the limit. Nothing depends on this list, so it is
        // left out.
        bytes = rendered(&Manifest { inputs: Vec::new(), ..manifest.clone() });
    }
    replace(disk, &manifest_path(folder), |file, path| file.write_at(&bytes, 0).map_err(DiskFailure::of("write", path)))
}

fn rendered(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(manifest).expect("a manifest can be written as JSON");
    bytes.push(b'\n');
    bytes
}

/// If there is a manifest, adds `suffix` to the name of its file.
pub(crate) fn set_aside(disk: &dyn Disk, folder: &Path, suffix: &str) -> Result<(), DiskFailure> {
    let path = manifest_path(folder);
    match disk.kind(&path).map_err(DiskFailure::of("look at", &path))? {
        Some(_) => disk.rename(&path, &with_suffix(&path, suffix)).map_err(DiskFailure::of("rename", &path)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    const FOLDER: &str = "o.run";

    /// Reads a manifest with this text, and returns the error message if the manifest is rejected.
    fn read_text(text: &[u8]) -> Result<Option<Manifest>, String> {
        let disk = MemDisk::new();
        disk.put("o.run/manifest.json", text);
        read_manifest(Path::new(FOLDER), &disk).map_err(|error| error.to_string())
    }

    #[test]
    fn the_error_for_a_damaged_manifest_has_the_place_and_little_of_its_text() {
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
            let message = read_text(text).expect_err("it is damaged");

            assert!(message.contains("manifest.json") && message.contains(expected), "{message}");
            assert!(message.len() < 600 && !message.contains('\u{1b}'), "{message}");
        }
    }

    #[test]
    fn a_manifest_that_is_too_large_is_refused() {
        let mut text = b"{\"format\":1,\"origin\":\"".to_vec();
        text.resize(MOST_BYTES as usize + 100, b'a');

        let message = read_text(&text).expect_err("it is too large");

        assert!(message.contains("larger than 4 MiB"), "{message}");
    }

    #[test]
    fn a_list_of_inputs_that_makes_the_manifest_too_large_is_left_out() {
        let disk = MemDisk::new();
        let input = InputIdentity { path: "a/long/path/".repeat(50), ..InputIdentity::default() };
        let inputs = vec![input; 10_000];
        let manifest = Manifest { format: FORMAT_VERSION, opening: 7, inputs, ..Manifest::default() };

        write(&disk, Path::new(FOLDER), &manifest).expect("it can be written");

        let read = read_manifest(Path::new(FOLDER), &disk).expect("it can be read").expect("it is there");
        assert_eq!(read, Manifest { inputs: Vec::new(), ..manifest });
    }

    #[test]
    fn sums_stop_at_the_largest_number() {
        let most = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::default() };
        let all = Carried { spend_pico: u64::MAX, usage: most, maybe_paid: u64::MAX, maybe_spend_pico: u64::MAX };
        let mut carried = all;

        let money = Money(u128::MAX);
        carried.add(Charges { usage: most, spend: money, maybe_paid: u64::MAX, maybe_spend: money });

        assert_eq!(carried, all);
    }
}
