//! Runs the loops of `tests/batches` (repeated tests with random faults), and makes the page `benches/BATCHES.md` from
//! their results.
//!
//! `cargo bench --bench batches` runs a part of each loop. With `-- full`, every loop runs in full, and its results are
//! written into the page. If names of loops follow (`-- full kills`), only the named loops run. The page keeps its
//! lines for the other loops.

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

Made by `cargo bench --bench batches -- full`, which runs every loop in full and writes this page. With names of loops
after `full`, only those loops are run and only their lines are replaced. If a loop finds a violation, its lines say
so. `cargo test` runs a part of each loop.

The first three loops play whole runs on virtual time against the simulated API, which outlives the runs, on a disk in
memory. The last loop starts the real program and the simulator. Everything is judged by the books of the API and by the
files. A row is *told* if the run says that it may be billed twice. This is the case if nobody knows whether a
batch with the row exists, so that its answer can't be collected: for example, after a death before the creation of a
batch.

";
