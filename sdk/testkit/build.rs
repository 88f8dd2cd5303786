//! The cases are inside the library: a file more or less there is a new build.

fn main() {
    println!("cargo::rerun-if-changed=../../tests/conformance");
}
