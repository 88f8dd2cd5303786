//! Events: what happened, by whom.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Names the event, and as `cursor` or `Last-Event-ID` what comes after it. Opaque.
    pub id: String,
    /// The shard that numbers it.
    pub shard_id: Uuid,
    /// The epoch under which it was written.
    pub epoch: u64,
    /// Its number in the shard; dense.
    pub seq: u64,
    /// When.
    #[schema(format = DateTime)]
    pub at: String,
    /// What: `instance.created`, `operation.done`, …
    pub kind: String,
    /// Owner of the resource.
    pub project_id: Uuid,
    /// Collection of the resource.
    pub collection: String,
    /// Its id.
    pub resource_id: Uuid,
    /// The operation that did it, if one did.
    pub operation_id: Option<Uuid>,
    /// Who asked.
    pub caller: String,
    /// More, by kind; null where there is no more.
    #[schema(value_type = Option<Object>)]
    pub data: Value,
}
