//! A file for each class of attack. A loop asserts what must hold and returns what it saw.

mod config;
mod plain_http;
mod terminal;
mod trust;

use super::page::Loop;

/// Every loop, in the order of the page.
pub const LOOPS: &[Loop] =
    &[("trust", trust::page), ("terminal", terminal::page), ("config", config::page), ("plain-http", plain_http::page)];
