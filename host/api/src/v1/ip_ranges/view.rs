//! A range of addresses as it is shown.

use velum_model::infrastructure::{IpRange, IpRangeUse};
use velum_wire::{IpRangeKind, IpRangeView};

/// A range of addresses as it is shown.
pub fn view(range: &IpRange) -> IpRangeView {
    let (kind, network_id, pod_id) = match range.used_for {
        IpRangeUse::Public(network) => (IpRangeKind::Public, Some(network.uuid()), None),
        IpRangeUse::Private(pod) => (IpRangeKind::Private, None, Some(pod.uuid())),
    };
    IpRangeView {
        id: range.id.uuid(),
        zone_id: range.zone.uuid(),
        kind,
        network_id,
        pod_id,
        first: range.range.first.to_string(),
        last: range.range.last.to_string(),
        size: range.range.count(),
        claimed: range.claimed,
        generation: range.generation,
        created_at: range.created_at.to_string(),
    }
}
