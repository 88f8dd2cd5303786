//! JavaScript: componentize-qjs, which puts QuickJS and the author's modules into a component.

use std::path::Path;

use anyhow::Context as _;
use tokio::process::Command;

use super::{
    run::quietly,
    toolchain::{Step, Tool},
};
use crate::{failure::Failure, plugin::folder::Folder};

const MISSING: &str = "there is no Node.js 18 or newer with npm; on Debian: apt install nodejs npm";
/// 0.4.5 makes components that import nothing and that the server's engine (wasmtime 48) takes.
const TOOL: Tool = Tool {
    name: "componentize-qjs",
    version: "0.4.5",
    size: "40 MB",
    install,
    proof: "node_modules/componentize-qjs/cli.mjs",
};

fn install(folder: &Path, tool: &Tool) -> Vec<Step> {
    let mut npm = Command::new("npm");
    // No script of a package runs while it is installed.
    npm.args([
        "install",
        "--silent",
        "--no-save",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ])
    .arg(folder)
    .arg(format!("{}@{}", tool.name, tool.version));
    vec![Step {
        command: npm,
        missing: MISSING,
    }]
}

/// Makes the component.
pub async fn component(folder: &Folder) -> Result<Vec<u8>, Failure> {
    let tool = TOOL.ready().await?;
    let name = folder.dir.join("velum/plugin-name.js");
    std::fs::write(&name, format!("export const NAME = \"{}\";\n", folder.about.name))
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
    let mut command = Command::new("node");
    command
        .arg(tool.join("node_modules/componentize-qjs/bin/componentize-qjs"))
        // Neither WASI, which the server refuses, nor the asynchronous ABI, which its engine for policies has not.
        .args(["--stub-wasi", "--sync", "--world", "component", "--wit"])
        .arg(dir.join("velum/wit"))
        .arg("--js")
        .arg(dir.join("velum/component.js"))
        .arg("--module-root")
        .arg(&dir)
        .arg("--output")
        .arg(&made)
        .current_dir(&dir);
    quietly(command, "make a component of policy.js", MISSING).await?;
    Ok(std::fs::read(&made).context("could not read what componentize-qjs made")?)
}
