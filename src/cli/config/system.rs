//! Reads the system prompt: a text, or a list of content blocks from a JSON file.

use std::path::Path;

use anyhow::{Result, anyhow, bail};

use super::texts::text_of;
use super::world::World;
use crate::cli::args::blocks::blocks;
use crate::cli::args::values::Text;
use crate::domain::Params;

/// Returns the system prompt if it is a text. If the prompt is a list of blocks, adds the list to `params` (as `--param
/// system=…` does), and returns `None`.
///
/// The prompt is a list of blocks if it comes from a file whose name ends in `.json` and whose content begins with `[`.
/// If this JSON has a mistake, the function fails, so that the wrong JSON is not sent as the text of the system prompt.
pub(super) fn system_of(given: Option<Text>, params: &mut Params, world: &World) -> Result<Option<String>> {
    let path = match &given {
        Some(Text::File(path) | Text::Inside { path, .. }) => Some(path.clone()),
        Some(Text::Given(_)) | None => None,
    };
    let Some(text) = text_of("system", given, world)? else { return Ok(None) };
    if params.get("system").is_some() {
        bail!("the system prompt is given twice, with --system and with --param system; keep one");
    }
    let Some(path) = path.filter(|path| is_json(path) && text.trim_start().starts_with('[')) else {
        return Ok(Some(text));
    };
    let value = blocks(&text).map_err(|fault| {
        anyhow!(
            "--system: {}:{}:{}: {fault}; if the file contains a text, change its ending .json",
            path.display(),
            fault.line,
            fault.column
        )
    })?;
    params.set("system", value);
    Ok(None)
}

fn is_json(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"))
}
