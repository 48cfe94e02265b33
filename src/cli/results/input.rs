//! The input of an earlier run, as its run folder recorded it.
//!
//! A run folder may come from somebody else. So an input that it names is read only if it lies in the working folder or
//! in the folder of the results, or below one of them. Every other input has to be named with `--input`.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::find::Files;
use crate::catalog::Catalog;
use crate::cli::args::ResultsArgs;
use crate::cli::config::Config;
use crate::cli::config::recorded::rows_taken_back;
use crate::cli::config::world::World;
use crate::cli::parts;
use crate::export::{Run, RunInput};
use crate::journal::{Disk, Manifest, RunPaths, folder_of, manifest_path, read_manifest, with_suffix};
use crate::source::{self, Input};

/// Returns a run with its input, and notes for the person. Without the run folder, only the input that was named is
/// known.
///
/// # Errors
/// The run folder can't be read, or holds something that no run records.
pub(crate) fn run_of(files: Files, args: &ResultsArgs, world: &World, disk: &dyn Disk) -> Result<(Run, Vec<String>)> {
    let Files { results, errors, named } = files;
    let folder = results.as_deref().map(|results| with_suffix(results, ".run"));
    let manifest = match &folder {
        Some(folder) => read_manifest(folder, disk)?,
        None => None,
    };
    let mut notes = Vec::new();
    let shown = |results: &Option<PathBuf>| results.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let inputs = match (&manifest, args.input.as_slice()) {
        (_, given @ [_, ..]) => given.iter().cloned().map(Input::File).collect(),
        (Some(manifest), []) => match recorded_inputs(manifest, results.as_deref(), world) {
            Some(inputs) => inputs,
            None => {
                notes.push(format!(
                    "the input of {} is not here, so its columns and its order are not known; name it with --input",
                    shown(&results)
                ));
                Vec::new()
            }
        },
        (None, []) => {
            let input = named.filter(|named| is_input_of(named, results.as_deref(), world)).map(Input::File);
            input.into_iter().collect()
        }
    };
    let path = folder.as_deref().map(|folder| manifest_path(folder).display().to_string()).unwrap_or_default();
    let rows = manifest.as_ref().map(|manifest| rows_taken_back(&manifest.rows, &path)).transpose()?;
    let has_settings = manifest.as_ref().is_some_and(|manifest| !manifest.rows.is_empty());
    let config = Config::of_results(args, rows.unwrap_or_default(), world)?;
    let input = match inputs.as_slice() {
        [] => None,
        inputs => Some(run_input(inputs, &config, has_settings)?),
    };
    Ok((Run { results, errors, input }, notes))
}

/// Returns whether a file can be the input of results, when only its name says so. It is older than they are. An output
/// that was made from them has such a name too, and is newer.
fn is_input_of(named: &Path, results: Option<&Path>, world: &World) -> bool {
    let modified = |path: &Path| world.resolve(path).metadata().and_then(|found| found.modified()).ok();
    let (named, results) = (modified(named), results.and_then(modified));
    named.is_some_and(|named| results.is_none_or(|results| named < results))
}

/// Returns the inputs and how they are read. Only with the settings of the run can rows without a label be recognized by
/// what they ask.
fn run_input(inputs: &[Input], config: &Config, has_settings: bool) -> Result<RunInput> {
    let plan = parts::input_plan(config)?;
    let planner = has_settings.then(|| {
        let (request, dialect) = (config.request.clone(), config.dialect.clone());
        let catalog = std::sync::Arc::new(Catalog::builtin());
        Box::new(move || parts::planner(&request, &dialect, &catalog)) as Box<dyn Fn() -> _>
    });
    Ok(RunInput { inputs: inputs.to_vec(), options: plan.options, planner })
}

/// Returns the inputs that a run folder names, if all of them are there and may be read.
fn recorded_inputs(manifest: &Manifest, results: Option<&Path>, world: &World) -> Option<Vec<Input>> {
    let beside = results.map(folder_of).unwrap_or(Path::new(""));
    let roots: Vec<PathBuf> =
        [Path::new("."), beside].iter().filter_map(|root| world.resolve(root).canonicalize().ok()).collect();
    let find = |recorded: &str| {
        let candidates = [PathBuf::from(recorded), beside.join(recorded)];
        candidates.into_iter().find(|path| {
            let whole = world.resolve(path).canonicalize();
            whole.is_ok_and(|whole| roots.iter().any(|root| whole.starts_with(root)))
        })
    };
    let spool = results.and_then(|results| RunPaths::given(Some(results.to_owned()), PathBuf::new()).spool());
    let spool = spool.filter(|spool| spool.is_file());
    let input = |recorded: &str| match (find(recorded).filter(|path| !is_pipe(path)), &spool) {
        (Some(path), _) => Some(Input::File(path)),
        (None, Some(path)) => Some(Input::Spooled { name: recorded.to_owned(), path: path.clone() }),
        (None, None) => None,
    };
    let found: Vec<Input> = manifest.inputs.iter().map(|own| input(&own.path)).collect::<Option<_>>()?;
    (!found.is_empty()).then_some(found)
}

/// Returns whether a name can't be read twice. A folder of text files can.
fn is_pipe(path: &Path) -> bool {
    !path.is_dir() && !source::is_seekable(&Input::File(path.to_owned()))
}
