//! The verb `path`: shows which configuration files are read. The verb also works if a file contains mistakes.

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::cli::args::PathArgs;
use crate::cli::config::layers::{self, FilePlace};
use crate::cli::config::world::World;
use crate::cli::exit::Exit;
use crate::cli::say;
use crate::report::text::escape;

#[derive(Serialize)]
struct Document {
    v: u32,
    /// The configuration files that the program looks for. If several files have the same setting, the setting in the
    /// first of these files applies.
    files: Vec<One>,
    /// The user's configuration folder.
    folder: Option<String>,
}

#[derive(Serialize)]
struct One {
    path: String,
    exists: bool,
    owner: &'static str,
}

/// Shows the paths of the configuration files.
pub(super) fn path(args: &PathArgs, world: &World) -> Result<Exit> {
    let files = layers::files(args.settings(), world)?;
    if args.json {
        let one = |file: &FilePlace| One { path: full(&file.path, world), exists: file.exists, owner: file.owner };
        let folder = world.config_folder().map(|folder| folder.display().to_string());
        let document = Document { v: 1, files: files.iter().map(one).collect(), folder };
        say::out(&serde_json::to_string(&document).expect("paths can be written as JSON"))?;
        return Ok(Exit::Done);
    }
    say::out(words(&files, world).trim_end())?;
    Ok(Exit::Done)
}

fn words(files: &[FilePlace], world: &World) -> String {
    let mut text = match files {
        [_] => "Configuration file\n".to_owned(),
        _ => "Configuration files (a setting in the first overrides the same setting in the next)\n".to_owned(),
    };
    for file in files {
        let state = if file.exists { "found" } else { "not found" };
        text.push_str(&format!("  {state:<11}{} ({})\n", escape(&full(&file.path, world)), file.owner));
    }
    if files.iter().all(|file| !file.exists) {
        text.push_str("There is no configuration file: claude-batch config init writes one.\n");
    }
    text.push_str("\nRun folders\n");
    text.push_str("  Beside the results of each run: prompts.results.jsonl.run for prompts.results.jsonl\n");
    text
}

/// Returns the absolute form of a path.
fn full(path: &Path, world: &World) -> String {
    let path = world.resolve(path);
    std::path::absolute(&path).unwrap_or(path).display().to_string()
}
