//! How a run begins.

/// How a run begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// Resumes where the last run stopped. If there was no earlier run, begins a new run.
    #[default]
    Continue,
    /// Begins a new run (`--fresh`). Files of earlier runs are renamed to `<name>.old-<run>`, where `<run>` is the id
    /// of this run. These files are never removed, because they contain answers that were paid for.
    Fresh,
    /// Runs the rows of an error log again (`resume`). The log is compacted first.
    Resume,
}
