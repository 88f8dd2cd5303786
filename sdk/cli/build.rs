//! What `velum plugin new` copies is inside the binary: a file more or less there is a new build.

fn main() {
    for folder in [
        "../guest",
        "../python",
        "../js",
        "../skeletons",
        "../../wit",
        "../../Cargo.toml",
    ] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
