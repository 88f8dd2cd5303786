//! Bodies about ranges of addresses, checked.

use velum_model::{Id, infrastructure::IpRangeUse};
use velum_service::NewIpRange;
use velum_wire::CreateIpRangeBody;

use crate::{error::Answered, take::Fields};

/// A range to be made.
pub fn new(body: CreateIpRangeBody) -> Answered<NewIpRange> {
    let mut fields = Fields::new();
    let first = fields.address("/first", &body.first);
    let last = fields.address("/last", &body.last);
    let used_for = match (body.network_id, body.pod_id) {
        (Some(network), None) => Some(IpRangeUse::Public(Id::from_uuid(network))),
        (None, Some(pod)) => Some(IpRangeUse::Private(Id::from_uuid(pod))),
        (None, None) => {
            fields.refuse(
                "/network_id",
                "name the network (guests' addresses) or the pod (management addresses)",
            );
            None
        }
        (Some(_), Some(_)) => {
            fields.refuse("/pod_id", "name a network or a pod, not both");
            None
        }
    };
    let new = match (used_for, first, last) {
        (Some(used_for), Some(first), Some(last)) => Some(NewIpRange {
            used_for,
            first,
            last,
        }),
        _ => None,
    };
    fields.answer(new)
}
