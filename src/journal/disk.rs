//! The disk as the journal needs it: a small trait, the real one, and errors that name path and operation.
//!
//! Everything the journal does to files goes through [`Disk`], so that a simulated one can tear, drop, reorder and
//! refuse. Knows nothing of lines or runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a file is opened. None follows a symbolic link on Unix; created files are for their owner only (0600).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must be there.
    Read,
    /// For reading and writing; created when missing, kept as it is when there.
    Edit,
    /// For writing; it must not be there.
    CreateNew,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A FIFO, device or socket.
    Special,
    /// A file or folder that another user may have put there: it lies where everybody may write, and belongs to somebody
    /// else or, if a file, has a second name.
    Planted,
}

/// Answer to an attempt to lock a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAttempt {
    /// Locked, until the file is closed or the process ends.
    Locked,
    /// Somebody else holds it.
    Held,
    /// The file system has no locks.
    Unsupported,
}

/// An open file. All access is by position, so that a failed write is never half counted.
pub trait DiskFile: Send + Sync {
    /// Returns the length in bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the system reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// What the system reports.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until everything written is on stable storage.
    ///
    /// # Errors
    /// What the system reports; what was written since the last success may then be lost for good, and trying again
    /// proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `size` bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Tries to lock the file for this process alone.
    ///
    /// # Errors
    /// What the system reports, but for "held" and "unsupported".
    fn try_lock(&self) -> io::Result<LockAttempt>;
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system reports.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Returns what stands at `path`, without following a symbolic link; `None` when nothing does.
    ///
    /// # Errors
    /// What the system reports.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// Returns whether `path` is a folder, following symbolic links.
    fn is_folder(&self, path: &Path) -> bool;

    /// Returns whether both paths name the same existing file.
    fn is_same_file(&self, one: &Path, other: &Path) -> bool;

    /// Creates one folder for its owner only (0700); fine when it is there.
    ///
    /// # Errors
    /// What the system reports.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, replacing what is there.
    ///
    /// # Errors
    /// What the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; fine when it is not there.
    ///
    /// # Errors
    /// What the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a folder durable. Does nothing where folders can't be synced.
    ///
    /// # Errors
    /// What the system reports.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A failed operation on a path.
#[derive(Clone, Debug, thiserror::Error)]
#[error("can't {operation} {}: {source}", path.display())]
pub struct DiskFailure {
    /// What was tried: `write`, `sync`, ….
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: Arc<io::Error>,
}

impl DiskFailure {
    /// Returns a failure; made for `map_err`.
    pub(super) fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { operation, path: path.to_owned(), source: Arc::new(error) }
    }

    /// Returns whether the reader of a pipe went away: no fault of the disk.
    pub fn is_closed_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }

    /// Returns whether the disk, a quota or a size limit is full: room has to be made before going on.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

/// Returns the folder a path lies in; `.` for a bare name.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::Edit => options.read(true).write(true).create(true).truncate(false),
            OpenMode::CreateNew => options.read(true).write(true).create_new(true),
        };
        private(&mut options);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Box::new(RealFile(file)))
    }

    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) if metadata.is_symlink() => Ok(Some(FileKind::Symlink)),
            Ok(metadata) if is_planted(path, &metadata) => Ok(Some(FileKind::Planted)),
            Ok(metadata) if metadata.is_dir() => Ok(Some(FileKind::Folder)),
            Ok(metadata) if metadata.is_file() => Ok(Some(FileKind::File)),
            Ok(_) => Ok(Some(FileKind::Special)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn is_folder(&self, path: &Path) -> bool {
        path.is_dir()
    }

    #[cfg(unix)]
    fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        use std::os::unix::fs::MetadataExt;

        match (fs::metadata(one), fs::metadata(other)) {
            (Ok(one), Ok(other)) => one.dev() == other.dev() && one.ino() == other.ino(),
            (Ok(_) | Err(_), _) => false,
        }
    }

    #[cfg(not(unix))]
    fn is_same_file(&self, one: &Path, other: &Path) -> bool {
        match (fs::canonicalize(one), fs::canonicalize(other)) {
            (Ok(one), Ok(other)) => one == other,
            (Ok(_) | Err(_), _) => false,
        }
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        match builder.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            done => done,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    #[cfg(not(unix))]
    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// Returns whether somebody else may have put a file or folder there, in a folder such as `/tmp`.
///
/// In a folder of one's own, files of others and second names are nobody's trap.
#[cfg(unix)]
fn is_planted(path: &Path, metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    const STICKY_FOR_ALL: u32 = 0o1002;
    let is_anothers = metadata.uid() != rustix::process::geteuid().as_raw();
    let has_second_name = metadata.is_file() && metadata.nlink() > 1;
    let is_shared = || {
        let folder = fs::metadata(folder_of(path));
        folder.is_ok_and(|folder| folder.permissions().mode() & STICKY_FOR_ALL == STICKY_FOR_ALL)
    };
    (metadata.is_file() || metadata.is_dir()) && (is_anothers || has_second_name) && is_shared()
}

#[cfg(not(unix))]
fn is_planted(_path: &Path, _metadata: &fs::Metadata) -> bool {
    false
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
}

#[cfg(not(unix))]
fn private(_options: &mut OpenOptions) {}

struct RealFile(File);

impl DiskFile for RealFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(&self.0, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(&self.0, buffer, offset)
    }

    #[cfg(unix)]
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.0, bytes, offset)
    }

    #[cfg(windows)]
    fn write_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match std::os::windows::fs::FileExt::seek_write(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&self, size: u64) -> io::Result<()> {
        self.0.set_len(size)
    }

    fn try_lock(&self) -> io::Result<LockAttempt> {
        match self.0.try_lock() {
            Ok(()) => Ok(LockAttempt::Locked),
            Err(TryLockError::WouldBlock) => Ok(LockAttempt::Held),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(LockAttempt::Unsupported)
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_until_its_file_is_closed() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("lock");
        let first = RealDisk.open(&path, OpenMode::Edit).expect("the lock file can be made");
        let second = RealDisk.open(&path, OpenMode::Edit).expect("it can be opened twice");

        assert_eq!(first.try_lock().expect("locks work here"), LockAttempt::Locked);
        assert_eq!(second.try_lock().expect("locks work here"), LockAttempt::Held);

        drop(first);
        assert_eq!(second.try_lock().expect("locks work here"), LockAttempt::Locked);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_their_owner_and_links_are_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let (path, link) = (folder.path().join("file"), folder.path().join("link"));
        std::os::unix::fs::symlink(&path, &link).expect("a link can be made");

        RealDisk.create_folder(&folder.path().join("run")).expect("a folder can be made");
        drop(RealDisk.open(&path, OpenMode::Edit).expect("a file can be made"));

        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("run")), 0o700);
        assert!(RealDisk.open(&link, OpenMode::Edit).is_err());
        assert_eq!(RealDisk.kind(&link).expect("it can be asked"), Some(FileKind::Symlink));
    }

    #[cfg(unix)]
    #[test]
    fn what_another_may_have_put_into_a_shared_folder_is_told_apart() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let at = |name: &str| folder.path().join(name);
        let kind = |name: &str| RealDisk.kind(&at(name)).expect("it can be asked");
        fs::write(at("own"), "").expect("it can be written");
        fs::write(at("linked"), "").expect("it can be written");
        fs::hard_link(at("linked"), at("second name")).expect("it can be linked");
        fs::write(at("given"), "").expect("it can be written");
        fs::create_dir(at("given.run")).expect("it can be made");
        // Only root can give things away.
        let is_given =
            ["given", "given.run"].iter().all(|name| std::os::unix::fs::chown(at(name), Some(54321), None).is_ok());

        let in_own_folder = [kind("linked"), kind("given"), kind("given.run")];
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("the folder is ours");

        assert_eq!(in_own_folder, [FileKind::File, FileKind::File, FileKind::Folder].map(Some));
        assert_eq!((kind("own"), kind("linked")), (Some(FileKind::File), Some(FileKind::Planted)));
        if is_given {
            assert_eq!((kind("given"), kind("given.run")), (Some(FileKind::Planted), Some(FileKind::Planted)));
        }
    }

    #[test]
    fn a_position_past_the_end_reads_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = RealDisk.open(&folder.path().join("f"), OpenMode::CreateNew).expect("a file can be made");
        file.write_at(b"abc", 0).expect("it can be written");

        let mut buffer = [0; 8];

        assert_eq!(file.read_at(&mut buffer, 1).expect("it can be read"), 2);
        assert_eq!(file.read_at(&mut buffer, 9).expect("it can be read"), 0);
        file.truncate(1).expect("it can be cut");
        assert_eq!(file.size().expect("it can be asked"), 1);
    }
}
