//! The command `report`, and the report at the end of a long run.
//!
//! The report is one HTML page. The command makes the report from the files of the run, and neither changes nor locks
//! them. So `report` works at any time: during a run, after a run, and after a run was killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::args::ReportArgs;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;
use super::results::{Files, belongs_to_a_run, find};
use super::server::SIMULATOR;
use super::{say, shell};
use crate::export::{Compression, ExportError, whole_file};
use crate::journal::{Disk, FileKind, OpenMode, RealDisk, RunPaths, folder_of, read_manifest, with_suffix};
use crate::report::text::escape;
use crate::watch::facts::{RunFacts, State};
use crate::watch::gather::{RunFiles, gather};
use crate::watch::page::page;

/// A run gets a report at its end only if the run took at least this long.
pub(crate) const LONG_RUN: Duration = Duration::from_secs(60);

/// The first bytes of each report.
const DOCTYPE: &[u8] = b"<!doctype html>";

/// The name of the report in the run folder.
const NAME: &str = "report.html";

/// Makes the report about the run that the user names.
pub(crate) fn report(args: &ReportArgs, world: &World) -> Result<Exit> {
    let config = Config::of_settings(args.local.settings(), world)?;
    config.warnings.iter().for_each(|warning| say::err(&format!("warning: {}", escape(warning))));
    let disk = RealDisk::new(config.owners);
    let files = find(&args.run, &disk)?;
    let target = match &args.output {
        Some(path) if path.as_os_str() == "-" => None,
        Some(path) => Some(path.clone()),
        None => Some(default_path(&files, &disk).context("name the report with -o FILE")?),
    };
    if let Some(output) = &target {
        check(output, &files, &disk)?;
    }
    let html = made(&files, &disk)?;
    match &target {
        None => say::out(html.trim_end())?,
        Some(path) => {
            let written = write(path, &html, &disk);
            match args.output {
                Some(_) => written?,
                None => written.context("the report can't be written into the run folder; name a file with -o FILE")?,
            }
            say::err(&format!("report: {}", escape(&path.display().to_string())));
        }
    }
    Ok(Exit::Done)
}

/// Makes the report of a run that has just ended, in its run folder. Returns the path of the report; `None` if the
/// results went to standard output.
///
/// # Errors
/// Fails if the report can't be made or written.
pub(crate) fn report_at_end(paths: &RunPaths, disk: &dyn Disk) -> Result<Option<PathBuf>> {
    let Some(folder) = paths.folder() else { return Ok(None) };
    let files = Files { results: paths.results.clone(), errors: Some(paths.errors.clone()), named: None };
    let path = folder.join(NAME);
    write(&path, &made(&files, disk)?, disk)?;
    Ok(Some(path))
}

/// Returns the report as an HTML page.
fn made(files: &Files, disk: &dyn Disk) -> Result<String> {
    let of_run = RunFiles { results: files.results.as_deref(), errors: files.errors.as_deref() };
    let mut facts = gather(of_run, disk, jiff::Timestamp::now())?;
    facts.next = next(files, &facts, disk);
    Ok(page(&facts))
}

/// Writes the report to a file. An earlier report is replaced as a whole. Only the user can read the new file.
fn write(path: &Path, html: &str, disk: &dyn Disk) -> Result<(), ExportError> {
    whole_file(disk, path, Compression::None, |mut out| {
        out.write_all(html.as_bytes()).and_then(|()| out.finish()).map_err(ExportError::Output)
    })
}

/// Returns the path of the report if the user names none. The report is in the run folder, or beside the results if
/// there is no run folder. Returns `None` if neither the results file nor the error log is known.
fn default_path(files: &Files, disk: &dyn Disk) -> Option<PathBuf> {
    let folder = files.results.as_deref().map(|results| with_suffix(results, ".run"));
    let is_folder = |path: &Path| matches!(disk.kind(path), Ok(Some(FileKind::Folder)));
    match folder.filter(|folder| is_folder(folder)) {
        Some(folder) => Some(folder.join(NAME)),
        None => Some(with_suffix(files.results.as_deref().or(files.errors.as_deref())?, ".report.html")),
    }
}

/// Checks that the report would not replace a file that is read, or a file of a run. In a run folder, the report can
/// replace only an earlier report.
fn check(output: &Path, files: &Files, disk: &dyn Disk) -> Result<()> {
    let folder = files.results.as_deref().map(|results| with_suffix(results, ".run"));
    let manifest = folder.as_deref().and_then(|folder| read_manifest(folder, disk).ok().flatten());
    let inputs = manifest.into_iter().flat_map(|manifest| manifest.inputs).map(|input| PathBuf::from(input.path));
    let read: Vec<PathBuf> = files.results.iter().chain(&files.named).cloned().chain(inputs).collect();
    let errors = files.errors.clone().unwrap_or_default();
    let is_report = output.file_name().is_some_and(|name| name == NAME)
        && folder.is_some_and(|folder| folder_of(output) == folder || disk.is_same_file(&folder, folder_of(output)));
    if !is_report && belongs_to_a_run(output, disk)? {
        bail!("{} belongs to a run and would be overwritten; name another file with -o", output.display());
    }
    RunPaths::given(Some(output.to_owned()), errors).check_output(&read, disk)?;
    if !is_page(output, disk) {
        bail!("{} is not a web page and would be overwritten; name another file with -o", output.display());
    }
    Ok(())
}

/// Returns whether the report is allowed to replace a file: the file is missing, empty, or an HTML page.
fn is_page(output: &Path, disk: &dyn Disk) -> bool {
    let Ok(file) = disk.open(output, OpenMode::Read) else { return true };
    let mut begin = [0; DOCTYPE.len()];
    match file.read_at(&mut begin, 0) {
        Ok(0) => true,
        Ok(read) => begin[..read].eq_ignore_ascii_case(DOCTYPE),
        Err(_) => false,
    }
}

/// Returns the commands that continue the run. The commands do not contain the flags that were typed for the run: some
/// of these flags are secrets, and a report is shown to other people.
fn next(files: &Files, facts: &RunFacts, disk: &dyn Disk) -> Vec<(String, String)> {
    let mut next = Vec::new();
    let errors = files.errors.as_deref().filter(|path| matches!(disk.kind(path), Ok(Some(FileKind::File))));
    let results = files.results.as_deref();
    if let (State::Running { .. }, Some(results)) = (&facts.state, results) {
        add(&mut next, "Show the status of the run:", &["status"], results, None);
    }
    let may_go_on = matches!(facts.state, State::Killed | State::Stopped(_) | State::Ended);
    if let (true, Some(folder)) = (may_go_on, results.map(|results| with_suffix(results, ".run")))
        && let Ok(Some(manifest)) = read_manifest(&folder, disk)
        && let Some(input) = manifest.inputs.first().filter(|input| input.path != "stdin")
    {
        let words = "If rows are left, run the command of the run again, with the same flags. It begins with:";
        let input = PathBuf::from(&input.path);
        let is_simulated = manifest.origin == SIMULATOR;
        let by_default = RunPaths::of_input(std::slice::from_ref(&input), is_simulated).and_then(|paths| paths.results);
        add(&mut next, words, &["run"], &input, results.filter(|results| by_default.as_deref() != Some(*results)));
    }
    if let Some(errors) = errors.filter(|_| facts.failures.rows() > 0 && !matches!(facts.state, State::Running { .. }))
    {
        let paths = RunPaths::given(files.results.clone(), errors.to_owned());
        let output = files.results.as_deref().filter(|_| !paths.log_finds_results());
        add(&mut next, "Run the failed rows again:", &["resume"], errors, output);
    }
    if let Some(results) = results {
        let table = results.with_extension("csv");
        add(&mut next, "Write the answers as a table:", &["results"], results, Some(&table));
        add(&mut next, "Make this page again:", &["report"], results, None);
    }
    next
}

fn add(next: &mut Vec<(String, String)>, words: &str, verb: &[&str], path: &Path, output: Option<&Path>) {
    let mut args: Vec<std::ffi::OsString> = verb.iter().map(Into::into).collect();
    args.push(shell::file(path));
    if let Some(output) = output {
        args.extend(["-o".into(), shell::file(output)]);
    }
    next.push((words.to_owned(), shell::ours(args)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;
    use crate::watch::timeline::{RunSpan, Timeline, VERSION};

    #[test]
    fn a_run_that_has_just_ended_has_a_report_in_its_folder_that_says_how_it_ended() {
        for (reason, title) in [(None, "<h1>Finished"), (Some("interrupted"), "<h1>Stopped")] {
            let run = RunSpan { has_ended: true, reason: reason.map(str::to_owned), ..RunSpan::default() };
            let timeline = Timeline { v: VERSION, runs: vec![run], ..Timeline::default() };
            let disk = MemDisk::new();
            disk.put("out.jsonl", b"");
            disk.put("out.jsonl.run/lock", b"");
            disk.put("out.jsonl.run/timeline.json", &serde_json::to_vec(&timeline).expect("it is JSON"));

            let paths = RunPaths::given(Some("out.jsonl".into()), "out.errors.jsonl".into());
            let made = report_at_end(&paths, &disk).expect("it can be made");

            assert_eq!(made, Some(PathBuf::from("out.jsonl.run/report.html")));
            let page = String::from_utf8(disk.content("out.jsonl.run/report.html").expect("it is there"));
            let page = page.expect("it is text");
            assert!(page.contains(title), "{page}");
        }
        let to_stdout = RunPaths::given(None, "out.errors.jsonl".into());
        assert!(matches!(report_at_end(&to_stdout, &MemDisk::new()), Ok(None)));
    }
}
