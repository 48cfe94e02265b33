//! Runs the loops of `tests/batches` (repeated tests with random faults), and makes the page `benches/BATCHES.md` from
//! their results.
//!
//! `cargo bench --bench batches` runs a part of each loop. With `-- full`, every loop runs in full, and its results are
//! written into the page. If names of loops follow `full`, as in `-- full kills`, only these loops run. For the loops
//! that do not run, the page keeps its old lines.

#![allow(dead_code, reason = "shared with tests that use all of it")]

#[path = "../../tests/batches/deadline.rs"]
mod deadline;
#[path = "../../tests/batches/judge.rs"]
mod judge;
#[path = "../../tests/batches/kills.rs"]
mod kills;
#[path = "../../tests/support/page.rs"]
mod page;
#[path = "../../tests/batches/program.rs"]
mod program;
#[path = "../../tests/batches/random.rs"]
mod random;
#[path = "../../tests/batches/seen.rs"]
mod seen;
#[path = "../../tests/support/mod.rs"]
mod support;
#[path = "../../tests/batches/world.rs"]
mod world;

use std::process::ExitCode;

use page::{Loop, Page};

const PAGE: Page = Page { file: "benches/BATCHES.md", beginning: BEGINNING, loops: LOOPS, ending: String::new };

const LOOPS: &[Loop] =
    &[("kills", kills::page), ("random", random::page), ("deadline", deadline::page), ("program", program::page)];

fn main() -> ExitCode {
    PAGE.make()
}

const BEGINNING: &str = "\
# The batch lane: what was tried and what was seen

`cargo bench --bench batches -- full` runs every loop in full and writes this page. If names of loops follow `full`,
only these loops are run, and only their lines are replaced. If a loop finds a violation, its lines say so. `cargo test`
runs a part of each loop.

The first three loops play whole runs on virtual time, with a disk in memory. The simulated API keeps its batches when a
run ends or dies. The last loop starts the real program and the simulator. Each loop compares the files of the runs with
the requests and the bills of the API. A run *reports* a row if it says that the row may be billed twice. A run reports
a row if it can't know whether a batch with this row exists, and so can't collect the answer. This happens, for example,
if the earlier run died before the creation of a batch.

";
