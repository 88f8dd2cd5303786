//! The state file: what the far side is, kept from one process to the next.

use std::{fs, io, path::Path};

use crate::world::World;

/// Reads a world; none when there is no file.
///
/// # Errors
/// What the file system or the file's content refuses.
pub fn read(path: &Path) -> io::Result<Option<World>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Keeps a world: work in progress is finished first, uploads in progress are forgotten.
///
/// # Errors
/// What the file system refuses.
pub fn write(path: &Path, world: &mut World) -> io::Result<()> {
    for job in world.work.take_where(usize::MAX, |_| true) {
        world.finish(job);
    }
    world.forget_unfinished_images();
    let fresh = path.with_extension("new");
    fs::write(&fresh, serde_json::to_vec(world)?)?;
    fs::rename(&fresh, path)
}
