//! How much the program trusts a configuration file.

/// How much the program trusts a configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// The user named it.
    Named,
    /// It is in the user's configuration folder.
    User,
    /// It is in the working folder, and anybody may have written it.
    Folder,
}
