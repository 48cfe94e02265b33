//! The `claude-batch` program: a thin shell around the library.

fn main() {}
