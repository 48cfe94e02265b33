//! The command line: what was typed, what is meant, and how it ends.

pub mod args;
pub mod config;
pub mod exit;
