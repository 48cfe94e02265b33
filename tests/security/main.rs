//! The promises about security: a bounded share of each loop, mostly with the real program.
//!
//! `cargo bench --bench security -- full` runs the loops in full and writes the page `benches/SECURITY.md`. Each class
//! of attack is a file of `loops/`: its tables, its generators, and its lines of the page.
#![cfg(feature = "sim")]

#[path = "../support/hostile.rs"]
mod hostile;
mod loops;
#[path = "../support/page.rs"]
mod page;
#[path = "../sessions/support.rs"]
#[allow(dead_code, reason = "shared with tests that use all of it")]
mod support;

use page::Size;

#[test]
fn every_loop_holds_in_its_share() {
    for (name, page) in loops::LOOPS {
        assert!(!page(Size::Share).is_empty(), "{name}");
    }
}
