//! The program `claude-batch`, which only calls the library.

use std::process::ExitCode;

/// The memory allocator of the program. One thread allocates the memory of rows, and another thread frees it. With the
/// C library's allocator, the highest rate of a run was a tenth lower than with mimalloc. Huge pages are turned off
/// (`no_thp`), because with them the program needed 18 MB more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    claude_batch::cli::run()
}
