//! The compiling child as a program of its own, for tests and tools without `velumd`.

use std::process::ExitCode;

use velum_runtime::{COMPILE_ARGUMENT, compile_child_main};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let behind = match arguments.split_first() {
        Some((first, rest)) if first == COMPILE_ARGUMENT => rest,
        _ => &arguments,
    };
    compile_child_main(behind)
}
