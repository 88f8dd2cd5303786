//! `velum-componentize MODULE.wasm COMPONENT.wasm`

use std::{env, ffi::OsString, fs, io::Write as _, path::Path, process::ExitCode};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let answer = match arguments.as_slice() {
        [module, component] => convert(Path::new(module), Path::new(component)),
        _ => Err("usage: velum-componentize MODULE.wasm COMPONENT.wasm".to_owned()),
    };
    match answer {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(std::io::stderr(), "velum-componentize: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Writes beside the target first, so that whoever reads it sees the old or the new component and never half of one.
fn convert(module: &Path, component: &Path) -> Result<(), String> {
    let bytes = fs::read(module).map_err(|error| format!("read {}: {error}", module.display()))?;
    let made =
        velum_componentize::componentize(&bytes).map_err(|error| format!("{}: {error}", module.display()))?;
    let beside = component.with_extension("part");
    fs::write(&beside, made).map_err(|error| format!("write {}: {error}", beside.display()))?;
    fs::rename(&beside, component).map_err(|error| format!("write {}: {error}", component.display()))
}
