//! `velum-bench NAME OPTION…`: the benches as one program, for each is linked with most of what a server is made of.
//! `bash tests/bench/run.sh` builds what they need and starts it.

mod bench {
    pub mod accept;
    pub mod ceiling;
    pub mod ceiling_pg;
    pub mod growth;
    pub mod lists;
    pub mod packing;
    pub mod plots;
    pub mod plugins;
    pub mod policy;
    pub mod restart;
    pub mod single;
    pub mod sustained;
    pub mod vs_openstack;
}

use std::process::ExitCode;

fn main() -> anyhow::Result<ExitCode> {
    match std::env::args().nth(1).as_deref() {
        Some("accept") => bench::accept::main(),
        Some("ceiling") => bench::ceiling::main(),
        Some("ceiling-pg") => bench::ceiling_pg::main(),
        Some("growth") => bench::growth::main(),
        Some("lists") => bench::lists::main(),
        Some("packing") => bench::packing::main(),
        Some("plots") => bench::plots::main(),
        Some("plugins") => bench::plugins::main(),
        Some("policy") => bench::policy::main(),
        Some("restart") => bench::restart::main(),
        Some("single") => bench::single::main(),
        Some("sustained") => bench::sustained::main(),
        Some("vs-openstack") => bench::vs_openstack::main(),
        other => anyhow::bail!(
            "there is no bench {:?}: `bash tests/bench/run.sh` lists them",
            other.unwrap_or_default()
        ),
    }
}
