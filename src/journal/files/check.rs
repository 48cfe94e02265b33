//! Checks the names of the outputs before any file is opened for writing.

use std::path::{Path, PathBuf};

use super::paths::RunPaths;
use crate::journal::disk::{Disk, DiskFailure, FileKind, Refusal, folder_of};
use crate::journal::error::JournalError;
use crate::journal::start::Start;

impl RunPaths {
    /// Checks, without changing anything, that the outputs can be created or opened.
    ///
    /// An output must not be one of `inputs`. Only the error log of a `resume` is allowed to be both an input and an
    /// output. The content of the files is checked when the journal is opened.
    ///
    /// # Errors
    /// [`JournalError::OutputIsInput`], [`JournalError::SameFile`], [`JournalError::NotAFile`],
    /// [`JournalError::MissingFolder`], [`JournalError::Refused`], [`JournalError::StandardOutput`],
    /// [`JournalError::Disk`].
    pub(crate) fn check(&self, inputs: &[PathBuf], start: Start, disk: &dyn Disk) -> Result<(), JournalError> {
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

    /// Checks that this program can create or replace the file at [`RunPaths::results`]. This file must be neither one
    /// of the `inputs` nor the error log.
    ///
    /// # Errors
    /// [`JournalError::OutputIsInput`], [`JournalError::SameFile`], [`JournalError::NotAFile`],
    /// [`JournalError::MissingFolder`], [`JournalError::Disk`].
    pub(crate) fn check_output(&self, inputs: &[PathBuf], disk: &dyn Disk) -> Result<(), JournalError> {
        let Some(output) = &self.results else { return Ok(()) };
        if let Some(input) = inputs.iter().find(|input| *input == output || disk.is_same_file(input, output)) {
            return Err(JournalError::OutputIsInput { output: output.clone(), input: input.clone() });
        }
        check_place(output, disk)?;
        match is_one_file(output, &self.errors, disk) {
            true => Err(JournalError::SameFile { path: output.clone() }),
            false => Ok(()),
        }
    }

    /// Checks the file to which a shell redirected standard output. The check is needed because the shell itself opens
    /// the file for `>` or `>>`, without any check.
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

/// Returns whether two paths lead to the same file. The file need not exist.
fn is_one_file(one: &Path, other: &Path, disk: &dyn Disk) -> bool {
    let have_one_name_and_folder =
        || one.file_name() == other.file_name() && disk.is_same_file(folder_of(one), folder_of(other));
    one == other || disk.is_same_file(one, other) || have_one_name_and_folder()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::RealDisk;

    #[test]
    fn unusable_outputs_are_refused() {
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
