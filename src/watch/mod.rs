//! Watching a run and steering it, during the run and afterwards.
//!
//! Everything here works with the run folder, so no daemon is needed. During a run, `status.json` and `timeline.json` in
//! the run folder are replaced once a second. The commands `status` and `report` read them.
//!
//! | file | content |
//! |---|---|
//! | `timeline.rs` | the history of a run in at most 300 points |
//! | `histogram.rs` | counts of durations, for percentiles |
//! | `ctl/` | the requests of the command `ctl`, and how a run answers them |
//! | `schedule.rs` | the windows of `--schedule` |

pub(crate) mod ctl;
pub(crate) mod histogram;
pub(crate) mod schedule;
pub(crate) mod timeline;
