//! Names: where results, error log and run folder lie for what was typed.
//!
//! Pure but for [`RunPaths::check`], which looks and touches nothing. The rules:
//!
//! | input | output | results | error log |
//! |---|---|---|---|
//! | `prompts.jsonl` | | `prompts.results.jsonl` | `prompts.errors.jsonl` |
//! | `tickets.csv` | | `tickets.csv.results.jsonl` | `tickets.csv.errors.jsonl` |
//! | any | `out.jsonl` | `out.jsonl` | `out.errors.jsonl` |
//! | any | `out.results.jsonl` | `out.results.jsonl` | `out.errors.jsonl` |
//! | pipe | none or `-` | standard output | `claude-batch.<run>.errors.jsonl` |
//!
//! A rehearsal adds `.simulated` to the names made from an input, so it never touches a real run. The run folder is
//! the results file's name and `.run`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::disk::{Disk, DiskFailure, FileKind, folder_of};
use super::judge::Refusal;
use super::{JournalError, Start};

/// What names are made from.
#[derive(Clone, Copy, Debug)]
pub struct PathRequest<'a> {
    /// The inputs that are files, in order. Empty when the only input is a pipe.
    pub inputs: &'a [PathBuf],
    /// Whether standard input is among the inputs.
    pub has_stdin: bool,
    /// `--output`; `-` is standard output.
    pub output: Option<&'a Path>,
    /// `--errors`.
    pub errors: Option<&'a Path>,
    /// Whether the run is a rehearsal against the simulator.
    pub is_simulated: bool,
    /// Id of the run.
    pub run: &'a str,
}

/// Where the files of a run lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPaths {
    /// The results file; `None` when results go to standard output.
    pub results: Option<PathBuf>,
    /// The error log.
    pub errors: PathBuf,
}

impl RunPaths {
    /// Returns the paths for what was typed.
    ///
    /// # Errors
    /// [`JournalError::NeedsOutput`] for several inputs without `--output`.
    pub fn resolve(request: &PathRequest<'_>) -> Result<Self, JournalError> {
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

    /// Returns the paths for a given results file and error log, as an error log names them.
    pub fn given(results: Option<PathBuf>, errors: PathBuf) -> Self {
        Self { results, errors }
    }

    /// Returns the run folder; `None` when results go to standard output: such a run can't be continued.
    pub fn folder(&self) -> Option<PathBuf> {
        self.results.as_deref().map(|results| with_suffix(results, ".run"))
    }

    /// Returns the results file as seen from the error log's folder: a name when they lie together, else a whole path.
    pub fn results_beside_errors(&self) -> Option<String> {
        let results = self.results.as_deref()?;
        let whole_folder = |path: &Path| std::path::absolute(folder_of(path)).ok();
        if folder_of(results) == folder_of(&self.errors) || whole_folder(results) == whole_folder(&self.errors) {
            return Some(results.file_name()?.to_string_lossy().into_owned());
        }
        let whole = std::path::absolute(results).unwrap_or_else(|_| results.to_owned());
        Some(whole.to_string_lossy().into_owned())
    }

    /// Returns whether an error log's entry, naming its results file as `theirs`, belongs to these results.
    pub(super) fn are_results(&self, theirs: &str) -> bool {
        let Some(results) = &self.results else { return false };
        // Never looked up: a name in a file may stand for another machine.
        let named = self.errors.with_file_name(theirs);
        self.results_beside_errors().as_deref() == Some(theirs)
            || named == *results
            || std::path::absolute(named).ok() == std::path::absolute(results).ok()
    }

    /// Returns [`Self::are_results`] for one entry after the other: most name the same as the one before.
    pub(super) fn belonging(&self) -> impl FnMut(&str) -> bool {
        let mut ours: Option<String> = None;
        move |theirs| {
            if ours.as_deref() != Some(theirs) && self.are_results(theirs) {
                ours = Some(theirs.to_owned());
            }
            ours.as_deref() == Some(theirs)
        }
    }

    /// Returns whether the error log says where its results are in a way that `resume` follows: by the name of a file
    /// beside it. Else they have to be named.
    pub fn log_finds_results(&self) -> bool {
        match (&self.results, self.results_beside_errors()) {
            (Some(results), Some(name)) => {
                let is_whole = results.file_name().is_some_and(|whole| whole == name.as_str());
                is_whole && fault_of_name(&name).is_none()
            }
            (Some(_), None) => false,
            (None, _) => true,
        }
    }

    /// Checks that the outputs can be what they should be, without touching anything.
    ///
    /// `inputs` must not be an output, but that `resume` reads the error log it writes. Contents are checked when the
    /// journal is opened.
    ///
    /// # Errors
    /// [`JournalError::OutputIsInput`], [`JournalError::SameFile`], [`JournalError::NotAFile`],
    /// [`JournalError::MissingFolder`], [`JournalError::Refused`], [`JournalError::StandardOutput`], [`JournalError::Disk`].
    pub fn check(&self, inputs: &[PathBuf], start: Start, disk: &dyn Disk) -> Result<(), JournalError> {
        for output in self.outputs() {
            let is_log_resumed = start == Start::Resume && output == self.errors;
            let is_input = |input: &&PathBuf| *input == output || disk.is_same_file(input, output);
            if let Some(input) = inputs.iter().find(is_input)
                && !is_log_resumed
            {
                return Err(JournalError::OutputIsInput { output: output.to_owned(), input: input.clone() });
            }
            check_place(output, disk)?;
        }
        if let Some(folder) = self.folder() {
            match disk.kind(&folder).map_err(DiskFailure::of("look at", &folder))? {
                None | Some(FileKind::Folder) => {}
                Some(FileKind::Symlink) => {
                    return Err(JournalError::Refused { path: folder, refusal: Refusal::Symlink });
                }
                Some(FileKind::File | FileKind::Special) => {
                    return Err(JournalError::Refused { path: folder, refusal: Refusal::NotAFolder });
                }
            }
        }
        if let Some(results) = &self.results
            && is_one_file(results, &self.errors, disk)
        {
            return Err(JournalError::SameFile { path: results.clone() });
        }
        if self.results.is_none() {
            self.check_standard_output(inputs, disk)?;
        }
        Ok(())
    }

    /// Checks where a shell sent the results: `>` and `>>` ask nobody.
    fn check_standard_output(&self, inputs: &[PathBuf], disk: &dyn Disk) -> Result<(), JournalError> {
        let what = if disk.is_standard_output(Some(&self.errors)) {
            format!("the error log {}", self.errors.display())
        } else if let Some(input) = inputs.iter().find(|input| disk.is_standard_output(Some(input))) {
            format!("the input {}", input.display())
        } else if disk.is_standard_output(None) {
            "the file that standard input is read from".to_owned()
        } else {
            return Ok(());
        };
        Err(JournalError::StandardOutput { what })
    }

    fn outputs(&self) -> impl Iterator<Item = &Path> {
        self.results.as_deref().into_iter().chain([&*self.errors])
    }
}

/// Returns whether two paths lead to one file, which need not be there.
fn is_one_file(one: &Path, other: &Path, disk: &dyn Disk) -> bool {
    let is_beside = || one.file_name() == other.file_name() && disk.is_same_file(folder_of(one), folder_of(other));
    one == other || disk.is_same_file(one, other) || is_beside()
}

fn check_place(output: &Path, disk: &dyn Disk) -> Result<(), JournalError> {
    let folder = folder_of(output);
    if !disk.is_folder(folder).map_err(DiskFailure::of("look at", output))? {
        return Err(JournalError::MissingFolder { path: output.to_owned(), folder: folder.to_owned() });
    }
    let what = match disk.kind(output).map_err(DiskFailure::of("look at", output))? {
        None | Some(FileKind::File) => return Ok(()),
        Some(FileKind::Folder) => "a folder",
        Some(FileKind::Symlink) => "a symbolic link",
        Some(FileKind::Special) => "a pipe or device",
    };
    Err(JournalError::NotAFile { path: output.to_owned(), what })
}

/// Returns the name of an input without `.jsonl`, and with `.simulated` for a rehearsal.
fn named_after(input: &Path, is_simulated: bool) -> PathBuf {
    let stem = without_suffix(input, ".jsonl");
    if is_simulated { with_suffix(&stem, ".simulated") } else { stem }
}

/// Names that stand for devices on some systems, whatever their ending.
const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
/// Devices that have a digit behind these letters.
const NUMBERED_DEVICES: [&str; 2] = ["COM", "LPT"];
/// Longest name that file systems take.
const NAME_BYTES: usize = 255;

/// Returns what a name in an error log is when it is not the name of a file beside the log, with its article.
///
/// The rule is the same on all systems, as far as it can be: a log may have been made on another one.
pub(super) fn fault_of_name(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("no name"),
        "." | ".." => Some("a folder"),
        name if name.chars().any(char::is_control) => Some("a name with control characters"),
        name if name.contains(['/', '\\']) => Some("a path and not a name"),
        name if name.len() > NAME_BYTES => Some("longer than a name can be"),
        name if is_device(name) => Some("the name of a device"),
        name if cfg!(windows) && (name.contains([':', '*', '?', '"', '<', '>', '|']) || name.ends_with(['.', ' '])) => {
            Some("no name of a file here")
        }
        _ => None,
    }
}

fn is_device(name: &str) -> bool {
    let stem = name.split(['.', ':']).next().unwrap_or_default().trim_end_matches(' ').to_uppercase();
    let is_numbered = |letters: &&str| {
        let digits = stem.strip_prefix(*letters).unwrap_or_default();
        matches!(digits, "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³")
    };
    DEVICES.contains(&&*stem) || NUMBERED_DEVICES.iter().any(is_numbered)
}

/// Returns whether `errors` has the name that the error log of these results is given by itself.
pub(super) fn is_own_log(results: &Path, errors: &Path) -> bool {
    errors_beside(results).file_name() == errors.file_name()
}

fn errors_beside(results: &Path) -> PathBuf {
    let stem = without_suffix(&without_suffix(results, ".jsonl"), ".results");
    with_suffix(&stem, ".errors.jsonl")
}

/// Returns the path without the ending, unless nothing of the name would be left.
fn without_suffix(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str());
    match name.and_then(|name| name.strip_suffix(suffix)) {
        Some(stem) if !stem.is_empty() => path.with_file_name(stem),
        Some(_) | None => path.to_owned(),
    }
}

/// Returns the path with `suffix` behind its name.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::super::real_disk::RealDisk;
    use super::*;

    /// Inputs, output, whether simulated; results, error log.
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
    fn names_follow_the_table() {
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
    fn the_error_log_names_the_results_from_where_it_lies() {
        let beside = RunPaths::given(Some("d/out.jsonl".into()), "d/out.errors.jsonl".into());
        let apart = RunPaths::given(Some("d/out.jsonl".into()), "e/out.errors.jsonl".into());

        assert_eq!(beside.results_beside_errors().as_deref(), Some("out.jsonl"));
        assert!(Path::new(&apart.results_beside_errors().expect("it has results")).is_absolute());
    }

    #[test]
    fn a_name_in_a_log_is_a_file_beside_it_or_refused() {
        let fine = ["out.jsonl", "a b", "..jsonl", ".hidden", "日本.jsonl", "com.jsonl", "nullable", "com10", "$(x)"];
        let wrong = [
            "",
            ".",
            "..",
            "/",
            "/o",
            "a/b",
            "a/",
            "./o",
            "../o",
            "..\\o",
            "\\o",
            "\\\\h\\s\\o",
            "C:\\o",
            "C:/o",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            "a\u{7f}",
            "a\u{85}",
            "nul",
            "NUL.jsonl",
            "Con .x",
            "aux:s",
            "COM1",
            "lpt9.txt",
            "COM¹",
            "CONIN$",
        ];

        assert_eq!(fine.map(fault_of_name), [None; 9]);
        for name in wrong {
            assert!(fault_of_name(name).is_some(), "{name:?}");
        }
        assert!(fault_of_name(&"a".repeat(256)).is_some());
    }

    #[test]
    fn a_log_finds_results_that_lie_beside_it() {
        let paths = |results: &str, errors: &str| RunPaths::given(Some(results.into()), errors.into());

        let found = [("o", "e"), ("./o", "e"), ("d/o", "./d/e"), ("d/o.jsonl", "d/o.errors.jsonl")];
        let not_found = [("o", "d/e"), ("d/o", "e"), ("a\\b", "e"), ("a\nb", "e"), ("nul.jsonl", "e")];

        assert!(found.iter().all(|(results, errors)| paths(results, errors).log_finds_results()));
        assert!(not_found.iter().all(|(results, errors)| !paths(results, errors).log_finds_results()));
        assert!(RunPaths::given(None, "e".into()).log_finds_results());
    }

    #[test]
    fn what_a_run_records_belongs_to_its_results_and_other_names_do_not() {
        for (results, errors) in [("o", "e"), ("d/o", "e"), ("../o", "d/e"), ("a\nb", "e")] {
            let paths = RunPaths::given(Some(results.into()), errors.into());
            let recorded = paths.results_beside_errors().expect("it has results");

            assert!(paths.are_results(&recorded), "{recorded}");
            assert!(["", ".", "..", "e", "x/o", "/o", "../../o"].iter().all(|other| !paths.are_results(other)));
        }
        assert!(!RunPaths::given(None, "e".into()).are_results("o"));
    }

    #[test]
    fn outputs_that_can_not_be_are_refused_and_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("in.jsonl"), "x").expect("it can be written");
        std::fs::hard_link(at("in.jsonl"), at("linked.jsonl")).expect("it can be linked");
        std::fs::create_dir(at("folder")).expect("it can be made");
        let check = |results: PathBuf, errors: PathBuf, start| {
            RunPaths::given(Some(results), errors).check(&[at("in.jsonl")], start, &RealDisk::default())
        };

        let same = check(at("in.jsonl"), at("e"), Start::Continue);
        let linked = check(at("linked.jsonl"), at("e"), Start::Continue);
        let twice = check(at("o"), at("o"), Start::Continue);
        let is_folder = check(at("folder"), at("e"), Start::Continue);
        let missing = check(at("none/o"), at("e"), Start::Continue);

        assert!(matches!(same, Err(JournalError::OutputIsInput { .. })));
        assert!(matches!(linked, Err(JournalError::OutputIsInput { .. })));
        assert!(matches!(twice, Err(JournalError::SameFile { .. })));
        assert!(matches!(is_folder, Err(JournalError::NotAFile { what: "a folder", .. })));
        assert!(matches!(missing, Err(JournalError::MissingFolder { .. })));
        std::fs::remove_file(at("linked.jsonl")).expect("it is ours");
        assert!(check(at("o"), at("in.jsonl"), Start::Resume).is_ok());
        assert!(check(at("o"), at("in.jsonl"), Start::Continue).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn links_and_devices_are_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("it can be linked");

        let shared = folder.path().join("shared");
        std::fs::create_dir(&shared).expect("it can be made");
        std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o1777)).expect("it is ours");
        std::fs::write(shared.join("theirs"), "").expect("it can be written");
        std::fs::hard_link(shared.join("theirs"), shared.join("o")).expect("it can be linked");

        let check = |path: PathBuf| {
            let paths = RunPaths::given(Some(path), folder.path().join("e"));
            paths.check(&[], Start::Continue, &RealDisk::default())
        };
        for (path, is) in [(link, "a symbolic link"), (PathBuf::from("/dev/null"), "a pipe or device")] {
            assert!(matches!(check(path), Err(JournalError::NotAFile { what, .. }) if what == is));
        }
        let linked = check(shared.join("o"));
        assert!(matches!(linked, Err(JournalError::Refused { refusal: Refusal::Linked { names: 2 }, .. })));
    }
}
