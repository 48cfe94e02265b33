//! The manifest: what a run was, beside what it wrote.
//!
//! Owns `manifest.json` in the run folder. It is replaced atomically (temporary file, sync, rename, sync folder).
//! Where it and the lines differ, the lines win; losing it loses only convenience and the counts of what no line holds.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::JournalError;
use super::disk::{Disk, DiskFailure, OpenMode};
use super::paths::with_suffix;
use super::replace::replace;
use crate::domain::{Money, Usage};

/// Version of the run folder's form. A folder with a higher one is refused.
pub const FORMAT_VERSION: u32 = 1;

const NAME: &str = "manifest.json";

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
    /// Other settings that `resume` takes over, by the names of their flags. Never a credential, never the base URL.
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
        self.maybe_paid += maybe_paid;
    }
}

/// Returns whether a run folder has a manifest.
pub(super) fn exists(disk: &dyn Disk, folder: &Path) -> Result<bool, DiskFailure> {
    let path = folder.join(NAME);
    Ok(disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_some())
}

/// Reads the manifest of a run folder; `None` when there is none, or none that can be read (with a note).
///
/// # Errors
/// [`JournalError::NewerFormat`]; [`JournalError::Disk`].
pub(super) fn read(disk: &dyn Disk, folder: &Path, notes: &mut Vec<String>) -> Result<Option<Manifest>, JournalError> {
    let path = folder.join(NAME);
    if disk.kind(&path).map_err(DiskFailure::of("look at", &path))?.is_none() {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?;
    let mut bytes = Vec::new();
    super::lines::read_all(&*file, &mut bytes).map_err(DiskFailure::of("read", &path))?;
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    match serde_json::from_slice::<Format>(&bytes) {
        Ok(Format { format }) if format > FORMAT_VERSION => Err(JournalError::NewerFormat { path, version: format }),
        Ok(_) | Err(_) => match serde_json::from_slice(&bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => {
                notes.push(format!("{} can't be read ({error}) and is written anew", path.display()));
                Ok(None)
            }
        },
    }
}

/// Replaces the manifest.
///
/// # Errors
/// What failed; the manifest is then the old one or the new one, never a mixture.
pub(super) fn write(disk: &dyn Disk, folder: &Path, manifest: &Manifest) -> Result<(), DiskFailure> {
    let mut bytes = serde_json::to_vec_pretty(manifest).expect("a manifest is plain data");
    bytes.push(b'\n');
    replace(disk, &folder.join(NAME), |file, path| file.write_at(&bytes, 0).map_err(DiskFailure::of("write", path)))
}

/// Moves the manifest aside, under a name that tells which run did it.
pub(super) fn set_aside(disk: &dyn Disk, folder: &Path, suffix: &str) -> Result<(), DiskFailure> {
    let path = folder.join(NAME);
    match disk.kind(&path).map_err(DiskFailure::of("look at", &path))? {
        Some(_) => disk.rename(&path, &with_suffix(&path, suffix)).map_err(DiskFailure::of("rename", &path)),
        None => Ok(()),
    }
}
