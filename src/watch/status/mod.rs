//! The state of a run, as the file `status.json` in the run folder.
//!
//! A [`Recorder`] is one of the views of a run. Once a second, the recorder passes the state of the run and the events
//! of the last second to a thread of its own. This thread replaces `status.json` and `timeline.json`. The main loop of
//! the run never waits for this thread. If the thread is still busy with the disk, the recorder keeps the events and
//! passes them with the events of the next second.
//!
//! The files are not synced while the run is in progress. A crash of the process can't damage the files, because each
//! file is replaced as a whole. A power failure can damage the files, but it also ends the run, and the results do not
//! depend on these files. A sync of these files every second would slow down the syncs of the results. When the run
//! ends, both files are synced.
//!
//! | file | content |
//! |---|---|
//! | `document.rs` | the content of `status.json` |
//! | `input.rs` | what the file keeps about the whole input, for later runs on a part of the rows |
//! | `read.rs` | reads `status.json` |
//! | `recorder.rs` | the view that passes the state of the run to the thread |
//! | `writer.rs` | the thread that writes the files |

mod document;
mod input;
mod read;
mod recorder;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use document::{About, Part, VERSION};
pub(crate) use input::{InputRows, RowRange, ShownError};
pub(crate) use read::{Shown, ShownEta, ShownMoney, ShownPool, ShownProgress, ShownProvider, ShownUse, read_status};
pub(crate) use recorder::Recorder;
