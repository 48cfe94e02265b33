//! Decides which files this program is allowed to use. The check applies to the opened file, not to its name.
//!
//! A run can use a folder such as `/tmp`, in which other users can create files. Another user can put a file, a link or
//! a FIFO under the name that the run is about to use. Another user can even put a file there between the check of the
//! name and the opening of the file. So the file is also checked after it was opened. The first check, before the file
//! is opened ([`super::Disk::kind`]), only gives a better message. Both checks follow the same table:
//!
//! | what is there | what happens | allowed by `--trust-owner` |
//! |---|---|---|
//! | a symbolic link, folder, FIFO, socket or device | rejected | no |
//! | a file or folder of another user, including root | rejected | yes |
//! | a file with more than one name (hard links) | rejected | no |
//! | results or error log in a folder that every user can write to, without the sticky bit | rejected | yes |
//! | the user's own file or folder, if other users have rights to it | made private, with a note | |
//!
//! The table also applies to root: when the user is root, the program rejects files of other users. A folder that a
//! group can write to is accepted, because its owner chose the group. On many systems, each user has a group of their
//! own. The sticky bit prevents users from removing the files of other users. Other users can still add files to the
//! folder, but this program does not use files of another user.
//!
//! This module is pure: it gets what the system reports about a file, and decides whether this program is allowed to
//! use the file.

use std::path::PathBuf;

/// The reason why a file or folder is not used. In an error message, the text of this reason comes after the path. The
/// text says what was found at the path and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The path is a symbolic link.
    #[error("is a symbolic link, which could lead anywhere; remove it, or name another file")]
    Symlink,
    /// The path is a folder, but should be a file.
    #[error("is a folder; remove it, or name another file")]
    Folder,
    /// The path is a FIFO, socket or device.
    #[error("is a pipe, socket or device; remove it, or name another file")]
    Special,
    /// The path is not a folder, but should be the run folder.
    #[error("is not a folder, but the run folder must be there; remove it, or name another output")]
    NotAFolder,
    /// The file or folder belongs to another user.
    #[error(
        "belongs to another user (uid {owner}); name another file, or add --trust-owner if you trust that user, as with \
         the volume of a container"
    )]
    Anothers {
        /// The user id of the owner.
        owner: u32,
    },
    /// The file has several names (hard links).
    #[error(
        "has {names} names (hard links), so the output would appear under each of them; copy it and name the copy, or name another file"
    )]
    Linked {
        /// How many names the file has.
        names: u64,
    },
    /// The file is in a folder that every user can write to.
    #[error(
        "lies in {}, where every user may remove and replace files; remove that right (chmod o-w), name a file in \
         another folder, or add --trust-owner if you trust all users, as in a container",
        folder.display()
    )]
    OpenFolder {
        /// The folder.
        folder: PathBuf,
    },
}

/// The owners whose files are used (`--trust-owner`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// Only the user's own files are used.
    #[default]
    Own,
    /// Files are used, no matter which user owns them. Folders that every user can write to are also accepted.
    Any,
}

/// What the system reports about a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(crate) owner: u32,
    pub(crate) names: u64,
    pub(crate) mode: u32,
    pub(crate) is_folder: bool,
}

impl Facts {
    /// Checks whether this program, run by the user `us`, is allowed to use a regular file or a folder.
    pub(crate) fn check(&self, us: u32, owners: Owners) -> Result<(), Refusal> {
        if owners == Owners::Own && self.owner != us {
            return Err(Refusal::Anothers { owner: self.owner });
        }
        // Links are counted only for files. A folder always has several links: its `.` and the `..` of each subfolder.
        if !self.is_folder && self.names > 1 {
            return Err(Refusal::Linked { names: self.names });
        }
        Ok(())
    }

    /// Returns whether every user can remove and replace the files in this folder.
    pub(super) fn is_open_to_all(&self) -> bool {
        const WRITABLE_FOR_ALL: u32 = 0o002;
        const STICKY: u32 = 0o1000;
        self.mode & WRITABLE_FOR_ALL != 0 && self.mode & STICKY == 0
    }

    /// Returns the mode that makes a file or folder private. Returns `None` if no other user has rights to the file or
    /// folder, or if its owner is not the user `us`.
    pub(super) fn private_mode(&self, us: u32) -> Option<u32> {
        const OF_OTHERS: u32 = 0o077;
        let is_too_open = self.owner == us && self.mode & OF_OTHERS != 0;
        is_too_open.then_some(if self.is_folder { 0o700 } else { 0o600 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u32 = 1000;
    const FILE: Facts = Facts { owner: US, names: 1, mode: 0o600, is_folder: false };
    const FOLDER: Facts = Facts { owner: US, names: 5, mode: 0o700, is_folder: true };

    #[test]
    fn only_files_of_this_user_with_one_name_are_used() {
        for others in [0, 1, 1001, u32::MAX] {
            let theirs = Facts { owner: others, ..FILE };

            assert_eq!(theirs.check(US, Owners::Own), Err(Refusal::Anothers { owner: others }));
            assert_eq!(Facts { owner: others, ..FOLDER }.check(US, Owners::Own), theirs.check(US, Owners::Own));
            assert_eq!(theirs.check(US, Owners::Any), Ok(()));
        }
        for owners in [Owners::Own, Owners::Any] {
            assert_eq!((FILE.check(US, owners), FOLDER.check(US, owners)), (Ok(()), Ok(())));
            assert_eq!(Facts { names: 2, ..FILE }.check(US, owners), Err(Refusal::Linked { names: 2 }));
        }
        assert_eq!(FILE.check(0, Owners::Own), Err(Refusal::Anothers { owner: US }), "root gets no exception");
    }

    #[test]
    fn a_folder_is_open_to_all_when_all_may_write_and_it_has_no_sticky_bit() {
        for mode in 0..0o2000 {
            let is_open_to_all = Facts { mode, ..FOLDER }.is_open_to_all();

            assert_eq!(is_open_to_all, mode & 0o002 != 0 && mode & 0o1000 == 0, "{mode:o}");
        }
    }

    #[test]
    fn a_file_of_this_user_to_which_others_have_rights_is_made_private() {
        for mode in 0..0o1000 {
            let private = Facts { mode, ..FILE }.private_mode(US);

            assert_eq!(private, (mode & 0o077 != 0).then_some(0o600), "{mode:o}");
        }
        assert_eq!(Facts { mode: 0o755, ..FOLDER }.private_mode(US), Some(0o700));
        assert_eq!(Facts { mode: 0o666, ..FILE }.private_mode(US + 1), None, "files of other users keep their mode");
    }
}
