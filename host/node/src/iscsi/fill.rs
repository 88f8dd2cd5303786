//! The mover on a unit: the content of a template goes onto it, through QEMU's own iSCSI driver.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom, Write as _},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};
use velum_model::{
    fault::{Fault, code},
    port::{Secret, storage::Attachment},
};

use super::{Login, verify};
use crate::{disk::blocking, files, tool::Tools};

/// Writes an image of a store (qcow2, inspected and converted by us before) onto the unit of an attachment, after the unit
/// has said who it is. A filling that was cut off is repeated from the beginning; nothing uses the unit before it ended.
///
/// # Errors
/// Those of [`verify`]; `INVALID` when the unit is smaller than the image; `FAILED`.
pub async fn fill(
    tools: &Tools,
    image: PathBuf,
    login: Login<'_>,
    attachment: &Attachment,
) -> Result<(), Fault> {
    verify(login, attachment).await?;
    let bytes = attachment.size_bytes;
    let input = blocking(move || files::template(&image, bytes)).await?;
    let unit = login.unit;
    let mut target = format!(
        "driver=raw,file.driver=iscsi,file.transport=tcp,file.portal={},file.target={},file.lun={},file.initiator-name={}",
        unit.portal, unit.target, unit.lun, login.initiator
    );
    let mut arguments = vec!["convert".to_owned(), "-q".into(), "-n".into()];
    let mut secret = None;
    if let (Some(user), Some(value)) = (&unit.user, login.secret) {
        // Its standard input is where the secret is: neither an argument nor a file.
        arguments.extend(["--object".into(), "secret,id=chap,file=/proc/self/fd/0".into()]);
        target.push_str(&format!(",file.user={user},file.password-secret=chap"));
        secret = Some(in_memory(value)?);
    }
    // Without a cache mode of its own qemu-img leaves out the last flush.
    arguments.extend(["-t".into(), "writeback".into(), "--image-opts".into()]);
    arguments.push("--target-image-opts".into());
    // It opens the very file that was looked at.
    arguments.push(format!(
        "driver=qcow2,file.driver=file,file.filename=/proc/{}/fd/{}",
        std::process::id(),
        input.as_raw_fd()
    ));
    arguments.push(target);
    tools
        .qemu_img_online(&arguments, Path::new("/"), secret, files::COPYING)
        .await
        .map_err(|failed| failed.fault("filling the unit"))
}

/// A secret as a file that has no name and lies in memory alone.
fn in_memory(secret: &Secret) -> Result<File, Fault> {
    let failed = |error: std::io::Error| {
        Fault::unchanged(code::FAILED, format!("keeping the secret in memory: {error}"))
    };
    let descriptor =
        memfd_create(c"velum-secret", MemfdFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
    let mut file = File::from(descriptor);
    file.write_all(secret.bytes()).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(file)
}
