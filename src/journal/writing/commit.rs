//! When lines are synced, and how that is reported.

use crate::domain::WriteFault;

/// When lines are synced: `--fsync`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// In groups. While there are lines to sync, a sync is always running or about to begin.
    #[default]
    Group,
    /// Syncs each line by itself, before anything else happens.
    Always,
    /// Never syncs. After a loss of power, everything that the system has not written on its own may be lost.
    Off,
}

/// Which thread writes and syncs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threading {
    /// The caller writes files, and a thread syncs them. A thread of its own writes to standard output.
    #[default]
    Thread,
    /// The caller writes and syncs each line before `append` returns. It is for runs on virtual time, where the clock
    /// would run ahead while another thread works. `--fsync always` works in the same way.
    Inline,
}

/// What happened to lines, as reported to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// All lines up to this sequence number are as durable as `--fsync` asks.
    UpTo(u64),
    /// Lines can't be written any more. Those that were not reported before may be lost.
    Failed(WriteFault),
}

/// Is called with each commit, on the syncer's thread or inside `append`. Must be quick.
pub type OnCommit = Box<dyn Fn(Commit) + Send>;
