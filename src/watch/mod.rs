//! Shows a run while it is in progress and after its end. A run in progress can also be steered.
//!
//! All of this works through files in the run folder, so no background process is needed. During a run, `status.json`
//! and `timeline.json` in the run folder are replaced once a second. The commands `status` and `report` read these
//! files.
//!
//! | file | content |
//! |---|---|
//! | `timeline.rs` | the history of a run in at most 300 points |
//! | `notices/` | notices to the user: when they are sent, what they say, and how they are sent |
//! | `log.rs`, `log/` | the file of `--log`, with every event of a run |
//! | `processes.rs` | ends a program that this program started |
//! | `collect.rs` | counts what happened in a second, for the timeline |
//! | `history.rs`, `merge.rs` | add to the timeline, and merge its older points |
//! | `files.rs` | reads the files in the run folder |
//! | `status/` | writes `status.json` and `timeline.json` once a second, in a thread of its own |
//! | `ctl/` | the requests of the command `ctl`, and how a run answers them |
//! | `schedule.rs` | the windows of `--schedule` |
//! | `facts.rs` | the facts that the report of a run shows |
//! | `gather/` | reads the facts of a run from its files |
//! | `page/` | makes the report, one HTML page, from the facts |

mod collect;
pub(crate) mod ctl;
pub(crate) mod facts;
pub(crate) mod files;
pub(crate) mod gather;
mod history;
pub(crate) mod log;
mod merge;
pub(crate) mod notices;
pub(crate) mod page;
pub(crate) mod processes;
pub(crate) mod schedule;
pub(crate) mod status;
pub(crate) mod timeline;
