//! Finds the input of an earlier run; the run folder of that run records the input.
//!
//! A run folder may come from another person. So a recorded input is read only if it is inside the working folder or
//! the folder of the results. Every other input must be named with `--input`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;

use super::find::Files;
use crate::answer::schema::Schema;
use crate::catalog::Catalog;
use crate::cli::args::ResultsArgs;
use crate::cli::config::recorded::rows_taken_back;
use crate::cli::config::world::World;
use crate::cli::config::{Config, inputs};
use crate::cli::parts;
use crate::export::{Run, RunInput};
use crate::journal::{Disk, Manifest, RunPaths, folder_of, manifest_path, read_manifest, with_suffix};
use crate::source::{self, Input};

/// Returns a run with its input, and notes for the user. If there is no run folder, the input is known only if the user
/// named it.
///
/// # Errors
/// Fails if the run folder can't be read, or if it contains a setting that a run never records.
pub(crate) fn run_of(files: Files, args: &ResultsArgs, world: &World, disk: &dyn Disk) -> Result<(Run, Vec<String>)> {
    let Files { results, errors, named } = files;
    let folder = results.as_deref().map(|results| with_suffix(results, ".run"));
    let manifest = match &folder {
        Some(folder) => read_manifest(folder, disk)?,
        None => None,
    };
    let mut notes = Vec::new();
    let shown = |path: Option<&PathBuf>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let path = folder.as_deref().map(|folder| manifest_path(folder).display().to_string()).unwrap_or_default();
    let rows = manifest.as_ref().map(|manifest| rows_taken_back(&manifest.rows, &path)).transpose()?;
    let has_settings = manifest.as_ref().is_some_and(|manifest| !manifest.rows.is_empty());
    let config = Config::of_results(args, rows.unwrap_or_default(), world)?;
    let read = |paths: &[PathBuf]| -> Result<Vec<Input>> {
        Ok(inputs(paths, config.source.format, world)?.iter().map(parts::input_of).collect())
    };
    let inputs = match (&manifest, args.input.as_slice()) {
        (_, given @ [_, ..]) => read(given)?,
        (Some(manifest), []) => match recorded_inputs(manifest, results.as_deref(), world) {
            Some(Recorded::Paths(paths)) => read(&paths)?,
            Some(Recorded::Spool(input)) => vec![input],
            None => Vec::new(),
        },
        (None, []) => match named.filter(|named| is_input_of(named, results.as_deref(), world)) {
            Some(named) => read(&[named])?,
            None => Vec::new(),
        },
    };
    if let Some(changed) = manifest.as_ref().and_then(|manifest| changed_input(manifest, &inputs)) {
        notes.push(format!(
            "{changed} is not as the run read it: rows with a label have the answers to what they said then"
        ));
    }
    if inputs.is_empty() {
        notes.push(format!(
            "the input of {} was not found, so its columns and its order are missing; name the input with --input",
            shown(results.as_ref().or(errors.as_ref()))
        ));
    }
    let input = match inputs.as_slice() {
        [] => None,
        inputs => Some(run_input(inputs, &config, has_settings)?),
    };
    let json_fields = manifest.as_ref().map(members_of_answers).unwrap_or_default();
    Ok((Run { results, errors, input, json_fields }, notes))
}

/// Returns the names of the members in the recorded schema of a run. These members become columns. A schema that can't
/// be read is ignored.
fn members_of_answers(manifest: &Manifest) -> Vec<String> {
    let text = manifest.settings.get("schema").and_then(Value::as_str);
    let schema = text.and_then(|text| Schema::parse(text).ok());
    schema.map(|schema| schema.fields().to_vec()).unwrap_or_default()
}

/// Returns the name of the first input file that has changed since the run read it.
fn changed_input(manifest: &Manifest, inputs: &[Input]) -> Option<String> {
    let is_same = |path: &Path| {
        let Ok(now) = source::identity(path) else { return true };
        let modified = now.modified_ns.and_then(|nanos| jiff::Timestamp::from_nanosecond(i128::from(nanos)).ok());
        manifest.inputs.iter().any(|own| own.bytes == Some(now.len) && own.modified == modified)
    };
    let files = inputs.iter().filter_map(|input| match input {
        Input::File(path) => Some(path),
        Input::Texts(_) | Input::Stdin | Input::Spooled { .. } => None,
    });
    files.into_iter().find(|path| !is_same(path)).map(|path| path.display().to_string())
}

/// Returns whether the file that the user named must be the input of a run. If the file's name plus `.results.jsonl` is
/// the name of the results file, returns false. A file with such a name could also be the output of the run.
fn is_input_of(named: &Path, results: Option<&Path>, world: &World) -> bool {
    world.resolve(named).exists() && results.is_some_and(|results| with_suffix(named, ".results.jsonl") != results)
}

/// Returns the inputs, and the options for reading them. `has_settings` says whether the settings of the run are known.
/// If the settings are known, rows without a label are recognized by their requests, which are made with these
/// settings.
fn run_input(inputs: &[Input], config: &Config, has_settings: bool) -> Result<RunInput> {
    let plan = parts::input_plan(config)?;
    let (provider, request, dialect) = (config.provider.name.clone(), config.request.clone(), config.dialect.clone());
    let catalog = std::sync::Arc::new(Catalog::builtin());
    let planner = Box::new(move || parts::planner(&provider, &request, &dialect, &catalog)) as Box<dyn Fn() -> _>;
    Ok(RunInput { inputs: inputs.to_vec(), options: plan.options, planner: Some(planner), has_settings })
}

/// The input that is named in a run folder.
enum Recorded {
    /// The paths of files and folders.
    Paths(Vec<PathBuf>),
    /// The copy that the run made of its standard input.
    Spool(Input),
}

/// Returns the inputs that are named in a run folder, if all of them exist and this program is allowed to read them.
fn recorded_inputs(manifest: &Manifest, results: Option<&Path>, world: &World) -> Option<Recorded> {
    let beside = results.map(folder_of).unwrap_or(Path::new(""));
    let roots: Vec<PathBuf> =
        [Path::new("."), beside].iter().filter_map(|root| world.resolve(root).canonicalize().ok()).collect();
    let find = |recorded: &str| {
        let candidates = [PathBuf::from(recorded), beside.join(recorded)];
        candidates.into_iter().find(|path| {
            // For a pattern such as `a/*.txt`, the folder before the first part with `*`, `?` or `[` is checked.
            let mut existing = world.resolve(path);
            while existing.to_string_lossy().contains(['*', '?', '[']) && !existing.exists() && existing.pop() {}
            let whole = existing.canonicalize();
            !is_pipe(&existing) && whole.is_ok_and(|whole| roots.iter().any(|root| whole.starts_with(root)))
        })
    };
    let paths: Option<Vec<PathBuf>> = manifest.inputs.iter().map(|own| find(&own.path)).collect();
    if let Some(paths) = paths.filter(|paths| !paths.is_empty()) {
        return Some(Recorded::Paths(paths));
    }
    let spool = results.and_then(|results| RunPaths::given(Some(results.to_owned()), PathBuf::new()).spool());
    match (manifest.inputs.as_slice(), spool.filter(|spool| spool.is_file())) {
        ([own], Some(path)) => Some(Recorded::Spool(Input::Spooled { name: own.path.clone(), path })),
        _ => None,
    }
}

/// Returns whether the path leads to a file that can be read only once. A folder of text files can be read twice.
fn is_pipe(path: &Path) -> bool {
    path.exists() && !path.is_dir() && !source::is_seekable(&Input::File(path.to_owned()))
}
