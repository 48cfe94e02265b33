//! Loops (tests that repeat an attack many times), with one file for each class of attack. A loop asserts what must be
//! true, and returns the results as lines for a page.

mod bounds;
mod config;
#[cfg(unix)]
mod files;
mod key;
#[cfg(unix)]
mod locks;
mod memory;
mod plain_http;
mod simulate;
mod supply;
mod terminal;
mod trust;

use super::page::Loop;

/// All loops, in the order of the page.
pub const LOOPS: &[Loop] = &[
    ("trust", trust::page),
    #[cfg(unix)]
    ("locks", locks::page),
    #[cfg(unix)]
    ("files", files::page),
    ("key", key::page),
    ("terminal", terminal::page),
    ("config", config::page),
    ("plain-http", plain_http::page),
    ("bounds", bounds::page),
    ("memory", memory::page),
    ("simulate", simulate::page),
    ("supply", supply::page),
];
