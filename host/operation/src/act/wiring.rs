//! What a node prepares for a run: links of networks, the seed. A compute host without a node gets both as attributes
//! of the spec; these steps do nothing there.

use std::collections::BTreeMap;

use velum_model::{
    id::*,
    infrastructure::{Network, Nic},
    instance::{Instance, Run},
    port::node::{LinkSpec, SeedNic, SeedSpec},
};

use super::rows::Host;
use crate::step::{Cx, StepError};

/// Makes sure that the link of every network is there; answers what each NIC is plugged into.
pub(crate) async fn ensure_links(
    cx: &Cx<'_>,
    host: &Host,
    run: &Run,
    nics: &[(Nic, Network)],
) -> Result<BTreeMap<NicId, String>, StepError> {
    let node = cx.node(host.row.node.as_ref())?;
    let mut links = BTreeMap::new();
    for (nic, network) in nics {
        let name = match &node {
            Some(node) => {
                let spec = LinkSpec {
                    network: network.id.uuid(),
                    link: network.link.clone(),
                    gateway: Some(format!("{}/{}", network.gateway, network.cidr.prefix_len())),
                };
                let fence = cx.fence(run.instance.uuid(), run.generation);
                node.ensure_link(
                    &fence,
                    &cx.effect(&format!("link/{}/{}", run.id, network.id)),
                    &spec,
                )
                .await?
            }
            None => network.link.name.clone(),
        };
        links.insert(nic.id, name);
    }
    Ok(links)
}

/// The address of a NIC with the prefix of its network.
pub(crate) fn address(nic: &Nic, network: &Network) -> String {
    format!("{}/{}", nic.address, network.cidr.prefix_len())
}

/// Writes the seed; answers its path, none where there is no node.
pub(crate) async fn write_seed(
    cx: &Cx<'_>,
    host: &Host,
    run: &Run,
    instance: &Instance,
    nics: &[(Nic, Network)],
) -> Result<Option<String>, StepError> {
    let Some(node) = cx.node(host.row.node.as_ref())? else {
        return Ok(None);
    };
    let nics = nics
        .iter()
        .enumerate()
        .map(|(at, (nic, network))| SeedNic {
            mac: nic.mac.to_string(),
            address: address(nic, network),
            gateway: (at == 0).then(|| network.gateway.to_string()),
            dns: network.dns.iter().map(ToString::to_string).collect(),
        })
        .collect();
    let seed = SeedSpec {
        instance: instance.id.uuid(),
        hostname: host_name(instance),
        nics,
        user_data: instance.user_data.clone(),
    };
    let fence = cx.fence(instance.id.uuid(), run.generation);
    let path = node
        .write_seed(&fence, &cx.effect(&format!("seed/{}", run.id)), run.id, &seed)
        .await?;
    Ok(Some(path))
}

/// Removes the seed of a run.
pub(crate) async fn remove_seed(cx: &Cx<'_>, host: &Host, run: &Run) -> Result<(), StepError> {
    if let Some(node) = cx.node(host.row.node.as_ref())? {
        let fence = cx.fence(run.instance.uuid(), run.generation);
        node.remove_seed(&fence, &cx.effect(&format!("unseed/{}", run.id)), run.id)
            .await?;
    }
    Ok(())
}

/// A host name is the instance's name in lower case, without what DNS labels cannot have.
pub(crate) fn host_name(instance: &Instance) -> String {
    instance
        .name
        .as_str()
        .to_ascii_lowercase()
        .replace(['_', '.'], "-")
        .trim_end_matches('-')
        .to_owned()
}
