//! An event as it is shown.

use velum_model::operation::Event;
use velum_service::EventCursor;
use velum_wire::EventView;

/// An event as it is shown. `position` is moved past it and becomes its id.
pub fn view(event: &Event, position: &mut EventCursor) -> EventView {
    position.advance(event);
    EventView {
        id: position.to_string(),
        shard_id: event.shard.uuid(),
        epoch: event.epoch,
        seq: event.seq,
        at: event.at.to_string(),
        kind: event.kind.clone(),
        project_id: event.project.uuid(),
        collection: event.collection.clone(),
        resource_id: event.resource,
        operation_id: event.operation.map(|id| id.uuid()),
        caller: event.caller.clone(),
        data: event.data.clone(),
    }
}
