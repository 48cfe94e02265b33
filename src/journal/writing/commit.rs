//! When lines are synced, and what is reported after a sync.

use crate::domain::WriteFault;

/// When lines are synced (`--fsync`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Lines are synced in groups, so one sync makes several lines durable. A group waits for a short time, or until
    /// the sync in progress has ended.
    #[default]
    Group,
    /// Each line is synced separately, before anything else happens.
    Always,
    /// Never. The system decides when it writes lines to the disk. If the power fails before the system has written a
    /// line, the line is lost.
    Off,
}

/// Which threads write and sync.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threading {
    /// The caller writes files, and another thread syncs them. If results go to standard output, a third thread writes
    /// the results and the error log.
    #[default]
    Thread,
    /// The caller writes and syncs each line before `append` returns. Runs in virtual time need this mode, because
    /// their clock would advance while another thread works. `--fsync always` needs this mode too.
    Inline,
}

/// What the run is told about its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All lines up to this sequence number are stored as safely as `--fsync` requires.
    UpTo(u64),
    /// Lines can no longer be written. A line that no earlier commit has reported can be lost.
    Failed(WriteFault),
}

/// A function that is called for each commit, either on the syncer's thread or inside `append`. It must be quick.
pub type OnCommit = Box<dyn Fn(Commit) + Send>;
