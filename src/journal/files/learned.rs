//! The limits that the last run learned, stored in the file `limits.json` in the run folder.
//!
//! The form of the file: `{"v":1,"at":"2026-11-26T09:30:00Z","origin":"https://api.anthropic.com","pools":[{"provider":
//! "anthropic","class":"haiku-4.5","speed":"standard","limits":{"rpm":1000,"itpm":450000,"otpm":90000},"bursts":
//! {"requests":16,"input_tokens":7000,"output_tokens":null}}]}`. A number that no response reported is `null`. In files
//! of early versions, which name no provider, the provider is `anthropic`.
//!
//! No result depends on this file. If a response reported a limit, the file is replaced atomically at the end of the
//! run. If the file can't be written, the run still ends normally. A run folder can come from another person, so the
//! file is not trusted. The size of the file is limited. If the content shows that this program did not write the file,
//! the file is treated as missing.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::manifest::fault_of_origin;
use crate::domain::{LearnedPool, ModelClass, ProviderKind, RateLimits, Speed};
use crate::journal::disk::{Disk, DiskFailure, OpenMode, read_up_to, replace};

const NAME: &str = "limits.json";

/// The version of the file's format.
const VERSION: u32 = 1;

/// The size limit in bytes; a larger file is not read. One pool needs about 200 bytes.
const MOST_BYTES: u64 = 256 << 10;
/// The maximum length, in bytes, of a class name or a provider name. If a model is not in the catalog, its class has
/// the model's name. The length is limited because messages show these names.
const NAME_BYTES: usize = 256;

/// The limits that a run learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LearnedLimits {
    /// The time at which the run ended.
    pub at: jiff::Timestamp,
    /// The server that gave the answers of the run: the origin of the base URL, or `simulator`.
    pub origin: String,
    /// The pools whose limits were reported; never empty.
    pub pools: Vec<LearnedPool>,
}

#[derive(Serialize, Deserialize)]
struct RawFile {
    v: u32,
    at: jiff::Timestamp,
    origin: String,
    pools: Vec<RawPool>,
}

#[derive(Serialize, Deserialize)]
struct RawPool {
    #[serde(default = "first_provider")]
    provider: String,
    class: String,
    speed: String,
    limits: RawLimits,
    #[serde(default)]
    bursts: RawBursts,
}

fn first_provider() -> String {
    ProviderKind::Anthropic.name().to_owned()
}

#[derive(Serialize, Deserialize)]
struct RawLimits {
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
}

#[derive(Default, Serialize, Deserialize)]
struct RawBursts {
    requests: Option<u32>,
    input_tokens: Option<u32>,
    output_tokens: Option<u32>,
}

/// Returns the path of the file `limits.json` in a run folder.
fn path_in(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Returns the limits that the last run of a run folder learned. Returns `None` if the file is missing, damaged, too
/// large, or of a later version.
pub(crate) fn read_learned_limits(folder: &Path, disk: &dyn Disk) -> Option<LearnedLimits> {
    let file = disk.open(&path_in(folder), OpenMode::Read).ok()?;
    let bytes = read_up_to(&*file, MOST_BYTES + 1).ok()?;
    if bytes.len() as u64 > MOST_BYTES {
        return None;
    }
    let RawFile { v, at, origin, pools } = serde_json::from_slice(&bytes).ok()?;
    if v != VERSION || fault_of_origin(&origin).is_some() {
        return None;
    }
    let pools: Option<Vec<LearnedPool>> = pools.into_iter().map(RawPool::checked).collect();
    Some(LearnedLimits { at, origin, pools: pools.filter(|pools| !pools.is_empty())? })
}

/// Replaces the file of the learned limits.
///
/// # Errors
/// A disk failure. The file is then either the old file or the new file, never a mixture.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, learned: &LearnedLimits) -> Result<(), DiskFailure> {
    let LearnedLimits { at, origin, pools } = learned;
    let pools = pools.iter().map(RawPool::of).collect();
    let raw = RawFile { v: VERSION, at: *at, origin: origin.clone(), pools };
    let mut bytes = serde_json::to_vec(&raw).expect("learned limits can be written as JSON");
    bytes.push(b'\n');
    replace(disk, &path_in(folder), |file, path| file.write_at(&bytes, 0).map_err(DiskFailure::of("write", path)))
}

impl RawPool {
    fn of(pool: &LearnedPool) -> Self {
        let LearnedPool { provider, class, speed, limits: RateLimits { rpm, itpm, otpm }, bursts } = pool;
        let [requests, input_tokens, output_tokens] = *bursts;
        Self {
            provider: provider.to_string(),
            class: class.to_string(),
            speed: speed.name().to_owned(),
            limits: RawLimits { rpm: *rpm, itpm: *itpm, otpm: *otpm },
            bursts: RawBursts { requests, input_tokens, output_tokens },
        }
    }

    /// Returns the pool, or `None` if it has values that this program never writes.
    fn checked(self) -> Option<LearnedPool> {
        let Self { provider, class, speed, limits: RawLimits { rpm, itpm, otpm }, bursts } = self;
        let is_good = |name: &str| !name.is_empty() && name.len() <= NAME_BYTES && !name.chars().any(char::is_control);
        let is_shown = is_good(&class) && is_good(&provider);
        let limits = RateLimits { rpm, itpm, otpm };
        let bursts = [bursts.requests, bursts.input_tokens, bursts.output_tokens];
        let numbers = [rpm, itpm, otpm].into_iter().chain(bursts).flatten();
        if !is_shown || limits == RateLimits::NONE || numbers.into_iter().any(|number| number == 0) {
            return None;
        }
        let (provider, class, speed) = (provider.into(), ModelClass(class.into()), Speed::parse(&speed)?);
        Some(LearnedPool { provider, class, speed, limits, bursts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    const FOLDER: &str = "o.run";

    fn learned() -> LearnedLimits {
        let pool = |provider: &str, class: &str, speed, rpm| LearnedPool {
            provider: provider.into(),
            class: ModelClass(class.into()),
            speed,
            limits: RateLimits { rpm: Some(rpm), itpm: None, otpm: Some(90_000) },
            bursts: [Some(16), None, Some(u32::MAX)],
        };
        let pools = vec![
            pool("anthropic", "haiku-4.5", Speed::Standard, 1_000),
            pool("our gateway", "haiku-4.5", Speed::Standard, 50),
            pool("anthropic", "opus-5", Speed::Fast, u32::MAX),
        ];
        LearnedLimits { at: "2026-11-26T09:30:00Z".parse().expect("a time"), origin: "simulator".to_owned(), pools }
    }

    fn read_text(text: &[u8]) -> Option<LearnedLimits> {
        let disk = MemDisk::new();
        disk.put("o.run/limits.json", text);
        read_learned_limits(Path::new(FOLDER), &disk)
    }

    #[test]
    fn limits_that_were_written_are_read_again() {
        let disk = MemDisk::new();
        disk.create_folder(Path::new(FOLDER)).expect("a new disk has room");

        write(&disk, Path::new(FOLDER), &learned()).expect("it can be written");

        assert_eq!(read_learned_limits(Path::new(FOLDER), &disk), Some(learned()));
        assert_eq!(read_learned_limits(Path::new("other.run"), &disk), None);
    }

    #[test]
    fn a_file_that_this_program_did_not_write_counts_as_missing() {
        let good = r#"{"v":1,"at":"2026-11-26T09:30:00Z","origin":"o","pools":[{"class":"c","speed":"standard","limits":{"rpm":5}}]}"#;
        let pool = read_text(good.as_bytes()).expect("it is good").pools.remove(0);
        assert_eq!((&*pool.provider, pool.bursts), ("anthropic", [None; 3]));

        let long = "c".repeat(NAME_BYTES + 1);
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("2026-11-26T09:30:00Z", "yesterday"),
            ("\"o\"", "\"\\u001b[2J\""),
            ("\"c\"", "\"\\n\""),
            ("\"c\"", "\"\""),
            ("{\"class\"", "{\"provider\":\"\\n\",\"class\""),
            ("\"c\"", &format!("{long:?}")),
            ("standard", "slow"),
            ("{\"rpm\":5}", "{}"),
            ("\"rpm\":5", "\"rpm\":0"),
            ("\"rpm\":5", "\"rpm\":-5"),
            ("\"rpm\":5", "\"rpm\":4294967296"),
            ("\"rpm\":5}", "\"rpm\":5},\"bursts\":{\"requests\":0}"),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good, "{from}");

            assert_eq!(read_text(changed.as_bytes()), None, "{changed}");
        }
        for text in
            ["", "\0", "[]", "null", &good[..60], &good.replace("[{", "[").replace("}}]", "]"), &" ".repeat(300_000)]
        {
            assert_eq!(read_text(text.as_bytes()), None, "{text:.70}");
        }
        let large = format!("{}{good}", " ".repeat(MOST_BYTES as usize));
        assert_eq!(read_text(large.as_bytes()), None, "it is too large");
    }
}
