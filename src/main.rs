//! The `claude-batch` program: a thin shell around the library.

use std::process::ExitCode;

/// Rows are made by one thread and thrown away by another: with the C library's allocator that took a tenth of the rate
/// that a run can reach. Huge pages are left out (`no_thp`): with them the program held 18 MB more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    claude_batch::cli::run()
}
