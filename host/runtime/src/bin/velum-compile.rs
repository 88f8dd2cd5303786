//! The server's children as a program of their own, for tests and tools without `velumd`: compiles a component, or runs one.

use std::process::ExitCode;

use velum_runtime::{child_main, compile_child_main};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    child_main(&arguments).unwrap_or_else(|| compile_child_main(&arguments))
}
