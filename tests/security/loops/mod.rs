//! A file for each class of attack. A loop asserts what must hold and returns what it saw.

#[cfg(unix)]
mod files;
#[cfg(unix)]
mod locks;
mod trust;

use super::page::Loop;

/// Every loop, in the order of the page.
pub const LOOPS: &[Loop] = &[
    ("trust", trust::page),
    #[cfg(unix)]
    ("locks", locks::page),
    #[cfg(unix)]
    ("files", files::page),
];
