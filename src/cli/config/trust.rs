//! The levels of trust in configuration files.

/// How much the program trusts a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The user named the file with `--config`.
    Named,
    /// The file is in the user's configuration folder.
    User,
    /// The file is in the working folder, so another person may have written it.
    Folder,
}
