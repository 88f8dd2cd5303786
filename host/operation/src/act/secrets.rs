//! Secrets on their way: from the server, which made and keeps them, to the node that is about to use one. No row, no
//! message to a plugin and no log has a value.

use velum_model::{
    id::VolumeId,
    port::{hypervisor::Disk, node::Node, storage::Attachment},
};

use super::rows::{Host, Pool};
use crate::step::{Cx, StepError};

/// Hands the secret of an attachment to a node, if it names one. Right before each use: the node keeps it for minutes, in
/// memory alone.
pub(crate) async fn hand_over(
    cx: &Cx<'_>,
    node: &dyn Node,
    pool: &Pool,
    attachment: &Attachment,
) -> Result<(), StepError> {
    let Some(name) = &attachment.secret else {
        return Ok(());
    };
    let row = &pool.row;
    let secret = cx
        .engine
        .parts
        .plugins
        .secret(&row.provider, row.id.uuid(), name)
        .await?;
    Ok(node.hold_secret(attachment, &secret).await?)
}

/// The same for the disks that a guest is about to open on its compute host.
pub(crate) async fn hand_over_of<'a>(
    cx: &Cx<'_>,
    host: &Host,
    disks: impl IntoIterator<Item = &'a Disk>,
) -> Result<(), StepError> {
    let Some(node) = cx.node(host.row.node.as_ref())? else {
        return Ok(());
    };
    for disk in disks {
        if disk.attachment.secret.is_some() {
            let volume = cx.volume(VolumeId::from_uuid(disk.volume)).await?;
            let pool = cx.pool(volume.pool).await?;
            hand_over(cx, node.as_ref(), &pool, &disk.attachment).await?;
        }
    }
    Ok(())
}
