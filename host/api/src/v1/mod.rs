//! Version 1: a folder a resource, a file a verb. A handler takes, makes one call, answers.

mod affinity_groups;
mod clusters;
mod compute_hosts;
mod compute_offerings;
mod decisions;
mod disk_offerings;
mod events;
mod image_stores;
mod instances;
mod ip_addresses;
mod ip_ranges;
mod network_offerings;
mod networks;
mod nics;
mod node_tokens;
mod nodes;
mod operations;
mod orphans;
mod plugins;
mod pods;
mod policies;
mod publishers;
mod storage_pools;
mod templates;
mod volumes;
mod zones;

use utoipa_axum::router::OpenApiRouter;

use crate::state::ApiState;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .merge(zones::routes())
        .merge(pods::routes())
        .merge(clusters::routes())
        .merge(compute_hosts::routes())
        .merge(storage_pools::routes())
        .merge(image_stores::routes())
        .merge(ip_ranges::routes())
        .merge(ip_addresses::routes())
        .merge(networks::routes())
        .merge(nics::routes())
        .merge(node_tokens::routes())
        .merge(nodes::routes())
        .merge(compute_offerings::routes())
        .merge(disk_offerings::routes())
        .merge(network_offerings::routes())
        .merge(templates::routes())
        .merge(affinity_groups::routes())
        .merge(instances::routes())
        .merge(volumes::routes())
        .merge(operations::routes())
        .merge(orphans::routes())
        .merge(events::routes())
        .merge(decisions::routes())
        .merge(plugins::routes())
        .merge(policies::routes())
        .merge(publishers::routes())
}
