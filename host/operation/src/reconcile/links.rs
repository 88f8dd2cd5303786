//! Bridges that nodes made for networks that are gone: a network leaves the books at once, its bridge with the next look
//! at the compute host.

use velum_model::{
    chance::derived,
    fault::{Fault, code},
    id::*,
    infrastructure::ComputeHost,
    port::{
        Effect, Fence,
        node::{Node, Nodes},
    },
    tenancy::Scope,
};
use velum_store::{Store, StoreError};

/// How long a removal may take: one `ip` command, after the node's own bound for those before it.
const REMOVAL_MS: u32 = 20_000;

/// Removes the links that the compute host's node made for networks that no row has any more. What does not work now is
/// tried again with the next look.
pub(super) async fn remove_orphans(
    (store, nodes): (&Store, &dyn Nodes),
    host: &ComputeHost,
    (shard, epoch): (ShardId, u64),
) -> Result<(), StoreError> {
    let Some(node) = host.node.as_deref().and_then(|address| nodes.node(address).ok()) else {
        return Ok(());
    };
    // The links first: a link that is there had a row before it, so that a row that is missing then is one that went.
    let made = match node.made_links().await {
        Ok(made) => made,
        Err(fault) => {
            tracing::debug!(host = %host.name, %fault, "a node does not tell its links");
            return Ok(());
        }
    };
    for network in made {
        let is_there = store
            .read()
            .network(Scope::All, NetworkId::from_uuid(network))
            .await?
            .is_some();
        if is_there {
            continue;
        }
        match remove(node.as_ref(), network, (shard, epoch)).await {
            Ok(()) => {
                tracing::info!(host = %host.name, %network, "removed the link of a network that is gone")
            }
            // Something that is not ours is still plugged in.
            Err(fault) if fault.code == code::BUSY => {
                tracing::debug!(host = %host.name, %network, %fault, "a link stays");
            }
            Err(fault) => tracing::warn!(host = %host.name, %network, %fault, "could not remove a link"),
        }
    }
    Ok(())
}

async fn remove(node: &dyn Node, network: uuid::Uuid, (shard, epoch): (ShardId, u64)) -> Result<(), Fault> {
    let fence = Fence {
        shard: shard.uuid(),
        epoch,
        object: network,
        generation: 0,
    };
    let effect = Effect {
        id: derived(network, "link-remove"),
        attempt: 0,
        deadline_ms: REMOVAL_MS,
    };
    node.remove_link(&fence, &effect, network).await
}
