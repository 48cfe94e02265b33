//! The `claude-batch` program: a thin shell around the library.

use std::process::ExitCode;

/// One thread allocates the memory of rows, and another thread frees it. With the C library's allocator, this cost a
/// tenth of the rate that a run can reach. Huge pages are turned off (`no_thp`), because with them the program needed
/// 18 MB more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    claude_batch::cli::run()
}
