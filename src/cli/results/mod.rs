//! The command `results`, which writes the answers of runs in any form, at any time.
//!
//! The command reads the files of a run without locking them. The command does not see lines that a run appends while
//! the command reads.

mod find;
mod input;

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::args::ResultsArgs;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;
use super::parts;
use super::projection::{Projection, Target};
use super::say;
use crate::export::{Include, Made, RowKind, Run};
use crate::journal::{Disk, LineKind, RealDisk, RunPaths, folder_of, line_kind, manifest_path, with_suffix};
use crate::report::text::{escape, plural};
use crate::source;

use self::find::runs_with_input;

pub(crate) use self::find::{Files, find, results_of_folder};
pub(crate) use self::input::run_of;

/// Writes the answers of the runs that the user names.
pub(crate) fn results(args: &ResultsArgs, world: &World) -> Result<Exit> {
    let config = Config::of_results(args, Default::default(), world)?;
    config.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    let disk = RealDisk::new(config.owners);
    let mut found: Vec<Files> = Vec::new();
    for path in &args.runs {
        let files = find(path, &disk)?;
        // If the user names a results file and also its error log, the named log is used instead of the log beside the
        // results.
        match found.iter_mut().find(|own| own.results.is_some() && own.results == files.results) {
            Some(own) => own.errors = files.errors.or(own.errors.take()),
            None => found.push(files),
        }
    }
    if !args.input.is_empty() && found.len() > 1 {
        bail!("--input belongs to one run, but {} are named", found.len());
    }
    let (mut runs, mut all_notes) = (Vec::new(), Vec::new());
    for files in found {
        let (run, notes) = run_of(files, args, world, &disk)?;
        all_notes.extend(notes);
        runs.push(run);
    }
    let target = match &args.output {
        Some(path) if path.as_os_str() != "-" => Target::File(path.clone()),
        _ => Target::Stdout,
    };
    let is_known =
        runs.iter().all(|run| run.input.as_ref().is_some_and(|input| input.inputs.iter().all(source::is_seekable)));
    let include = Some(Include::of(&args.include)).filter(|_| !args.include.is_empty());
    let projection = Projection::of_results(&config.form, target, include, is_known)?;
    // If the output has whole lines, the notes about the input are not printed, because the output does not depend on
    // the input.
    if !projection.request.copies_lines() {
        all_notes.iter().for_each(|note| say::err(&format!("note: {}", escape(note))));
    }
    check(&projection, &runs, &disk)?;
    let made = projection.make(&disk, &runs)?;
    if made.by_place > 0 {
        say::err(&format!(
            "note: without the run folder, {} without an id {} found by file and line; if the input has changed since the \
             run, answers can be in wrong rows",
            plural(made.by_place, "row", "rows"),
            if made.by_place == 1 { "is" } else { "are" }
        ));
    }
    if projection.target != Target::Stdout || made.not_in_input > 0 {
        say::err(&made_words(&projection, made));
    } else if made.rows == 0 && !args.include.is_empty() {
        say::err(&none_words(&args.include));
    }
    Ok(Exit::Done)
}

/// Returns the message for an output without rows, such as `no failed rows`.
fn none_words(wanted: &[RowKind]) -> String {
    let kinds: Vec<_> = wanted.iter().map(|kind| kind.name()).collect();
    format!("no {} rows", kinds.join(" or "))
}

/// Returns the message that says how many rows the output has.
pub(crate) fn made_words(projection: &Projection, made: Made) -> String {
    let mut said = format!("{}: {}", projection.name(), plural(made.rows, "row", "rows"));
    if made.not_in_input > 0 {
        said.push_str(&format!(
            " ({} of the results file left out, because they are no longer in the input)",
            plural(made.not_in_input, "row", "rows")
        ));
    }
    said
}

/// Checks that the output is not one of the files that are read, and not the input of another run.
fn check(projection: &Projection, runs: &[Run], disk: &dyn Disk) -> Result<()> {
    let Target::File(output) = &projection.target else { return Ok(()) };
    for run in runs {
        let inputs = run.input.iter().flat_map(|input| &input.inputs).filter_map(parts::path_of).map(Path::to_owned);
        let files: Vec<PathBuf> = run.results.iter().cloned().chain(inputs).collect();
        let errors = run.errors.clone().unwrap_or_default();
        RunPaths::given(Some(output.clone()), errors).check_output(&files, disk)?;
    }
    if belongs_to_a_run(output, disk)? {
        bail!("{} belongs to a run and would be overwritten; name another output with -o", output.display());
    }
    check_replaced(output, disk)
}

/// Checks that the output is not the input of another run.
fn check_replaced(output: &Path, disk: &dyn Disk) -> Result<()> {
    if source::identity(output).map_or(0, |state| state.len) == 0 {
        return Ok(());
    }
    if let Some(results) = runs_with_input(output, disk).first() {
        bail!(
            "{} is the input of a run (its results are in {}) and would be overwritten; name another output with -o",
            output.display(),
            results.display()
        );
    }
    Ok(())
}

/// Returns whether an existing file belongs to a run: it is the results file, the error log, or a file in a run folder.
/// A copy of results that this command made does not belong to a run.
pub(crate) fn belongs_to_a_run(output: &Path, disk: &dyn Disk) -> Result<bool> {
    let exists = |path: &Path| matches!(disk.kind(path), Ok(Some(_)));
    if !exists(output) {
        return Ok(false);
    }
    if folder_of(output).extension().is_some_and(|end| end == "run") && exists(&manifest_path(folder_of(output))) {
        return Ok(true);
    }
    let name = output.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let has_name = name.ends_with(".results.jsonl") || name.ends_with(".errors.jsonl");
    let has_others = || exists(&with_suffix(output, ".run")) || exists(&RunPaths::errors_beside(output));
    Ok(match line_kind(output, disk)? {
        Some(LineKind::Error) => true,
        Some(LineKind::Result) => has_name || has_others(),
        None => has_name || exists(&with_suffix(output, ".run")),
    })
}
