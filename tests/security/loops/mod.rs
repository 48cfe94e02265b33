//! A file for each class of attack. A loop asserts what must hold and returns what it saw.

mod bounds;
mod memory;
mod trust;

use super::page::Loop;

/// Every loop, in the order of the page.
pub const LOOPS: &[Loop] = &[("trust", trust::page), ("bounds", bounds::page), ("memory", memory::page)];
