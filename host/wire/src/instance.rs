//! Instances.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Problem;

/// Where an instance is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Accepted; its operation makes it.
    Creating,
    /// Accepted to start.
    Starting,
    /// Its guest was seen to run.
    Running,
    /// Accepted to stop.
    Stopping,
    /// It holds no room on a compute host.
    Stopped,
    /// Accepted to reboot.
    Rebooting,
    /// Accepted to go.
    Destroying,
    /// An operation on it is stuck; the operator decides.
    Failed,
}

/// What was seen of a run last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ObservedState {
    /// Not looked yet, or not to be seen.
    Unknown,
    /// Defined, off.
    Off,
    /// Running.
    Running,
    /// Paused.
    Paused,
    /// Crashed.
    Crashed,
}

/// One incarnation of an instance on one compute host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunView {
    /// Its id; the hypervisor's uuid of the guest.
    pub id: Uuid,
    /// Where.
    pub compute_host_id: Uuid,
    /// The how-manieth incarnation of the instance.
    pub generation: u64,
    /// What was seen last.
    pub observed: ObservedState,
    /// When.
    #[schema(format = DateTime)]
    pub observed_at: Option<String>,
    /// When it is expected to end, as it was placed; null = nobody said. It may run on.
    #[schema(format = DateTime)]
    pub expected_end_at: Option<String>,
}

/// A NIC within its instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceNicView {
    /// Its id.
    pub id: Uuid,
    /// Its position, from 0.
    pub slot: u16,
    /// Its network.
    pub network_id: Uuid,
    /// Its MAC.
    pub mac: String,
    /// Its address.
    pub address: String,
}

/// A volume within its instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceVolumeView {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its position; root is 0.
    pub slot: u16,
    /// Its size, bytes.
    pub size_bytes: u64,
    /// Its pool.
    pub storage_pool_id: Uuid,
}

/// Where more is to be found about an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceLinks {
    /// The instance itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Its serial console, a WebSocket.
    pub console: String,
    /// What its serial console showed last.
    pub console_log: String,
    /// Why it is where it is; null when it was never placed.
    pub decision: Option<String>,
    /// Operations on it.
    pub operations: String,
}

/// A tenant's machine. Lists and the answers to actions leave `addresses`, `nics` and `volumes` to the single answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InstanceView {
    /// Its id.
    pub id: Uuid,
    /// Its zone.
    pub zone_id: Uuid,
    /// Its owner.
    pub project_id: Uuid,
    /// Unique in its project and zone; its host name in lower case.
    pub name: String,
    /// Its shape.
    pub compute_offering_id: Uuid,
    /// What it was made from.
    pub template_id: Uuid,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Where it is in its life.
    pub state: InstanceState,
    /// Its run; null when it has none.
    pub run: Option<RunView>,
    /// The compute host of its run.
    pub compute_host_id: Option<Uuid>,
    /// The compute host of its last run.
    pub last_compute_host_id: Option<Uuid>,
    /// Its addresses, in the order of its NICs.
    pub addresses: Vec<String>,
    /// Its NICs, by slot.
    pub nics: Vec<InstanceNicView>,
    /// Its volumes, by slot.
    pub volumes: Vec<InstanceVolumeView>,
    /// The affinity groups that it is in.
    #[serde(default)]
    pub affinity_group_ids: Vec<Uuid>,
    /// The decision that placed its last run.
    pub decision_id: Option<Uuid>,
    /// Size of its user data, bytes; the data itself is not shown again.
    pub user_data_bytes: u64,
    /// How long each of its runs is expected to last, seconds; null = nobody said.
    pub expected_lifetime_s: Option<u64>,
    /// Where more is to be found.
    pub links: InstanceLinks,
    /// Grows with every change of the intent; the ETag.
    pub generation: u64,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
}

/// How an instance is to stop. May be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopInstanceBody {
    /// How long the guest may take to shut down by itself before it is turned off, milliseconds; 30,000 unless said, 0
    /// turns it off at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 600000)]
    pub grace_ms: Option<u64>,
}

/// How an instance is to reboot. May be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebootInstanceBody {
    /// Reset it without asking the guest.
    #[serde(default)]
    pub hard: bool,
}

/// A network to plug into.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NetworkChoiceBody {
    /// The network.
    pub network_id: Uuid,
    /// A certain address of it; any free one unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Ipv4, example = "10.10.0.20")]
    pub address: Option<String>,
}

/// Instances to make and start at once, all of one zone, in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstancesBody {
    /// Their zone.
    pub zone_id: Uuid,
    /// What they are; names are unique.
    #[schema(min_items = 1, max_items = 256)]
    pub instances: Vec<InstanceOfBatchBody>,
    /// Make none when one finds no place or its address is taken; else those that do, which is the default.
    #[serde(default)]
    pub all_or_nothing: bool,
}

/// One of many instances to make and start: as for one, without the zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct InstanceOfBatchBody {
    /// Unique in its project and zone; its host name in lower case.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Its shape.
    pub compute_offering_id: Uuid,
    /// What it is made from.
    pub template_id: Uuid,
    /// Its NICs, in the order of their slots.
    #[schema(min_items = 1, max_items = 8)]
    pub networks: Vec<NetworkChoiceBody>,
    /// Size of the root volume, bytes; the template's unless said, and never less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub root_size_bytes: Option<u64>,
    /// Affinity groups that it is in, of its zone and project. They are for its whole life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub affinity_group_ids: Vec<Uuid>,
    /// cloud-init user data as text, at most 64 KiB. Instead of `user_data_base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub user_data: Option<String>,
    /// cloud-init user data as base64 of at most 64 KiB. Instead of `user_data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 87384)]
    pub user_data_base64: Option<String>,
    /// How long each of its runs is expected to last; as the compute offering says unless given, seconds: a minute to ten years. Policies of placement may use it; nothing ends by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 315360000)]
    pub expected_lifetime_s: Option<u64>,
}

impl InstanceOfBatchBody {
    /// What it is alone.
    #[must_use]
    pub fn in_zone(self, zone_id: Uuid) -> CreateInstanceBody {
        CreateInstanceBody {
            zone_id,
            name: self.name,
            compute_offering_id: self.compute_offering_id,
            template_id: self.template_id,
            networks: self.networks,
            root_size_bytes: self.root_size_bytes,
            affinity_group_ids: self.affinity_group_ids,
            user_data: self.user_data,
            user_data_base64: self.user_data_base64,
            expected_lifetime_s: self.expected_lifetime_s,
        }
    }
}

/// What came of many instances that were to be made at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchView {
    /// How many were accepted: they are durable.
    pub accepted: u32,
    /// How many found no place.
    pub refused: u32,
    /// Each, in the order of the request.
    pub items: Vec<BatchItemView>,
}

/// What came of one of many: an instance with its operation, or a problem.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BatchItemView {
    /// The instance as it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceView>,
    /// The operation that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation_id: Option<Uuid>,
    /// Why it found no place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// An instance to make and start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInstanceBody {
    /// Its zone.
    pub zone_id: Uuid,
    /// Unique in its project and zone; its host name in lower case.
    #[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]
    pub name: String,
    /// Its shape.
    pub compute_offering_id: Uuid,
    /// What it is made from.
    pub template_id: Uuid,
    /// Its NICs, in the order of their slots.
    #[schema(min_items = 1, max_items = 8)]
    pub networks: Vec<NetworkChoiceBody>,
    /// Size of the root volume, bytes; the template's unless said, and never less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1125899906842624_u64)]
    pub root_size_bytes: Option<u64>,
    /// Affinity groups that it is in, of its zone and project. They are for its whole life.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub affinity_group_ids: Vec<Uuid>,
    /// cloud-init user data as text, at most 64 KiB. Instead of `user_data_base64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65536)]
    pub user_data: Option<String>,
    /// cloud-init user data as base64 of at most 64 KiB. Instead of `user_data`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 87384)]
    pub user_data_base64: Option<String>,
    /// How long each of its runs is expected to last; as the compute offering says unless given, seconds: a minute to ten years. Policies of placement may use it; nothing ends by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 60, maximum = 315360000)]
    pub expected_lifetime_s: Option<u64>,
}
