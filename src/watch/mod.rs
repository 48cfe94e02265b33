//! Watching a run and steering it, during the run and afterwards.
//!
//! Everything here works with the run folder, so no daemon is needed. During a run, `status.json` and `timeline.json` in
//! the run folder are replaced once a second. The commands `status` and `report` read them.
//!
//! | file | content |
//! |---|---|
//! | `timeline.rs` | the history of a run in at most 300 points |
//! | `notices/` | notices to the user: when they are sent, what they say, and how they are sent |
//! | `log.rs`, `log/` | the file of `--log`, with every event of a run |
//! | `processes.rs` | ends a program that this program started |
//! | `histogram.rs` | counts of durations, for percentiles |

pub(crate) mod histogram;
pub(crate) mod log;
pub(crate) mod notices;
pub(crate) mod processes;
pub(crate) mod timeline;
