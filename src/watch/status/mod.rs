//! The state of a run, as the file `status.json` in the run folder.
//!
//! A [`Recorder`] is one of the views of a run. Once a second, it passes the state and the last piece of the timeline to
//! a thread of its own, which replaces `status.json` and `timeline.json`. The loop never waits for this thread: if the
//! thread is still busy with the disk, the next second is added to the piece that waits.
//!
//! The files are not synced while the run is in progress. A crash of the process can't damage them, because they are
//! replaced as a whole. A loss of power can damage them, but it also ends the run, and the results do not depend on
//! these files. A sync per second would slow down the syncs of the results. When the run ends, both files are synced.
//!
//! | file | content |
//! |---|---|
//! | `document.rs` | the content of `status.json` |
//! | `read.rs` | reads the file |
//! | `recorder.rs` | the view |
//! | `writer.rs` | the thread |

mod document;
mod read;
mod recorder;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use document::{About, VERSION};
pub(crate) use read::{Shown, ShownEta, ShownMoney, ShownPool, ShownProgress, ShownProvider, ShownUse, read_status};
pub(crate) use recorder::Recorder;
