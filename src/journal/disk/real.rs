//! The local file system.
//!
//! A missing file is created with `O_EXCL`. An existing file is opened without following a link and without waiting,
//! and is then checked. The name is also checked before the file is opened, because some devices do something as soon
//! as they are opened.
//!
//! On Windows, only one process at a time can have a file open for writing. Other processes can still read, rename and
//! replace the file. So no locks are used on Windows. A lock on Windows would also prevent people from reading their
//! results.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::real_file::RealFile;
use super::trust::{Owners, Refusal};
use super::{Disk, DiskFile, FileKind, OpenMode, system};

/// How many times the program tries to open a file that other programs keep creating, replacing or removing.
const TRIES: u32 = 16;

/// The local file system.
#[derive(Debug, Default)]
pub struct RealDisk {
    owners: Owners,
    made_private: Mutex<MadePrivate>,
}

/// The files and folders that other users had rights to.
#[derive(Debug, Default)]
struct MadePrivate {
    /// Files and folders that were made private.
    done: Vec<PathBuf>,
    /// Files and folders that could not be made private, because the file system stores no modes.
    refused: Vec<PathBuf>,
}

impl RealDisk {
    /// Returns the local file system. Files that do not belong to `owners` are rejected.
    pub fn new(owners: Owners) -> Self {
        Self { owners, made_private: Mutex::default() }
    }

    fn open_file(&self, path: &Path, mode: OpenMode) -> io::Result<File> {
        match mode {
            OpenMode::Read => self.open_existing(path, &system::to_read()),
            OpenMode::Existing => self.open_ours(path, &system::to_write()),
            OpenMode::CreateNew => self.create(path, system::to_write()),
            OpenMode::Edit => self.open_or_create(path, &system::to_write()),
        }
    }

    /// Returns an empty file that only this process can use. The file has no name and vanishes with the process.
    ///
    /// # Errors
    /// The error that the system reports.
    pub(crate) fn private_file() -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile { file: tempfile::tempfile()?, path: std::env::temp_dir() }))
    }

    /// Opens a file to which another part of the program appends. The file is checked and made private like the files
    /// of a run.
    ///
    /// # Errors
    /// The errors of [`Disk::open`].
    pub(crate) fn open_to_append(&self, path: &Path) -> io::Result<File> {
        self.open_or_create(path, system::to_write().append(true))
    }

    /// Opens a file, or creates it if it is missing. If another program creates the file in the meantime, this new file
    /// is checked like an existing file.
    fn open_or_create(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        for _ in 0..TRIES {
            match self.open_ours(path, options) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => return opened,
            }
            match self.create(path, options.clone()) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                created => return created,
            }
        }
        Err(replaced_too_often())
    }

    fn create(&self, path: &Path, mut options: OpenOptions) -> io::Result<File> {
        let file = options.create_new(true).open(path).map_err(busy)?;
        self.check_opened(&file)?;
        Ok(file)
    }

    fn open_ours(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        let file = self.open_existing(path, options)?;
        self.make_private(&file, path)?;
        Ok(file)
    }

    fn open_existing(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        match self.kind(path)? {
            None => return Err(io::ErrorKind::NotFound.into()),
            Some(FileKind::File) => {}
            Some(other) => return Err(refused(refusal_of(other))),
        }
        self.open_checked(path, options)
    }

    /// Opens a file whose name was checked a moment ago, and checks the opened file too.
    fn open_checked(&self, path: &Path, options: &OpenOptions) -> io::Result<File> {
        for _ in 0..TRIES {
            let file = options.open(path).map_err(|error| match self.kind(path) {
                // Between the check and this call, another program put a folder, a link or a device at this path. The
                // error says what was found.
                Ok(Some(kind)) if kind != FileKind::File => refused(refusal_of(kind)),
                Ok(_) | Err(_) => busy(error),
            })?;
            self.check_opened(&file)?;
            // Perhaps the opened file had two names, and the name `path` was removed a moment ago. The file's link
            // count is then 1 again, but `path` no longer leads to the file.
            if system::is_at(&file, path, path)? {
                return Ok(file);
            }
        }
        Err(replaced_too_often())
    }

    fn check_opened(&self, file: &File) -> io::Result<()> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(refused(if metadata.is_dir() { Refusal::Folder } else { Refusal::Special }));
        }
        self.check(&metadata)
    }

    fn check(&self, metadata: &fs::Metadata) -> io::Result<()> {
        system::facts(metadata).check(system::user(), self.owners).map_err(refused)
    }

    /// Removes the rights of other users to an open file or folder of this user.
    fn make_private(&self, file: &File, path: &Path) -> io::Result<()> {
        let too_open = |file: &File| Ok::<_, io::Error>(system::facts(&file.metadata()?).private_mode(system::user()));
        let Some(private) = too_open(file)? else { return Ok(()) };
        // On a file system that stores no modes, the mount options decide who can read the files.
        let is_done = system::set_mode(file, private).is_ok() && too_open(file)?.is_none();
        let mut made_private = self.made_private.lock().unwrap_or_else(PoisonError::into_inner);
        let paths = if is_done { &mut made_private.done } else { &mut made_private.refused };
        if !paths.iter().any(|known| known == path) {
            paths.push(path.to_owned());
        }
        Ok(())
    }

    /// Checks an existing folder by opening it, and makes it private.
    fn adopt_folder(&self, path: &Path) -> io::Result<()> {
        let folder = system::open_folder(path).map_err(|error| match self.kind(path) {
            Ok(Some(kind)) if kind != FileKind::Folder => refused(refusal_of_folder(kind)),
            Err(refusal) => refusal,
            Ok(_) => error,
        })?;
        self.check(&folder.metadata()?)?;
        self.make_private(&folder, path)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile { file: self.open_file(path, mode)?, path: path.to_owned() }))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let kind = match metadata.file_type() {
            kind if kind.is_symlink() => FileKind::Symlink,
            kind if kind.is_dir() => FileKind::Folder,
            kind if kind.is_file() => FileKind::File,
            _ => FileKind::Special,
        };
        if matches!(kind, FileKind::Folder | FileKind::File) {
            self.check(&metadata)?;
        }
        Ok(Some(kind))
    }

    fn is_folder(&self, path: &Path) -> io::Result<bool> {
        let Ok(metadata) = fs::metadata(path) else { return Ok(false) };
        if metadata.is_dir() && self.owners == Owners::Own && system::facts(&metadata).is_open_to_all() {
            return Err(refused(Refusal::OpenFolder { folder: path.to_owned() }));
        }
        Ok(metadata.is_dir())
    }

    fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        system::is_same(one, other).unwrap_or(false)
    }

    fn is_standard_output(&self, path: Option<&Path>) -> bool {
        system::is_standard_output(path).unwrap_or(false)
    }

    fn may_write(&self, path: &Path) -> io::Result<()> {
        system::may_write(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match system::create_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.adopt_folder(path),
            done => done,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => match self.kind(path)? {
                Some(FileKind::Folder) => Err(refused(Refusal::Folder)),
                Some(FileKind::File | FileKind::Symlink | FileKind::Special) | None => Err(error),
            },
            done => done,
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        system::sync_folder(path)
    }

    fn take_notes(&self) -> Vec<String> {
        let MadePrivate { done, refused } =
            std::mem::take(&mut *self.made_private.lock().unwrap_or_else(PoisonError::into_inner));
        let note = |beginning: &str, paths: &[PathBuf]| {
            let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
            (!paths.is_empty()).then(|| format!("{beginning}: {}", paths.join(", ")))
        };
        let done = note("other users had rights, so these files were made private", &done);
        let refused =
            note("other users have rights that the file system does not let this program take away", &refused);
        done.into_iter().chain(refused).collect()
    }
}

fn replaced_too_often() -> io::Error {
    io::Error::other("another program replaces it again and again")
}

fn refused(refusal: Refusal) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, refusal)
}

fn refusal_of(kind: FileKind) -> Refusal {
    match kind {
        FileKind::Symlink => Refusal::Symlink,
        FileKind::Folder => Refusal::Folder,
        FileKind::Special | FileKind::File => Refusal::Special,
    }
}

fn refusal_of_folder(kind: FileKind) -> Refusal {
    match kind {
        FileKind::Symlink => Refusal::Symlink,
        FileKind::File | FileKind::Special | FileKind::Folder => Refusal::NotAFolder,
    }
}

/// Returns `ResourceBusy` if the error means that another process has the file open for writing.
#[cfg(windows)]
fn busy(error: io::Error) -> io::Error {
    const ERROR_SHARING_VIOLATION: i32 = 32;
    match error.raw_os_error() {
        Some(ERROR_SHARING_VIOLATION) => io::ErrorKind::ResourceBusy.into(),
        Some(_) | None => error,
    }
}

#[cfg(not(windows))]
fn busy(error: io::Error) -> io::Error {
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn created_files_are_private_and_links_are_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&path, &link).expect("a link can be made");

        RealDisk::default().create_folder(&folder.path().join("run")).expect("a folder can be made");
        drop(RealDisk::default().open(&path, OpenMode::Edit).expect("a file can be made"));

        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("run")), 0o700);
        assert!(RealDisk::default().open(&link, OpenMode::Edit).is_err());
        assert_eq!(RealDisk::default().kind(&link).expect("it can be asked"), Some(FileKind::Symlink));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_with_two_names_or_of_another_user_is_refused_in_every_folder() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("own"), "").expect("it can be written");
        fs::write(at("linked"), "").expect("it can be written");
        fs::hard_link(at("linked"), at("second name")).expect("it can be linked");
        fs::write(at("given"), "").expect("it can be written");
        fs::create_dir(at("given.run")).expect("it can be made");
        // Only root can change the owner of a file.
        let is_given =
            ["given", "given.run"].iter().all(|name| std::os::unix::fs::chown(at(name), Some(54321), None).is_ok());

        for mode in [0o700, 0o1777] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("the folder is ours");
            let disk = RealDisk::default();
            let refusal = |name: &str| {
                let looked = disk.kind(&at(name)).expect_err("it is refused");
                let opened = disk.open_file(&at(name), OpenMode::Read).expect_err("it is refused");
                assert_eq!(looked.to_string(), opened.to_string());
                opened.get_ref().and_then(|inner| inner.downcast_ref().cloned())
            };

            assert_eq!(disk.kind(&at("own")).expect("it is ours"), Some(FileKind::File));
            assert_eq!(refusal("linked"), Some(Refusal::Linked { names: 2 }));
            if is_given {
                assert_eq!(refusal("given"), Some(Refusal::Anothers { owner: 54321 }));
                assert_eq!(refusal("given.run"), Some(Refusal::Anothers { owner: 54321 }));
            }
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_gets_the_name_between_check_and_opening_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "kept").expect("it can be written");
        std::os::unix::fs::symlink(at("victim"), at("link")).expect("it can be linked");
        std::os::unix::fs::symlink(at("nothing"), at("dangling")).expect("it can be linked");
        fs::create_dir(at("folder")).expect("it can be made");
        fs::write(at("linked"), "").expect("it can be written");
        fs::hard_link(at("linked"), at("second name")).expect("it can be linked");
        drop(std::os::unix::net::UnixListener::bind(at("socket")).expect("a socket can be made"));
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().expect("the tool is there");
        assert!(made.success());
        fs::write(at("given"), "").expect("it can be written");
        let is_given = std::os::unix::fs::chown(at("given"), Some(54321), None).is_ok();
        let cases = [
            ("link", Refusal::Symlink),
            ("dangling", Refusal::Symlink),
            ("folder", Refusal::Folder),
            ("linked", Refusal::Linked { names: 2 }),
            ("socket", Refusal::Special),
            ("fifo", Refusal::Special),
            ("given", Refusal::Anothers { owner: 54321 }),
        ];

        for (name, expected) in cases.into_iter().filter(|(name, _)| *name != "given" || is_given) {
            for options in [system::to_read(), system::to_write()] {
                let refused = RealDisk::default().open_checked(&at(name), &options).expect_err(name);

                let refusal = refused.get_ref().and_then(|inner| inner.downcast_ref());
                assert_eq!(refusal, Some(&expected), "{name}: {refused}");
            }
        }
        assert!(!at("nothing").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_of_this_user_that_others_can_read_is_made_private_with_one_note() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (file, run) = (folder.path().join("file"), folder.path().join("run"));
        fs::write(&file, "").expect("it can be written");
        fs::create_dir(&run).expect("it can be made");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).expect("it is ours");
        fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let disk = RealDisk::default();

        disk.open(&file, OpenMode::Read).expect("it is ours");
        let after_reading = disk.take_notes();
        disk.open(&file, OpenMode::Edit).expect("it is ours");
        disk.open(&file, OpenMode::Existing).expect("it is ours");
        disk.create_folder(&run).expect("it is ours");

        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
        assert_eq!((mode(&file), mode(&run)), (0o600, 0o700));
        assert!(after_reading.is_empty());
        let notes = disk.take_notes();
        assert!(notes.len() == 1 && notes[0].matches("/file").count() == 1 && notes[0].contains("/run"), "{notes:?}");
        assert!(disk.take_notes().is_empty());
    }
}
