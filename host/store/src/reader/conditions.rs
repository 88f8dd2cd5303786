//! What each filter asks of its table. `?` stands for the value.

use serde::Serialize;
use velum_model::{Timestamp, name::Name, operation::OperationState};

use crate::{
    db::{Value, word},
    encode::{first_id_of, records::state_of},
    filter::*,
};

/// A filter as conditions that all must hold.
pub(crate) trait Conditions {
    /// The conditions with their values.
    fn conditions(&self) -> Vec<(&'static str, Value)>;
}

fn name(name: &Name) -> Value {
    Value::from(name.as_str())
}

fn named<T: Serialize>(value: &T) -> Value {
    Value::from(word(value))
}

macro_rules! conditions {
    ($($filter:ident { $($field:ident: $condition:literal by $value:expr;)* })*) => {$(
        impl Conditions for $filter {
            fn conditions(&self) -> Vec<(&'static str, Value)> {
                let mut conditions = Vec::new();
                $(
                    if let Some(value) = &self.$field {
                        let encode: fn(&_) -> Value = $value;
                        conditions.push(($condition, encode(value)));
                    }
                )*
                conditions
            }
        }
    )*};
}

conditions! {
    ZoneFilter {
        name: "zone.name = ?" by name;
        shard: "zone.shard = ?" by |id| Value::from(*id);
    }
    PodFilter {
        name: "pod.name = ?" by name;
        zone: "pod.zone = ?" by |id| Value::from(*id);
    }
    ClusterFilter {
        name: "cluster.name = ?" by name;
        zone: "cluster.zone = ?" by |id| Value::from(*id);
        pod: "cluster.pod = ?" by |id| Value::from(*id);
    }
    ComputeHostFilter {
        name: "compute_host.name = ?" by name;
        zone: "compute_host.zone = ?" by |id| Value::from(*id);
        pod: "compute_host.pod = ?" by |id| Value::from(*id);
        cluster: "compute_host.cluster = ?" by |id| Value::from(*id);
        intent: "compute_host.intent = ?" by named;
        observed: "COALESCE(seen.state, 'unknown') = ?" by named;
    }
    StoragePoolFilter {
        name: "storage_pool.name = ?" by name;
        zone: "storage_pool.zone = ?" by |id| Value::from(*id);
        cluster: "storage_pool.scope_cluster = ?" by |id| Value::from(*id);
        compute_host: "storage_pool.scope_host = ?" by |id| Value::from(*id);
        intent: "storage_pool.intent = ?" by named;
    }
    ImageStoreFilter {
        name: "image_store.name = ?" by name;
        zone: "image_store.zone = ?" by |id| Value::from(*id);
    }
    IpRangeFilter {
        zone: "ip_range.zone = ?" by |id| Value::from(*id);
        network: "ip_range.network = ?" by |id| Value::from(*id);
        pod: "ip_range.pod = ?" by |id| Value::from(*id);
    }
    IpAddressFilter {
        range: "ip_address.ip_range = ?" by |id| Value::from(*id);
        project: "ip_address.project = ?" by |id| Value::from(*id);
        address: "ip_address.ip_range IN (SELECT id FROM ip_range WHERE first_address <= ? AND last_address >= ?)
            AND ip_address.address = ?" by |address| Value::from(u32::from(*address));
        nic: "ip_address.nic = ?" by |id| Value::from(*id);
        compute_host: "ip_address.compute_host = ?" by |id| Value::from(*id);
    }
    NetworkFilter {
        name: "network.name = ?" by name;
        zone: "network.zone = ?" by |id| Value::from(*id);
        offering: "network.offering = ?" by |id| Value::from(*id);
    }
    NicFilter {
        instance: "nic.instance = ?" by |id| Value::from(*id);
        network: "nic.network = ?" by |id| Value::from(*id);
        address: "nic.address = ?" by |address| Value::from(u32::from(*address));
    }
    ComputeOfferingFilter {
        name: "compute_offering.name = ?" by name;
    }
    DiskOfferingFilter {
        name: "disk_offering.name = ?" by name;
    }
    NetworkOfferingFilter {
        name: "network_offering.name = ?" by name;
    }
    TemplateFilter {
        name: "template.name = ?" by name;
        zone: "template.zone = ?" by |id| Value::from(*id);
        image_store: "template.image_store = ?" by |id| Value::from(*id);
        state: "template.state = ?" by |state| Value::from(state_of(state).0);
    }
    InstanceFilter {
        name: "instance.name = ?" by name;
        zone: "instance.zone = ?" by |id| Value::from(*id);
        state: "instance.state = ?" by |state: &velum_model::instance::InstanceState| Value::from(state.as_str());
        compute_host: "instance.id IN (SELECT instance FROM run WHERE compute_host = ?)" by |id| Value::from(*id);
        offering: "instance.offering = ?" by |id| Value::from(*id);
        template: "instance.template = ?" by |id| Value::from(*id);
        affinity_group: "instance.id IN (SELECT instance FROM affinity_member WHERE affinity_group = ?)"
            by |id| Value::from(*id);
    }
    AffinityGroupFilter {
        name: "affinity_group.name = ?" by name;
        zone: "affinity_group.zone = ?" by |id| Value::from(*id);
        kind: "affinity_group.kind = ?" by named;
    }
    VolumeFilter {
        name: "volume.name = ?" by name;
        zone: "volume.zone = ?" by |id| Value::from(*id);
        pool: "volume.pool = ?" by |id| Value::from(*id);
        instance: "attachment.instance = ?" by |id| Value::from(*id);
        state: "volume.state = ?" by named;
        used_as: "volume.used_as = ?" by named;
    }
    OrphanFilter {
        kind: "orphan.kind = ?" by named;
        compute_host: "orphan.compute_host = ?" by |id| Value::from(*id);
        storage_pool: "orphan.storage_pool = ?" by |id| Value::from(*id);
    }
    PluginFilter {
        name: "plugin.name = ?" by name;
        version: "plugin.version = ?" by |version: &String| Value::from(version.as_str());
        world: "plugin.world = ?" by named;
        digest: "plugin.digest = ?" by |digest: &velum_model::plugin::Digest| Value::from(digest.as_str());
        publisher: "k.publisher = ?" by |id| Value::from(*id);
        key: "plugin.signed_by = ?" by |id| Value::from(*id);
    }
    PublisherFilter {
        name: "publisher.name = ?" by name;
    }
    PolicyFilter {
        name: "policy.name = ?" by name;
        digest: "policy.digest = ?" by |digest: &velum_model::plugin::Digest| Value::from(digest.as_str());
    }
}

impl Conditions for EventFilter {
    fn conditions(&self) -> Vec<(&'static str, Value)> {
        // Many events are of a kind, few are about one resource or of one operation: those are looked for, whatever their kind.
        let kind = match self.resource.is_some() || self.operation.is_some() {
            true => "COALESCE(event.kind, '') = ?",
            false => "event.kind = ?",
        };
        let all = [
            self.kind.as_deref().map(|of| (kind, Value::from(of))),
            self.resource.map(|id| ("event.resource = ?", Value::from(id))),
            self.operation.map(|id| ("event.operation = ?", Value::from(id))),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Conditions for OperationFilter {
    fn conditions(&self) -> Vec<(&'static str, Value)> {
        // Few have not ended and those have an index; which one serves is known when the statement is planned, not when it is asked.
        let state = |state: &OperationState| {
            let condition = match state.has_ended() {
                true => "operation.state = ?",
                false => "operation.state IN ('running', 'undoing', 'parked') AND operation.state = ?",
            };
            (condition, named(state))
        };
        // One resource has few operations, and few go on: those are looked for, whatever their collection.
        let are_few = self.subject.is_some() || self.state.is_some_and(|state| !state.has_ended());
        let collection = match are_few {
            true => "COALESCE(operation.subject_kind, '') = ?",
            false => "operation.subject_kind = ?",
        };
        // A kind is about resources of one collection, and by those there is an index.
        let of_kind = self
            .kind
            .filter(|_| self.collection.is_none())
            .map(|kind| kind.collection());
        let all = [
            self.kind.as_ref().map(|of| ("operation.kind = ?", named(of))),
            self.state.as_ref().map(state),
            self.subject.map(|id| ("operation.subject = ?", Value::from(id))),
            self.collection
                .or(of_kind)
                .map(|of| (collection, Value::from(of))),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Conditions for DecisionFilter {
    fn conditions(&self) -> Vec<(&'static str, Value)> {
        let since = |at: Timestamp| Value::from(first_id_of(at));
        // Few were refused and have an index; which one serves is known when the statement is planned, not when it is asked.
        let placed = |placed: bool| match placed {
            true => ("decision.placed = ?", Value::from(1_i64)),
            false => ("decision.placed = 0 AND ? = 0", Value::from(0_i64)),
        };
        let zone = self.zone.map(|id| ("decision.zone = ?", Value::from(id)));
        let instance = self.instance.map(|id| ("decision.instance = ?", Value::from(id)));
        let all = [
            zone,
            instance,
            self.placed.map(placed),
            self.since.map(|at| ("decision.id >= ?", since(at))),
            self.until.map(|at| ("decision.id < ?", since(at))),
        ];
        all.into_iter().flatten().collect()
    }
}
