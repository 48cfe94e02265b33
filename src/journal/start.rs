//! How a run begins.

/// How a run begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Resumes where the last run stopped, or begins when there was none.
    #[default]
    Continue,
    /// Begins anew, with `--fresh`. Files of earlier runs are renamed to `<name>.old-<run>`, where `<run>` is the id of
    /// this run. They are never removed, because they hold answers that were paid for.
    Fresh,
    /// Runs the rows of an error log again, with `resume`. The log is compacted first.
    Resume,
}
