//! A file for each class of attack. A loop asserts what must hold and returns what it saw.

use super::page::Loop;

mod terminal;

/// Every loop, in the order of the page.
pub const LOOPS: &[Loop] = &[("terminal", terminal::page)];
