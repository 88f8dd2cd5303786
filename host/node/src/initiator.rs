//! The name under which storage knows this machine.

use std::{io, path::Path};

use velum_model::iscsi::is_iqn;

use crate::{disk::write_durably, start::StartError};

/// Where distributions keep the name of the machine's initiator, for whoever uses one.
const SYSTEM: &str = "/etc/iscsi/initiatorname.iscsi";
/// What a name of our own begins with; `.internal` is nobody's domain (ICANN, 2024).
const PREFIX: &str = "iqn.2026-01.internal.velum:node.";

/// The machine's own name, else one that is made once and kept in `state`.
///
/// # Errors
/// [`StartError::Io`] when it cannot be read or kept.
pub(crate) fn name(state: &Path) -> Result<String, StartError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| StartError::Io { doing, path, source }
    };
    if let Some(name) = std::fs::read_to_string(SYSTEM)
        .ok()
        .and_then(|text| in_system_file(&text))
    {
        if is_iqn(&name) {
            return Ok(name);
        }
        tracing::warn!(
            name,
            "the initiator's name in {SYSTEM} is no IQN in lower case; one of our own is used"
        );
    }
    let path = state.join("initiator");
    match std::fs::read_to_string(&path) {
        Ok(text) if is_iqn(text.trim()) => return Ok(text.trim().to_owned()),
        Ok(_) => {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it holds no IQN: remove it");
            return Err(failed("reading", &path)(source));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("reading", &path)(error)),
    }
    let chance = Path::new("/proc/sys/kernel/random/uuid");
    let uuid = std::fs::read_to_string(chance).map_err(failed("reading", chance))?;
    let name = format!("{PREFIX}{}", uuid.trim());
    write_durably(&path, format!("{name}\n").as_bytes(), 0o644).map_err(failed("writing", &path))?;
    Ok(name)
}

fn in_system_file(text: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.trim().strip_prefix("InitiatorName="))
        .map(|name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_keeps_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = name(dir.path()).unwrap();
        assert!(is_iqn(&first), "{first}");
        assert_eq!(name(dir.path()).unwrap(), first);
    }

    #[test]
    fn the_systems_file_has_comments() {
        let text = "## do not edit\nInitiatorName=iqn.1993-08.org.debian:01:abc \n";
        assert_eq!(
            in_system_file(text).as_deref(),
            Some("iqn.1993-08.org.debian:01:abc")
        );
        assert_eq!(in_system_file("GenerateName=yes\n"), None);
    }
}
