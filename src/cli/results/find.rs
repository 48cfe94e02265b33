//! Finds the results file and the error log of a run. The user names only one file of the run.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::journal::{
    Disk, DiskFailure, FileKind, LineKind, RunPaths, folder_of, line_kind, read_error_log, read_manifest, with_suffix,
};

/// The files of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    /// The results file; `None` if the run wrote its results to standard output.
    pub(crate) results: Option<PathBuf>,
    /// The error log.
    pub(crate) errors: Option<PathBuf>,
    /// The path that the user named, which may be the input. `None` if the user named the results file, the error log
    /// or the run folder.
    pub(crate) named: Option<PathBuf>,
}

/// Returns the files of the run to which `path` belongs.
///
/// # Errors
/// Fails if there is no run to which `path` belongs, or if a file can't be read.
pub(crate) fn find(path: &Path, disk: &dyn Disk) -> Result<Files> {
    let of_results = |results: PathBuf, named: Option<&Path>| Files {
        errors: Some(RunPaths::errors_beside(&results)),
        results: Some(results),
        named: named.map(Path::to_owned),
    };
    let exists = |path: &Path| matches!(disk.kind(path), Ok(Some(FileKind::File)));
    match disk.kind(path).map_err(DiskFailure::of("look at", path))? {
        Some(FileKind::File) => match line_kind(path, disk)? {
            Some(LineKind::Result) => return Ok(of_results(path.to_owned(), None)),
            Some(LineKind::Error) => {
                let log = read_error_log(path, None, disk)?;
                return Ok(Files { results: log.results, errors: Some(path.to_owned()), named: None });
            }
            // The results file is empty, because the run has not finished a row.
            None if disk.kind(&with_suffix(path, ".run")).is_ok_and(|kind| kind == Some(FileKind::Folder)) => {
                return Ok(of_results(path.to_owned(), None));
            }
            // The error log of a run in progress can be empty, so only the name shows that the file is an error log.
            None => {
                if let Some(results) = results_of_log(path).into_iter().find(|results| exists(results)) {
                    return Ok(of_results(results, None));
                }
            }
        },
        Some(FileKind::Folder) => {
            if let Some(results) = results_of_folder(path) {
                return Ok(of_results(results, None));
            }
        }
        Some(FileKind::Symlink | FileKind::Special) | None => {}
    }
    let beside = candidates(path);
    let mut recorded = runs_with_input(path, disk);
    match beside.iter().find(|results| exists(results) || is_folder(&with_suffix(results, ".run"), disk)) {
        Some(results) => Ok(of_results(results.clone(), Some(path))),
        None if recorded.len() == 1 => Ok(of_results(recorded.remove(0), Some(path))),
        None if recorded.len() > 1 => {
            let names: Vec<String> = recorded.iter().map(|path| path.display().to_string()).collect();
            bail!("{} is the input of several runs; name the results of one: {}", path.display(), names.join(", "))
        }
        None => {
            let looked: Vec<String> = beside.iter().map(|path| path.display().to_string()).collect();
            let what = if disk.kind(path).is_ok_and(|kind| kind.is_some()) {
                "no results"
            } else {
                "no such file, and no results"
            };
            bail!(
                "{}: {what} (looked for {}); name the results file, the error log or the run folder of a run",
                path.display(),
                looked.join(", ")
            )
        }
    }
}

fn is_folder(path: &Path, disk: &dyn Disk) -> bool {
    matches!(disk.kind(path), Ok(Some(FileKind::Folder)))
}

/// The highest number of files per folder that are checked to find runs.
const MOST_FILES: usize = 10_000;

/// Finds the runs that read this input, according to their run folders, and returns their results files. The run
/// folders are searched for in the input's folder and in the working folder.
pub(super) fn runs_with_input(input: &Path, disk: &dyn Disk) -> Vec<PathBuf> {
    let Ok(wanted) = input.canonicalize() else { return Vec::new() };
    let mut found: Vec<PathBuf> = Vec::new();
    for results in runs_beside(input) {
        // A run whose manifest can't be read is left out.
        let Ok(Some(manifest)) = read_manifest(&with_suffix(&results, ".run"), disk) else { continue };
        let is_input = |recorded: &Path| recorded.canonicalize().is_ok_and(|recorded| recorded == wanted);
        let beside = |recorded: &str| folder_of(&results).join(recorded);
        let has_input =
            manifest.inputs.iter().any(|own| is_input(Path::new(&own.path)) || is_input(&beside(&own.path)));
        if has_input && !found.iter().any(|own| disk.is_same_file(own, &results)) {
            found.push(results);
        }
    }
    found.sort();
    found
}

/// Returns the results files of the runs whose run folders are in the working folder or in the folder of a file.
fn runs_beside(path: &Path) -> Vec<PathBuf> {
    let whole = |folder: &Path| Path::new(".").join(folder).canonicalize().ok();
    let beside = Some(folder_of(path)).filter(|folder| whole(folder) != whole(Path::new("")));
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in [Path::new("")].into_iter().chain(beside) {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let entries = std::fs::read_dir(listed).into_iter().flatten().take(MOST_FILES).flatten();
        let results = entries.filter_map(|entry| results_of_folder(Path::new(&entry.file_name())));
        found.extend(results.map(|results| folder.join(results)));
    }
    found
}

/// Returns the results file of a run folder.
pub(crate) fn results_of_folder(folder: &Path) -> Option<PathBuf> {
    let name = folder.file_name()?.to_str()?.strip_suffix(".run")?;
    (!name.is_empty()).then(|| folder.with_file_name(name))
}

/// Returns the possible paths of the results file whose error log is at `path`. Returns an empty list if the name of
/// the log is unusual.
fn results_of_log(path: &Path) -> Vec<PathBuf> {
    let stem = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".errors.jsonl"));
    let named = |stem: &str| [".results.jsonl", ".jsonl", ""].map(|end| path.with_file_name(format!("{stem}{end}")));
    stem.filter(|stem| !stem.is_empty()).map(named).into_iter().flatten().collect()
}

/// Returns the possible paths of the results file that belongs to an input or an output at `path`. Results of real runs
/// come before results of simulated runs.
fn candidates(path: &Path) -> Vec<PathBuf> {
    let of = |is_simulated| {
        let named = [path.to_owned()];
        RunPaths::of_input(&named, is_simulated).and_then(|paths| paths.results)
    };
    let renamed = path.file_stem().filter(|stem| Path::new(stem).extension().is_some_and(|end| end == "results"));
    let same_stem = renamed.map(|_| path.with_extension("jsonl"));
    let mut found: Vec<PathBuf> = Vec::new();
    for results in [Some(with_suffix(path, ".results.jsonl")), of(false), same_stem, of(true)].into_iter().flatten() {
        if !found.contains(&results) {
            found.push(results);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::MemDisk;

    const RESULT: &str = r#"{"custom_id":"a","result":{"type":"succeeded","message":{}},"meta":{"v":1,"key":"k1:00000000000000000000000000000001"}}"#;

    #[test]
    fn a_run_is_found_by_any_of_its_files() {
        let disk = MemDisk::new();
        for name in ["out.jsonl", "p.results.jsonl", "t.csv.results.jsonl", "s.simulated.results.jsonl"] {
            disk.put(name, format!("{RESULT}\n").as_bytes());
        }
        for name in ["p.jsonl", "t.csv", "s.jsonl"] {
            disk.put(name, b"\"a\"\n");
        }
        let results = |name: &str| {
            let found = find(Path::new(name), &disk).expect(name);
            found.results.expect(name).display().to_string()
        };

        assert_eq!(results("out.jsonl"), "out.jsonl");
        assert_eq!(results("p.jsonl"), "p.results.jsonl");
        assert_eq!(results("p.results.csv"), "p.results.jsonl");
        assert_eq!(results("t.csv"), "t.csv.results.jsonl");
        assert_eq!(results("s.jsonl"), "s.simulated.results.jsonl");
        let missing = find(Path::new("none.jsonl"), &disk).expect_err("it is nowhere").to_string();
        assert!(
            missing.starts_with(
                "none.jsonl: no such file, and no results (looked for none.jsonl.results.jsonl, none.results.jsonl"
            ),
            "{missing}"
        );
    }

    #[test]
    fn an_empty_error_log_leads_to_the_results_beside_it() {
        let disk = MemDisk::new();
        for name in ["d/p.results.jsonl", "d/out.jsonl"] {
            disk.put(name, format!("{RESULT}\n").as_bytes());
        }
        for (log, results) in [("d/p.errors.jsonl", "d/p.results.jsonl"), ("d/out.errors.jsonl", "d/out.jsonl")] {
            disk.put(log, b"");

            let found = find(Path::new(log), &disk).expect(log);

            let files = Files { results: Some(results.into()), errors: Some(log.into()), named: None };
            assert_eq!(found, files);
        }
    }

    #[test]
    fn a_run_folder_leads_to_its_results() {
        assert_eq!(results_of_folder(Path::new("d/o.jsonl.run")), Some("d/o.jsonl".into()));
        assert_eq!(results_of_folder(Path::new("letters")), None);
    }
}
