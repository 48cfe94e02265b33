//! Runs the loops of `tests/security` (repeated tests of attacks and leaks), and makes the page `benches/SECURITY.md`
//! from their results.
//!
//! `cargo bench --bench security` runs a part of each loop. With `-- full`, every loop runs in full, and its results
//! are written into the page. If names of loops follow the word `full` (`-- full key files`), only the named loops run.
//! For the other loops, the lines in the page stay unchanged.

#[path = "../tests/support/hostile.rs"]
mod hostile;
#[path = "../tests/security/loops/mod.rs"]
mod loops;
#[path = "../tests/support/page.rs"]
mod page;
#[path = "../tests/sessions/support.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod support;

use std::process::ExitCode;

use page::Page;

const PAGE: Page = Page { file: "benches/SECURITY.md", beginning: BEGINNING, loops: loops::LOOPS, ending: String::new };

fn main() -> ExitCode {
    PAGE.make()
}

const BEGINNING: &str = "\
# Security: what was tried and what was seen

`cargo bench --bench security -- full` runs every loop in full and writes this page. If names of loops follow `full`,
only these loops are run, and only their lines are replaced. If a loop finds a violation, its lines say so. `cargo test`
runs a part of each loop. Tests with a second user need root. If the tests run without root, the lines of these tests
say that they were not run.

";
