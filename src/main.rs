//! The binary: parse, dispatch, exit code.

use std::process::ExitCode;

/// What a pass does most is to make and drop small strings of JSON, on several threads: a quarter of its CPU went to
/// glibc's allocator (`benches/README.md`). Without huge pages (`no_thp`): it would ask for them, and keep a third more
/// memory for nothing.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plimsoll::cli::main()
}
