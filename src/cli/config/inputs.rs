//! The inputs of a run, and where its results are written.

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::world::World;
use crate::source::{Expanded, InputFormat, Texts, expand};

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputArg {
    /// A file.
    Path(PathBuf),
    /// The text files of a folder or a pattern.
    Texts(Texts),
    /// Standard input.
    Stdin,
}

/// Where results are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputArg {
    /// A results file, with its path.
    Path(PathBuf),
    /// Standard output.
    Stdout,
}

/// Returns the named inputs, or standard input if no input is named and standard input is a pipe.
///
/// Replaces a folder by its files, and a pattern by the files that match it, both in natural order. A name with `*` or
/// `?` is a pattern if there is no file with this name.
///
/// # Errors
/// Fails if there is no input, if no file of a folder or a pattern can be read, or if `-` is given twice. The message
/// says what to type.
pub fn inputs(given: &[PathBuf], format: InputFormat, world: &World) -> Result<Vec<InputArg>> {
    if given.is_empty() {
        if world.stdin_is_terminal {
            bail!(
                "no input; name a file of prompts, as in claude-batch run prompts.jsonl, or pipe prompts into the \
                 command"
            );
        }
        return Ok(vec![InputArg::Stdin]);
    }
    let mut inputs = Vec::new();
    for path in given {
        if path.as_os_str() == "-" {
            if inputs.contains(&InputArg::Stdin) {
                bail!("standard input (-) is named twice; name it once, because it can be read only once");
            }
            inputs.push(InputArg::Stdin);
        } else {
            match expand(path, &world.working_folder, format)? {
                Expanded::Itself => inputs.push(InputArg::Path(path.clone())),
                Expanded::Files(paths) => inputs.extend(paths.into_iter().map(InputArg::Path)),
                Expanded::Texts(texts) => inputs.push(InputArg::Texts(texts)),
            }
        }
    }
    Ok(inputs)
}

/// Returns where results are written: to standard output if the input is a pipe and no output is named. Returns `None`
/// if results are written to a file next to the input.
pub(super) fn output_of(output: Option<PathBuf>, inputs: &[InputArg]) -> Option<OutputArg> {
    match output {
        Some(path) if path.as_os_str() == "-" => Some(OutputArg::Stdout),
        Some(path) => Some(OutputArg::Path(path)),
        None => (inputs == [InputArg::Stdin]).then_some(OutputArg::Stdout),
    }
}
