//! Volumes as this machine reaches them: whether a device is what its attachment says, and filling one from an image.

use std::path::{Path, PathBuf};

use velum_model::{
    fault::{Fault, code},
    port::{
        storage::{Attachment, registry},
        target::AttrValue,
    },
};

use crate::{
    disk::{Ends, io_fault, open_regular},
    image::inspect::Qcow2,
    roots::Roots,
};

fn path_of(attachment: &Attachment) -> Result<PathBuf, Fault> {
    attachment
        .params
        .iter()
        .find_map(|param| match &param.value {
            AttrValue::Text(path) if param.code == registry::PARAM_PATH => Some(PathBuf::from(path)),
            _ => None,
        })
        .ok_or_else(|| Fault::unchanged(code::INVALID, "the attachment names no path"))
}

/// The file of an attachment, when this node may use it.
///
/// # Errors
/// `UNSUPPORTED` for kinds that are no files, `DENIED` outside the allowed directories, `INVALID`.
pub fn file_of(attachment: &Attachment, roots: &Roots) -> Result<PathBuf, Fault> {
    if attachment.kind != registry::ATTACH_FILE {
        return Err(Fault::unchanged(
            code::UNSUPPORTED,
            format!(
                "this node reaches volumes as files (1) and units of iSCSI (4), not as kind {}",
                attachment.kind
            ),
        ));
    }
    let path = path_of(attachment)?;
    roots.check(&path)?;
    Ok(path)
}

/// Checks that the file is there and has the size and format that were ordered.
///
/// # Errors
/// `NOT_FOUND`; `EXISTS_DIFFERENT` names what differs. Nothing changed.
pub fn verify(attachment: &Attachment, roots: &Roots) -> Result<(), Fault> {
    let path = file_of(attachment, roots)?;
    let different =
        |what: String| Fault::unchanged(code::EXISTS_DIFFERENT, format!("{}: {what}", path.display()));
    let failed = |e: std::io::Error| Fault {
        unchanged: true,
        ..io_fault("opening the volume", &path, &e)
    };
    if attachment.identity.is_empty() {
        return Err(different("it has no identity".to_owned()));
    }
    let mut file = open_regular(&path, false).map_err(failed)?;
    let ends = Ends::read(&mut file).map_err(failed)?;
    let size = match attachment.format {
        registry::FORMAT_RAW => ends.sample().length,
        registry::FORMAT_QCOW2 => {
            let header = Qcow2::read(ends.sample()).map_err(|e| different(e.to_string()))?;
            header.virtual_bytes
        }
        other => return Err(different(format!("format {other} is not known"))),
    };
    if size != attachment.size_bytes {
        return Err(different(format!(
            "a guest would see {size} bytes, not {}",
            attachment.size_bytes
        )));
    }
    Ok(())
}

/// Checks that an image named by a store lies where images may.
///
/// # Errors
/// `DENIED`, `INVALID`.
pub fn image_path(reference: &str, roots: &Roots) -> Result<PathBuf, Fault> {
    let path = Path::new(reference);
    roots.check(path)?;
    Ok(path.to_owned())
}
