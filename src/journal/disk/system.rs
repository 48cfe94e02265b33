//! The parts of `real.rs` that differ between operating systems: owners, links, modes, and who else can open a file.
//!
//! If the system does not report owners and modes, every file is treated as a private file of the user.

#[cfg(not(unix))]
pub(super) use elsewhere::*;
#[cfg(unix)]
pub(super) use unix::*;

#[cfg(unix)]
mod unix {
    use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use rustix::fs::{Access, OFlags};

    use crate::journal::disk::trust::Facts;

    /// Returns the options for opening a file to read it. With these options, opening does not follow a symbolic link
    /// and does not wait for the writer of a FIFO. A terminal that is opened does not become the controlling terminal.
    pub(crate) fn to_read() -> OpenOptions {
        let mut options = OpenOptions::new();
        let flags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);
        options.read(true).custom_flags(flags.bits() as i32);
        options
    }

    /// Returns the options for opening a file to read and write it. These options follow the same rules as [`to_read`].
    /// Only the owner can use a file that is created with these options.
    pub(crate) fn to_write() -> OpenOptions {
        let mut options = to_read();
        options.write(true).mode(0o600);
        options
    }

    /// Opens a folder. Fails if the path does not lead to a folder.
    pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW.union(OFlags::DIRECTORY);
        OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)
    }

    /// Creates a folder that only its owner can use.
    pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Checks that the user is allowed to write to a file, or to create files in a folder.
    pub(crate) fn may_write(path: &Path) -> io::Result<()> {
        let access = if path.is_dir() { Access::WRITE_OK.union(Access::EXEC_OK) } else { Access::WRITE_OK };
        Ok(rustix::fs::access(path, access)?)
    }

    pub(crate) fn user() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    pub(crate) fn facts(metadata: &Metadata) -> Facts {
        let (owner, names, mode) = (metadata.uid(), metadata.nlink(), metadata.mode());
        Facts { owner, names, mode, is_folder: metadata.is_dir() }
    }

    pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }

    /// Returns whether both paths lead to the same file.
    pub(crate) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
        Ok(is_one(&fs::metadata(one)?, &fs::metadata(other)?))
    }

    /// Returns whether `path` leads to the open file. This system needs no path to identify an open file, so `_opened`
    /// is not used.
    pub(crate) fn is_at(file: &File, _opened: &Path, path: &Path) -> io::Result<bool> {
        Ok(is_one(&file.metadata()?, &fs::metadata(path)?))
    }

    /// Returns whether standard output goes to the regular file at `path`. If `path` is `None`, returns whether
    /// standard output and standard input are the same file.
    pub(crate) fn is_standard_output(path: Option<&Path>) -> io::Result<bool> {
        let out = metadata_of(&io::stdout())?;
        let other = match path {
            Some(path) => fs::metadata(path)?,
            None => metadata_of(&io::stdin())?,
        };
        Ok(out.is_file() && is_one(&out, &other))
    }

    fn metadata_of(stream: &impl AsFd) -> io::Result<Metadata> {
        File::from(stream.as_fd().try_clone_to_owned()?).metadata()
    }

    fn is_one(one: &Metadata, other: &Metadata) -> bool {
        one.dev() == other.dev() && one.ino() == other.ino()
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::{self, File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    use crate::journal::disk::trust::Facts;

    pub(crate) fn to_read() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true);
        options
    }

    /// Returns the options for opening a file to read and write it. While the file is open on Windows, other processes
    /// can read, rename and replace it, but they can't write to it.
    pub(crate) fn to_write() -> OpenOptions {
        let mut options = to_read();
        options.write(true);
        #[cfg(windows)]
        {
            use std::os::windows::fs::OpenOptionsExt;

            const FILE_SHARE_READ: u32 = 1;
            const FILE_SHARE_DELETE: u32 = 4;
            options.share_mode(FILE_SHARE_READ | FILE_SHARE_DELETE);
        }
        options
    }

    /// Opens a folder. Fails if the path does not lead to a folder.
    pub(crate) fn open_folder(path: &Path) -> io::Result<File> {
        let mut options = to_read();
        #[cfg(windows)]
        {
            use std::os::windows::fs::OpenOptionsExt;

            const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
            options.custom_flags(FILE_FLAG_BACKUP_SEMANTICS);
        }
        let folder = options.open(path)?;
        let is_folder = folder.metadata()?.is_dir();
        if is_folder { Ok(folder) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    /// Returns `Ok`, because this system can't check rights without writing.
    pub(crate) fn may_write(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Does nothing, because this system can't sync folders.
    pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(crate) fn user() -> u32 {
        0
    }

    pub(crate) fn facts(metadata: &Metadata) -> Facts {
        Facts { owner: user(), names: 1, mode: 0, is_folder: metadata.is_dir() }
    }

    pub(crate) fn set_mode(_file: &File, _mode: u32) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether both paths lead to the same file.
    pub(crate) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
        Ok(fs::canonicalize(one)? == fs::canonicalize(other)?)
    }

    /// Returns whether `path` leads to the opened file. On this system, a file has no number that identifies it, so the
    /// paths are compared.
    pub(crate) fn is_at(_file: &File, opened: &Path, path: &Path) -> io::Result<bool> {
        is_same(opened, path)
    }

    /// Returns `false`, because this system can't tell to which file standard output is sent.
    pub(crate) fn is_standard_output(_path: Option<&Path>) -> io::Result<bool> {
        Ok(false)
    }
}
