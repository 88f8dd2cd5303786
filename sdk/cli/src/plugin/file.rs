//! Reading and writing bundles and their parts, bounded.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};
use velum_bundle::{Bundle, Limits};

use crate::failure::Failure;

/// Reads a file of at most so many bytes.
pub fn read(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let reading = || format!("could not read {}", path.display());
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(most.saturating_add(1)).read_to_end(&mut bytes))
        .with_context(reading)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
        return Err(Failure::Local(anyhow!(
            "{} has more than {most} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The manifest that lies beside a component: plugin.toml in a plugin's folder, NAME.toml where NAME.wasm is one of many.
pub fn manifest_beside(component: &Path) -> Option<PathBuf> {
    [
        component.with_file_name("plugin.toml"),
        component.with_extension("toml"),
    ]
    .into_iter()
    .find(|path| path.is_file())
}

/// Reads a `NAME-VERSION.velum`.
pub fn bundle(path: &Path) -> Result<Bundle, Failure> {
    let limits = Limits::default();
    let archive = read(path, limits.archive())?;
    Ok(Bundle::from_tar(&archive, &limits).with_context(|| format!("{} is no bundle", path.display()))?)
}

/// Writes a file whole or not at all, over what had its name.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let writing = || format!("could not write {}", path.display());
    let mut fresh = tempfile::NamedTempFile::new_in(folder_of(path)).with_context(writing)?;
    fresh.write_all(bytes).with_context(writing)?;
    // A temporary file is its owner's alone; what is published is read by others.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fresh.as_file().set_permissions(readable).with_context(writing)?;
    fresh.persist(path).with_context(writing)?;
    Ok(())
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
