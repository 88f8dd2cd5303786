//! Bodies about zones, checked.

use uuid::Uuid;
use velum_model::{Id, infrastructure::ZoneAccess, tenancy::BUILT_IN_PROJECT};
use velum_service::{ChangeZone, NewZone};
use velum_wire::{CreateZoneBody, UpdateZoneBody, ZoneAccess as Asked};

use crate::{error::Answered, take::Fields};

/// A zone to be made.
pub fn new(body: CreateZoneBody) -> Answered<NewZone> {
    let mut fields = Fields::new();
    let name = fields.name("/name", body.name);
    let access = access(&mut fields, Some(body.access), body.project_id).unwrap_or(ZoneAccess::Public);
    let new = name.map(|name| NewZone {
        name,
        access,
        policy: body.policy_id.map(Id::from_uuid),
        pool_policy: body.pool_policy_id.map(Id::from_uuid),
    });
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdateZoneBody) -> Answered<ChangeZone> {
    let mut fields = Fields::new();
    let name = fields.name_if("/name", body.name);
    let access = access(&mut fields, body.access, body.project_id);
    fields.answer(Some(ChangeZone {
        name,
        access,
        policy: body.policy_id.map(|id| id.map(Id::from_uuid)),
        pool_policy: body.pool_policy_id.map(|id| id.map(Id::from_uuid)),
    }))
}

/// Naming a project means a private zone; a private zone without one is the built-in project's.
fn access(fields: &mut Fields, access: Option<Asked>, project: Option<Uuid>) -> Option<ZoneAccess> {
    match (access, project.map(Id::from_uuid)) {
        (None, None) => None,
        (Some(Asked::Public), None) => Some(ZoneAccess::Public),
        (Some(Asked::Private), project) => Some(ZoneAccess::Private(project.unwrap_or(BUILT_IN_PROJECT))),
        (None, Some(project)) => Some(ZoneAccess::Private(project)),
        (Some(Asked::Public), Some(_)) => {
            fields.refuse(
                "/project_id",
                "a public zone has no project; set access to private, or leave this out",
            );
            None
        }
    }
}
