//! Opens and checks files, because another person may have written a file or chosen its path.
//!
//! A configuration file that the user named with `--config` can also be a pipe. A configuration file that was not named
//! with `--config` is read only if it is an ordinary file and not too large. Reading a FIFO could wait forever, and
//! opening a device can have side effects. A symbolic link is followed, because a project may use the same file in
//! several folders. The program trusts a linked file as much as an ordinary file in the folder of the link.
//!
//! If a config file in the working folder gives the path of a text file, that text file must be inside the working
//! folder. The program opens the folders of the path one after the other, each inside the folder before it, and never
//! through a link. The program then checks and reads the opened file, and does not use the path again. (On systems
//! without the Unix call `openat`, the program checks each part of the path before it opens the file.) The program
//! rejects a file with a second name (a hard link), because the other name may be outside the folder.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Component, Path};

use anyhow::{Context, Result, bail};

use crate::source::wide_text;

/// The highest number of bytes in a configuration file.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The byte order mark.
const MARK: char = '\u{feff}';

/// A configuration file that was found and read.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its text.
    pub text: String,
    /// Whether the path is a symbolic link. A link can lead to any file, so messages do not show the values in that
    /// file.
    pub is_link: bool,
    /// A text that says which other users may have written the file; `None` if only this user and the administrator can
    /// write it.
    pub writers: Option<String>,
}

/// Returns the configuration file at `path`; `None` if the file does not exist.
///
/// # Errors
/// Fails if the file can't be read, is not an ordinary file, or is too large. The error message shows nothing of the
/// file's content.
pub(crate) fn configuration(path: &Path) -> Result<Option<Opened>> {
    let is_link = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_symlink(),
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // The kind of the file is checked before the file is opened, because opening a device can have side effects.
    match fs::metadata(path) {
        Ok(metadata) => ordinary(&metadata)?,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let file = open(path)?;
    let metadata = file.metadata()?;
    ordinary(&metadata)?;
    let bytes = bytes_of(file, MAX_CONFIG_BYTES)?;
    let text = String::from_utf8(bytes).ok().context("the file is not UTF-8")?;
    Ok(Some(Opened { text, is_link, writers: writers(path, &metadata) }))
}

/// Returns the text of a file inside `folder`.
///
/// # Errors
/// Fails if the path leads out of the folder, contains a hidden name or goes through a link. Also fails if the file is
/// not an ordinary file, has a second name (a hard link), or has more than `most` bytes.
pub(super) fn inside(folder: &Path, path: &Path, most: u64) -> Result<String> {
    let mut names = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) if name.as_encoded_bytes().starts_with(b".") => {
                bail!(
                    "a file in the working folder can refer only to files inside that folder, and not to hidden files"
                );
            }
            Component::Normal(name) if cfg!(windows) && name.as_encoded_bytes().contains(&b':') => {
                bail!("a file in the working folder can refer only to files inside that folder");
            }
            Component::Normal(name) => names.push(Path::new(name)),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                bail!("a file in the working folder can refer only to files inside that folder");
            }
        }
    }
    let Some((file, folders)) = names.split_last() else { bail!("the path does not name a file; name a file") };
    let file = open_below(folder, folders, file)?;
    let metadata = file.metadata()?;
    ordinary(&metadata)?;
    if has_second_name(&metadata) {
        bail!("the file has another name (a hard link), which could be outside the folder; use a copy");
    }
    plain_text(bytes_of(file, most)?)
}

/// Returns the text of a file, without a byte order mark. Editors write this mark, and it is no part of a prompt.
///
/// # Errors
/// Fails if the text is not in UTF-8.
pub(super) fn plain_text(bytes: Vec<u8>) -> Result<String> {
    if let Some((what, remedy)) = wide_text(&bytes) {
        bail!("the file looks like {what}, not like text in UTF-8; {remedy}");
    }
    let mut text = String::from_utf8(bytes).ok().context("the file is not UTF-8 text; save it as UTF-8")?;
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

/// Returns whether an error means that the file does not exist.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn ordinary(metadata: &Metadata) -> Result<()> {
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => Ok(()),
        (false, true) => bail!("it is a folder"),
        (false, false) => bail!("it is not an ordinary file (a pipe, socket or device?)"),
    }
}

fn bytes_of(file: File, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        bail!("the file is larger than {} MiB", most >> 20);
    }
    Ok(bytes)
}

#[cfg(unix)]
fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits() as i32).open(path)
}

#[cfg(not(unix))]
fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

#[cfg(unix)]
fn open_below(folder: &Path, folders: &[&Path], file: &Path) -> Result<File> {
    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
    const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
    const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut at = openat(CWD, folder, FOLDER, Mode::empty())?;
    for name in folders.iter().chain([&file]) {
        let kind = FileType::from_raw_mode(statat(&at, *name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        let is_last = std::ptr::eq(*name, file);
        match (kind, is_last) {
            (FileType::Symlink, _) => bail!("{} is a symbolic link, which may lead out of the folder", name.display()),
            (FileType::RegularFile, true) | (FileType::Directory, false) => {}
            (FileType::Directory, true) => bail!("it is a folder"),
            (_, true) => bail!("it is not an ordinary file (a pipe, socket or device?)"),
            (_, false) => bail!("{} is not a folder", name.display()),
        }
        // The check of the file's kind is needed only for a better message. If the file is replaced after the check,
        // the flags of the open call still reject a link or a file of another kind.
        let flags = if is_last { FILE } else { FOLDER };
        at = openat(&at, *name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(File::from(at))
}

#[cfg(not(unix))]
fn open_below(folder: &Path, folders: &[&Path], file: &Path) -> Result<File> {
    let mut path = folder.to_owned();
    for name in folders.iter().chain([&file]) {
        path.push(name);
        if fs::symlink_metadata(&path)?.is_symlink() {
            bail!("{} is a symbolic link, which may lead out of the folder", name.display());
        }
    }
    ordinary(&fs::metadata(&path)?)?;
    Ok(open(&path)?)
}

#[cfg(unix)]
fn has_second_name(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() > 1
}

#[cfg(not(unix))]
fn has_second_name(_metadata: &Metadata) -> bool {
    false
}

/// Returns which other users may have written a file, and what to do about that. The system's administrator does not
/// count as another user.
///
/// Members of the file's group count as other users. The user's own group is an exception, because many systems give
/// each user a group of their own.
#[cfg(unix)]
fn writers(path: &Path, file: &Metadata) -> Option<String> {
    use rustix::process::{getegid, geteuid};
    use std::os::unix::fs::MetadataExt;
    let folder = path.parent().unwrap_or(Path::new("."));
    let found = fs::metadata(folder);
    let judged = [(path, Some(file)), (folder, found.as_ref().ok())];
    judged.into_iter().find_map(|(path, metadata)| {
        let metadata = metadata?;
        let shown = path.display();
        if ![geteuid().as_raw(), 0].contains(&metadata.uid()) {
            return Some(format!("{shown} belongs to another user"));
        }
        let is_open_to_group = metadata.mode() & 0o020 != 0 && metadata.gid() != getegid().as_raw();
        let is_open = metadata.mode() & 0o002 != 0 || is_open_to_group;
        is_open.then(|| format!("other users can write to {shown}; run chmod go-w on it"))
    })
}

#[cfg(not(unix))]
fn writers(_path: &Path, _file: &Metadata) -> Option<String> {
    None
}
