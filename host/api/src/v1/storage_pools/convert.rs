//! Bodies about storage pools, checked.

use velum_model::{Id, infrastructure::PoolScope};
use velum_service::{ChangeStoragePool, NewStoragePool};
use velum_wire::{CreateStoragePoolBody, UpdateStoragePoolBody};

pub use crate::v1::compute_hosts::convert::intent;
use crate::{error::Answered, take::Fields, v1::compute_hosts::convert::is_enabled};

/// A pool to be registered.
pub fn new(body: CreateStoragePoolBody) -> Answered<NewStoragePool> {
    let mut fields = Fields::new();
    let scope = match (body.cluster_id, body.compute_host_id) {
        (None, None) => PoolScope::Zone,
        (Some(id), None) => PoolScope::Cluster(Id::from_uuid(id)),
        (None, Some(id)) => PoolScope::ComputeHost(Id::from_uuid(id)),
        (Some(_), Some(_)) => {
            fields.refuse("/compute_host_id", "name a cluster or a compute host, not both");
            PoolScope::Zone
        }
    };
    let name = fields.name("/name", body.name);
    let provider = fields.name("/provider", body.provider);
    let config = fields.config("/config", body.config);
    let node = fields.text_if("/node", body.node);
    let endpoint = fields.text_if("/endpoint", body.endpoint);
    let credential = fields.text_if("/credential", body.credential);
    let capacity = fields.quantity_if("/capacity_bytes", body.capacity_bytes);
    let tags = fields.names("/tags", body.tags);
    let attributes = fields.attributes("/attributes", body.attributes);
    let new = match (name.zip(provider), config, tags, attributes) {
        (Some((name, provider)), Some(config), Some(tags), Some(attributes)) => Some(NewStoragePool {
            zone: Id::from_uuid(body.zone_id),
            scope,
            name,
            provider,
            config,
            node,
            endpoint,
            credential,
            capacity,
            tags,
            attributes,
        }),
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateStoragePoolBody) -> Answered<ChangeStoragePool> {
    let mut fields = Fields::new();
    let change = ChangeStoragePool {
        name: fields.name_if("/name", body.name),
        capacity: fields.quantity_if("/capacity_bytes", body.capacity_bytes),
        enabled: body.intent.map(is_enabled),
        tags: fields.names_if("/tags", body.tags),
        attributes: fields.attributes_if("/attributes", body.attributes),
    };
    fields.answer(Some(change))
}
