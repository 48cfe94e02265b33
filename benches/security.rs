//! The loops of `tests/security` at length, and the page `benches/SECURITY.md` that they make.
//!
//! `cargo bench --bench security` runs a share of each; `-- full` runs all of each and writes what was seen into the
//! page. Names of loops may follow (`-- full key files`): the lines of the others then stay as they are.

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

Made by `cargo bench --bench security -- full`, which runs every loop in full and writes this page; with names of loops
behind `full` only those are run and only their lines are written. A loop that finds a violation says so here, in the
place of its lines. `cargo test` runs a share of each. Tries as a second user need root; without it the line says so.

";
