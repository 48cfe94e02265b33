//! The paths of the results file, the error log and the run folder, made from the arguments.
//!
//! This module is pure. Its rules:
//!
//! | input | output | results | error log |
//! |---|---|---|---|
//! | `prompts.jsonl` | | `prompts.results.jsonl` | `prompts.errors.jsonl` |
//! | `tickets.csv` | | `tickets.csv.results.jsonl` | `tickets.csv.errors.jsonl` |
//! | any | `out.jsonl` | `out.jsonl` | `out.errors.jsonl` |
//! | any | `out.results.jsonl` | `out.results.jsonl` | `out.errors.jsonl` |
//! | pipe | none or `-` | standard output | `claude-batch.<run>.errors.jsonl` |
//!
//! A simulated run adds `.simulated` to names that are made from an input, so it never changes the files of a real run.
//! The name of the run folder is the name of the results file with `.run` added.

use std::path::{Path, PathBuf};

use super::log_names::fault_of_name;
use crate::journal::disk::{folder_of, with_suffix};
use crate::journal::error::JournalError;

/// The arguments that the paths are made from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathRequest<'a> {
    /// The inputs that are files, in order. The list is empty if the only input is a pipe.
    pub inputs: &'a [PathBuf],
    /// Whether standard input is among the inputs.
    pub has_stdin: bool,
    /// The value of `--output`, where `-` means standard output.
    pub output: Option<&'a Path>,
    /// `--errors`.
    pub errors: Option<&'a Path>,
    /// Whether the run uses the simulator (`--simulate`).
    pub is_simulated: bool,
    /// Id of the run.
    pub run: &'a str,
}

/// The paths of the files of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPaths {
    /// The results file; `None` when results go to standard output.
    pub results: Option<PathBuf>,
    /// The error log.
    pub errors: PathBuf,
}

impl RunPaths {
    /// Returns the paths that a run uses for these arguments.
    ///
    /// # Errors
    /// [`JournalError::NeedsOutput`] if there are several inputs and no `--output`.
    pub(crate) fn resolve(request: &PathRequest<'_>) -> Result<Self, JournalError> {
        let piped_errors = || PathBuf::from(format!("claude-batch.{}.errors.jsonl", request.run));
        let (results, errors) = match (request.output, request.inputs) {
            (Some(output), _) if output == Path::new("-") => (None, piped_errors()),
            (Some(output), _) => (Some(output.to_owned()), errors_beside(output)),
            (None, [input]) if !request.has_stdin => {
                let stem = named_after(input, request.is_simulated);
                (Some(with_suffix(&stem, ".results.jsonl")), with_suffix(&stem, ".errors.jsonl"))
            }
            (None, []) => (None, piped_errors()),
            (None, inputs) => {
                return Err(JournalError::NeedsOutput { inputs: inputs.len() + usize::from(request.has_stdin) });
            }
        };
        let errors = request.errors.map_or(errors, Path::to_owned);
        Ok(Self { results, errors })
    }

    /// Returns the paths of a run that has these inputs and no `--output`; `None` for several inputs.
    pub(crate) fn of_input(inputs: &[PathBuf], is_simulated: bool) -> Option<Self> {
        let request = PathRequest { inputs, has_stdin: false, output: None, errors: None, is_simulated, run: "" };
        Self::resolve(&request).ok()
    }

    /// Returns the default error log of a results file.
    pub(crate) fn errors_beside(results: &Path) -> PathBuf {
        errors_beside(results)
    }

    /// Returns the paths for a known results file and a known error log.
    pub fn given(results: Option<PathBuf>, errors: PathBuf) -> Self {
        Self { results, errors }
    }

    /// Returns the run folder; `None` if results go to standard output, because such a run can't be resumed.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        self.results.as_deref().map(|results| with_suffix(results, ".run"))
    }

    /// Returns the path for a copy of the piped input; `None` without a run folder. Some kinds of output read this
    /// copy.
    pub(crate) fn spool(&self) -> Option<PathBuf> {
        self.folder().map(|folder| folder.join("input.spool"))
    }

    /// Returns the name that entries of the error log use for the results file. If both files are in the same folder,
    /// the name is only the file name. If the files are in different folders, the name is an absolute path.
    pub(crate) fn results_beside_errors(&self) -> Option<String> {
        let results = self.results.as_deref()?;
        let absolute_folder = |path: &Path| std::path::absolute(folder_of(path)).ok();
        if folder_of(results) == folder_of(&self.errors) || absolute_folder(results) == absolute_folder(&self.errors) {
            return Some(results.file_name()?.to_string_lossy().into_owned());
        }
        let absolute = std::path::absolute(results).unwrap_or_else(|_| results.to_owned());
        Some(absolute.to_string_lossy().into_owned())
    }

    /// Returns whether an entry of the error log belongs to the results file of these paths. `theirs` is the results
    /// file that the entry names.
    fn are_results(&self, theirs: &str) -> bool {
        let Some(results) = &self.results else { return false };
        // The name is only compared and never opened, because on some systems a name can refer to a file on another
        // machine.
        let named = self.errors.with_file_name(theirs);
        self.results_beside_errors().as_deref() == Some(theirs)
            || named == *results
            || std::path::absolute(named).ok() == std::path::absolute(results).ok()
    }

    /// Returns a function that does the same as [`Self::are_results`]. If consecutive entries name the same file, which
    /// is common, the returned function is fast.
    pub(crate) fn belonging(&self) -> impl FnMut(&str) -> bool {
        let mut ours: Option<String> = None;
        move |theirs| {
            if ours.as_deref() != Some(theirs) && self.are_results(theirs) {
                ours = Some(theirs.to_owned());
            }
            ours.as_deref() == Some(theirs)
        }
    }

    /// Returns whether the error log is enough for `resume` to find the results. `resume` can find the results if the
    /// entries of the log name a file in the folder of the log. Otherwise the user has to name the results with `-o`.
    pub(crate) fn log_finds_results(&self) -> bool {
        match (&self.results, self.results_beside_errors()) {
            (Some(results), Some(name)) => {
                let is_file_name = results.file_name().is_some_and(|file_name| file_name == name.as_str());
                is_file_name && fault_of_name(&name).is_none()
            }
            (Some(_), None) => false,
            (None, _) => true,
        }
    }
}

/// Removes `.jsonl` from the path of an input. If the run is simulated, adds `.simulated`.
fn named_after(input: &Path, is_simulated: bool) -> PathBuf {
    let stem = without_suffix(input, ".jsonl");
    if is_simulated { with_suffix(&stem, ".simulated") } else { stem }
}

/// Returns whether `errors` is the default path of the error log for these results.
pub(crate) fn is_own_log(results: &Path, errors: &Path) -> bool {
    errors_beside(results).file_name() == errors.file_name()
}

fn errors_beside(results: &Path) -> PathBuf {
    let stem = without_suffix(&without_suffix(results, ".jsonl"), ".results");
    with_suffix(&stem, ".errors.jsonl")
}

/// Returns the path without the suffix of its name. If the name consists only of the suffix, returns the path as it is.
fn without_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.strip_suffix(suffix)) {
        Some(stem) if !stem.is_empty() => path.with_file_name(stem),
        Some(_) | None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each case gives the inputs, the output, and whether the run is simulated. Each case also gives the expected
    /// paths of the results file and the error log.
    type Case<'a> = (&'a [&'a str], Option<&'a str>, bool, Option<&'a str>, &'a str);

    fn resolved(inputs: &[&str], output: Option<&str>, is_simulated: bool) -> Result<RunPaths, JournalError> {
        let inputs: Vec<PathBuf> = inputs.iter().map(PathBuf::from).collect();
        RunPaths::resolve(&PathRequest {
            inputs: &inputs,
            has_stdin: inputs.is_empty(),
            output: output.map(Path::new),
            errors: None,
            is_simulated,
            run: "r1",
        })
    }

    fn names(paths: RunPaths) -> (Option<String>, String, Option<String>) {
        let text = |path: PathBuf| path.to_string_lossy().replace('\\', "/");
        let folder = paths.folder().map(text);
        (paths.results.map(text), text(paths.errors), folder)
    }

    #[test]
    fn paths_follow_the_table() {
        let cases: [Case; 10] = [
            (&["d/prompts.jsonl"], None, false, Some("d/prompts.results.jsonl"), "d/prompts.errors.jsonl"),
            (&["tickets.csv"], None, false, Some("tickets.csv.results.jsonl"), "tickets.csv.errors.jsonl"),
            (&["p.jsonl"], None, true, Some("p.simulated.results.jsonl"), "p.simulated.errors.jsonl"),
            (&["p.jsonl"], Some("out.jsonl"), false, Some("out.jsonl"), "out.errors.jsonl"),
            (&["p.jsonl"], Some("out.jsonl"), true, Some("out.jsonl"), "out.errors.jsonl"),
            (&["p.jsonl"], Some("o.results.jsonl"), false, Some("o.results.jsonl"), "o.errors.jsonl"),
            (&["a.csv", "b.csv"], Some("o.txt"), false, Some("o.txt"), "o.txt.errors.jsonl"),
            (&[".jsonl"], None, false, Some(".jsonl.results.jsonl"), ".jsonl.errors.jsonl"),
            (&[], None, false, None, "claude-batch.r1.errors.jsonl"),
            (&["p.jsonl"], Some("-"), false, None, "claude-batch.r1.errors.jsonl"),
        ];
        for (inputs, output, is_simulated, results, errors) in cases {
            let paths = names(resolved(inputs, output, is_simulated).expect("it can be named"));

            let folder = results.map(|results| format!("{results}.run"));
            assert_eq!(paths, (results.map(str::to_owned), errors.to_owned(), folder));
        }
    }

    #[test]
    fn several_inputs_need_an_output() {
        assert!(matches!(resolved(&["a", "b"], None, false), Err(JournalError::NeedsOutput { inputs: 2 })));
    }

    #[test]
    fn the_error_log_names_results_in_its_own_folder_by_their_file_name() {
        let beside = RunPaths::given(Some("d/out.jsonl".into()), "d/out.errors.jsonl".into());
        let apart = RunPaths::given(Some("d/out.jsonl".into()), "e/out.errors.jsonl".into());

        assert_eq!(beside.results_beside_errors().as_deref(), Some("out.jsonl"));
        assert!(Path::new(&apart.results_beside_errors().expect("it has results")).is_absolute());
    }

    #[test]
    fn resume_finds_results_in_the_folder_of_the_log() {
        let paths = |results: &str, errors: &str| RunPaths::given(Some(results.into()), errors.into());

        let found = [("o", "e"), ("./o", "e"), ("d/o", "./d/e"), ("d/o.jsonl", "d/o.errors.jsonl")];
        let not_found = [("o", "d/e"), ("d/o", "e"), ("a\\b", "e"), ("a\nb", "e"), ("nul.jsonl", "e")];

        assert!(found.iter().all(|(results, errors)| paths(results, errors).log_finds_results()));
        assert!(not_found.iter().all(|(results, errors)| !paths(results, errors).log_finds_results()));
        assert!(RunPaths::given(None, "e".into()).log_finds_results());
    }

    #[test]
    fn entries_that_name_the_results_belong_to_them_and_other_entries_do_not() {
        for (results, errors) in [("o", "e"), ("d/o", "e"), ("../o", "d/e"), ("a\nb", "e")] {
            let paths = RunPaths::given(Some(results.into()), errors.into());
            let recorded = paths.results_beside_errors().expect("it has results");

            assert!(paths.are_results(&recorded), "{recorded}");
            assert!(["", ".", "..", "e", "x/o", "/o", "../../o"].iter().all(|other| !paths.are_results(other)));
        }
        assert!(!RunPaths::given(None, "e".into()).are_results("o"));
    }
}
