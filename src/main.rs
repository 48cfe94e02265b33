//! The `claude-batch` program: a thin shell around the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    claude_batch::cli::run()
}
