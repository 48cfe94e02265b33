//! The rules of which files are used: by what a file is, not by its name.
//!
//! In a folder such as `/tmp` another user can put a file, a link or a FIFO under the name that a run is about to use,
//! and can do so between a look at the name and its opening. So the look before ([`super::Disk::kind`]) only makes for a
//! better message, and what counts is the look at what was opened. Both follow the same table:
//!
//! | what | answer | lifted by `--trust-owner` |
//! |---|---|---|
//! | a symbolic link, folder, FIFO, socket or device | refused | no |
//! | it belongs to another user, root included | refused | yes |
//! | it has more than one name (hard links) | refused | no |
//! | results or log in a folder that every user may write to, without the sticky bit | refused | yes |
//! | it is ours, and others have rights to it | made private, with a note | |
//!
//! For root, every user but root is another user. A folder that a group may write to is fine: whoever made it chose the
//! group, and on many systems each user has a group of their own. The sticky bit keeps users from removing each other's
//! files, which is all that is needed once nothing is used that another user made.
//!
//! Pure.

use std::path::PathBuf;

/// Why a file or folder is not used. Shape: fits behind its path; says what it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A symbolic link.
    #[error("is a symbolic link, which could lead anywhere: remove it, or name another file")]
    Symlink,
    /// A folder in the place of a file.
    #[error("is a folder: remove it, or name another file")]
    Folder,
    /// A FIFO, socket or device.
    #[error("is a pipe, socket or device: remove it, or name another file")]
    Special,
    /// Something else in the place of a folder.
    #[error("is not a folder, which the folder of a run must be: remove it, or name another output")]
    NotAFolder,
    /// It belongs to another user.
    #[error(
        "belongs to another user (uid {owner}): name another file, or add --trust-owner if you trust that user, as with \
         the volume of a container"
    )]
    Anothers {
        /// The user's number.
        owner: u32,
    },
    /// A file with several names.
    #[error(
        "has {names} names (hard links), and each would show what is written: copy it and name the copy, or name another file"
    )]
    Linked {
        /// How many.
        names: u64,
    },
    /// The folder it lies in is everybody's.
    #[error(
        "lies in {}, where every user may remove and replace files: take that right away (chmod o-w), name a file in \
         another folder, or add --trust-owner if you trust all users, as in a container",
        folder.display()
    )]
    OpenFolder {
        /// The folder.
        folder: PathBuf,
    },
}

/// Whose files are used: `--trust-owner`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owners {
    /// The user's own.
    #[default]
    Own,
    /// Anybody's, and folders may be open to everybody.
    Any,
}

/// What a system says of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) owner: u32,
    pub(super) names: u64,
    pub(super) mode: u32,
    pub(super) is_folder: bool,
}

impl Facts {
    /// Judges a regular file or a folder, for the user `us`.
    pub(super) fn judge(&self, us: u32, owners: Owners) -> Result<(), Refusal> {
        if owners == Owners::Own && self.owner != us {
            return Err(Refusal::Anothers { owner: self.owner });
        }
        // A folder's names are its own, its `.` and the `..` of each folder in it.
        if !self.is_folder && self.names > 1 {
            return Err(Refusal::Linked { names: self.names });
        }
        Ok(())
    }

    /// Returns whether every user may remove and replace what lies in this folder.
    pub(super) fn is_everybodys(&self) -> bool {
        const WRITABLE_FOR_ALL: u32 = 0o002;
        const STICKY: u32 = 0o1000;
        self.mode & WRITABLE_FOR_ALL != 0 && self.mode & STICKY == 0
    }

    /// Returns the mode to give to what is ours and gives others rights; `None` when it is fine.
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
    fn only_what_is_ours_and_has_one_name_is_used() {
        for others in [0, 1, 1001, u32::MAX] {
            let theirs = Facts { owner: others, ..FILE };

            assert_eq!(theirs.judge(US, Owners::Own), Err(Refusal::Anothers { owner: others }));
            assert_eq!(Facts { owner: others, ..FOLDER }.judge(US, Owners::Own), theirs.judge(US, Owners::Own));
            assert_eq!(theirs.judge(US, Owners::Any), Ok(()));
        }
        for owners in [Owners::Own, Owners::Any] {
            assert_eq!((FILE.judge(US, owners), FOLDER.judge(US, owners)), (Ok(()), Ok(())));
            assert_eq!(Facts { names: 2, ..FILE }.judge(US, owners), Err(Refusal::Linked { names: 2 }));
        }
        assert_eq!(FILE.judge(0, Owners::Own), Err(Refusal::Anothers { owner: US }), "root is a user as others are");
    }

    #[test]
    fn a_folder_is_everybodys_when_all_may_write_and_nothing_sticks() {
        for mode in 0..0o2000 {
            let is_everybodys = Facts { mode, ..FOLDER }.is_everybodys();

            assert_eq!(is_everybodys, mode & 0o002 != 0 && mode & 0o1000 == 0, "{mode:o}");
        }
    }

    #[test]
    fn what_is_ours_and_gives_others_any_right_is_made_private() {
        for mode in 0..0o1000 {
            let private = Facts { mode, ..FILE }.private_mode(US);

            assert_eq!(private, (mode & 0o077 != 0).then_some(0o600), "{mode:o}");
        }
        assert_eq!(Facts { mode: 0o755, ..FOLDER }.private_mode(US), Some(0o700));
        assert_eq!(Facts { mode: 0o666, ..FILE }.private_mode(US + 1), None, "nobody else's mode is touched");
    }
}
