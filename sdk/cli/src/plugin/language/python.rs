//! Python: componentize-py, which puts CPython and the author's modules into a component.

use std::path::Path;

use anyhow::Context as _;
use tokio::process::Command;

use super::{
    run::quietly,
    toolchain::{Step, Tool},
};
use crate::{failure::Failure, plugin::folder::Folder};

const PYTHON: &str = "python3";
const MISSING: &str =
    "there is no Python 3.10 or newer with venv and pip; on Debian: apt install python3-venv";
/// 0.25.1 makes components that import nothing and that the server's engine (wasmtime 48) takes.
const TOOL: Tool = Tool {
    name: "componentize-py",
    version: "0.25.1",
    size: "70 MB",
    install,
    proof: "bin/componentize-py",
};

fn install(folder: &Path, tool: &Tool) -> Vec<Step> {
    let step = |command| Step {
        command,
        missing: MISSING,
    };
    let mut venv = Command::new(PYTHON);
    venv.args(["-m", "venv"]).arg(folder);
    let mut pip = Command::new(folder.join("bin/python"));
    // A wheel or nothing: no code of a package runs while it is installed.
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
    ])
    .args(["--no-deps", "--only-binary", ":all:"])
    .arg(format!("{}=={}", tool.name, tool.version));
    vec![step(venv), step(pip)]
}

/// Makes the component.
pub async fn component(folder: &Folder) -> Result<Vec<u8>, Failure> {
    let tool = TOOL.ready().await?;
    let name = folder.dir.join("velum/plugin_name.py");
    std::fs::write(&name, format!("NAME = \"{}\"\n", folder.about.name))
        .with_context(|| format!("could not write {} (is the folder velum/ there?)", name.display()))?;
    let out = tempfile::Builder::new()
        .prefix("velum-build")
        .tempdir()
        .context("could not make a temporary folder")?;
    let made = out.path().join("component.wasm");
    let dir = folder
        .dir
        .canonicalize()
        .with_context(|| format!("could not resolve {}", folder.dir.display()))?;
    // The scripts of a moved environment name its first place; the interpreter and its modules do not.
    let mut command = Command::new(tool.join("bin/python"));
    command
        .args([
            "-c",
            "import sys, componentize_py; sys.exit(componentize_py.script())",
        ])
        .args(["--quiet", "--world", "component", "--wit-path"])
        .arg(dir.join("velum/wit"))
        .args(["componentize", "velum.component", "--stub-wasi", "--python-path"])
        .arg(&dir)
        .arg("--output")
        .arg(&made)
        .current_dir(&dir)
        // What is installed for the author's other work does not get into the component.
        .env_remove("PYTHONPATH")
        .env("VIRTUAL_ENV", &tool);
    quietly(command, "make a component of policy.py", MISSING).await?;
    Ok(std::fs::read(&made).context("could not read what componentize-py made")?)
}
