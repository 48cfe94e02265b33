//! Reads the texts of settings. A setting contains the text itself, or the path of a file with the text.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::opened;
use super::world::{MAX_FILE_BYTES, World};
use crate::cli::args::values::Text;

/// A file whose path is the value of a setting, and the file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextFile {
    /// The path of the file, for messages.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}

/// Returns the text of a setting. If the setting contains a path, the text is read from that file.
pub(super) fn text_of(setting: &str, given: Option<Text>, world: &World) -> Result<Option<String>> {
    Ok(match given {
        None => None,
        Some(Text::Given(text)) => Some(text),
        Some(Text::File(path)) => Some(read_text(&format!("--{setting}"), &path, world)?),
        Some(Text::Inside { path, named_at }) => {
            let text = opened::inside(&world.working_folder, &path, MAX_FILE_BYTES);
            Some(text.with_context(|| about(&format!("{named_at}: {setting}"), &path))?)
        }
    })
}

/// Reads the file whose path is the value of a flag.
pub(crate) fn named_file(flag: &str, path: Option<PathBuf>, world: &World) -> Result<Option<TextFile>> {
    let Some(path) = path else { return Ok(None) };
    let text = read_text(flag, &path, world)?;
    Ok(Some(TextFile { path, text }))
}

fn read_text(flag: &str, path: &Path, world: &World) -> Result<String> {
    world.read(path).and_then(opened::plain_text).with_context(|| about(flag, path))
}

/// Returns the beginning of a message about a file whose path is the value of a flag.
pub(super) fn about(flag: &str, path: &Path) -> String {
    format!("{flag}: can't read {}", path.display())
}
