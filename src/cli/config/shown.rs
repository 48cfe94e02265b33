//! How much of a run is shown, and how its summary is shown.

use crate::report::{ProgressKind, SummaryKind, Verbosity};

/// Returns how the summary is shown. If progress is shown as JSON, the summary is JSON too. A choice of the user
/// (`--summary`) has priority.
pub(super) fn summary_kind(summary: Option<SummaryKind>, progress: Option<ProgressKind>) -> SummaryKind {
    summary.unwrap_or(if progress == Some(ProgressKind::Json) { SummaryKind::Json } else { SummaryKind::Text })
}

/// Returns how much is shown on standard error.
pub(super) fn verbosity(quiet: Option<bool>, verbose: u8) -> Verbosity {
    match (quiet, verbose) {
        (Some(true), _) => Verbosity::Quiet,
        (_, 0) => Verbosity::Normal,
        _ => Verbosity::Verbose,
    }
}
