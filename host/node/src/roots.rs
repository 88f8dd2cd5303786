//! The directories that this node may touch on the server's behalf.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use rustix::fs::{Access, AtFlags, CWD, accessat};
use velum_model::fault::{Fault, code};

/// Prefixes below which pools, image stores and block devices may be.
#[derive(Clone, Debug)]
pub struct Roots {
    allowed: Vec<PathBuf>,
}

impl Roots {
    /// Only what lies below these.
    #[must_use]
    pub fn new(allowed: Vec<PathBuf>) -> Self {
        Self { allowed }
    }

    /// Whether a path lies below an allowed one: as written and, where it exists, as it really is.
    ///
    /// # Errors
    /// `DENIED` names the prefixes; `INVALID` for a path that is not absolute and plain.
    pub fn check(&self, path: &Path) -> Result<(), Fault> {
        let plain = path.is_absolute()
            && path
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if !plain {
            return Err(Fault::unchanged(
                code::INVALID,
                format!("{} is no absolute path without dot segments", path.display()),
            ));
        }
        let inside = |path: &Path| self.allowed.iter().any(|root| path.starts_with(root));
        // A symbolic link out of the allowed tree counts as where it leads.
        let really = match path.canonicalize() {
            Ok(real) => self.canonical().any(|root| real.starts_with(root)),
            Err(_) => true,
        };
        if inside(path) && really {
            return Ok(());
        }
        let allowed: Vec<String> = self
            .allowed
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        Err(Fault::unchanged(
            code::DENIED,
            format!(
                "{} is outside the directories that this node may use ({}): choose one below them, or start velum-node \
                 with --directory-allow",
                path.display(),
                allowed.join(", ")
            ),
        ))
    }

    fn canonical(&self) -> impl Iterator<Item = PathBuf> {
        self.allowed
            .iter()
            .map(|root| root.canonicalize().unwrap_or_else(|_| root.clone()))
    }

    /// Whether a directory is allowed, there, and can be written.
    ///
    /// # Errors
    /// `NOT_FOUND` and `INVALID` say what to do; see also [`Roots::check`].
    pub fn writable_directory(&self, path: &Path) -> Result<(), Fault> {
        self.check(path)?;
        let place = path.display();
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => {
                return Err(Fault::unchanged(
                    code::INVALID,
                    format!("{place} is no directory"),
                ));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Fault::unchanged(
                    code::NOT_FOUND,
                    format!(
                        "the directory {place} does not exist on this machine: make it (mkdir -p {place})"
                    ),
                ));
            }
            Err(e) => return Err(Fault::unchanged(code::INVALID, format!("{place}: {e}"))),
        }
        accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
            .or_else(|error| match error {
                // Kernels and seccomp profiles without faccessat2.
                rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL => {
                    accessat(CWD, path, Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
                }
                other => Err(other),
            })
            .map_err(|error| {
                Fault::unchanged(
                    code::INVALID,
                    format!("the directory {place} cannot be written ({error}): mount it read-write, or change its owner"),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_below_an_allowed_directory_may_be_used() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("pool");
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        let roots = Roots::new(vec![root.clone()]);
        assert_eq!(roots.check(&root.join("a")), Ok(()));
        assert_eq!(roots.writable_directory(&root), Ok(()));
        for (path, expected) in [
            (PathBuf::from("/etc/passwd"), code::DENIED),
            (dir.path().join("pool2"), code::DENIED),
            (root.join("out/passwd"), code::DENIED),
            (root.join("../x"), code::INVALID),
            (PathBuf::from("pool"), code::INVALID),
        ] {
            assert_eq!(
                roots.check(&path).unwrap_err().code,
                expected,
                "{}",
                path.display()
            );
        }
        let missing = roots.writable_directory(&root.join("missing")).unwrap_err();
        assert_eq!((missing.code, missing.unchanged), (code::NOT_FOUND, true));
        std::fs::write(root.join("file"), "").unwrap();
        let file = roots.writable_directory(&root.join("file")).unwrap_err();
        assert_eq!(file.code, code::INVALID);
    }
}
