//! Words about plugins, as the model has them.

use base64::Engine as _;
use uuid::Uuid;
use velum_model::{Id, plugin::World};
use velum_service::{Activating, NewPlugin};
use velum_wire::{ActivatePluginBody, InstallPluginBody, PluginWorld};

use crate::{
    error::Answered,
    take::{Fields, Sent},
};

/// Clusters or pools of one activation: as many as a person names; whole zones need no list.
const PARTS_MAX: usize = 100;

/// What a component is.
pub const fn world(world: PluginWorld) -> World {
    match world {
        PluginWorld::PlacementPolicy => World::PlacementPolicy,
        PluginWorld::HypervisorDriver => World::HypervisorDriver,
        PluginWorld::StorageProvider => World::StorageProvider,
    }
}

/// A plugin to be installed.
pub fn new(sent: Sent) -> Answered<NewPlugin> {
    match sent {
        Sent::Component(component) => Ok(NewPlugin {
            component,
            ..NewPlugin::default()
        }),
        Sent::Body(body) => of_body(*body),
    }
}

fn of_body(body: InstallPluginBody) -> Answered<NewPlugin> {
    let mut fields = Fields::new();
    let allow_unsigned = match body.allow_unsigned.as_deref().map(str::parse).transpose() {
        Ok(digest) => digest,
        Err(error) => {
            let error: velum_model::plugin::DigestError = error;
            fields.refuse("/allow_unsigned", error.to_string());
            None
        }
    };
    let component = decoded(&mut fields, "/component_base64", body.component_base64.as_deref());
    let bundle = decoded(&mut fields, "/bundle_base64", body.bundle_base64.as_deref());
    match (&body.component_base64, &body.bundle_base64) {
        (None, None) => fields.refuse(
            "/component_base64",
            "send a component here, or a bundle in bundle_base64",
        ),
        (Some(_), Some(_)) => fields.refuse("/bundle_base64", "send a bundle or a component, not both"),
        _ => {}
    }
    if body.bundle_base64.is_some() && body.manifest.is_some() {
        fields.refuse("/manifest", "a bundle has its own plugin.toml: leave it out");
    }
    let new = NewPlugin {
        component: component.unwrap_or_default(),
        manifest: body.manifest,
        bundle,
        allow_unsigned,
        grant: body.grant,
        is_operators: false,
    };
    fields.answer(Some(new))
}

fn decoded(fields: &mut Fields, pointer: &str, text: Option<&str>) -> Option<Vec<u8>> {
    match base64::engine::general_purpose::STANDARD.decode(text?) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            fields.refuse(pointer, format!("is not base64: {error}"));
            None
        }
    }
}

/// Where a version is to be active.
pub fn activating(body: ActivatePluginBody) -> Answered<Activating> {
    let mut fields = Fields::new();
    for (pointer, ids) in [
        ("/cluster_ids", &body.cluster_ids),
        ("/storage_pool_ids", &body.storage_pool_ids),
    ] {
        if ids.len() > PARTS_MAX {
            fields.refuse(
                pointer,
                format!("names more than {PARTS_MAX}: leave it out for the whole zone"),
            );
        }
    }
    let activating = Activating {
        zone: Some(Id::from_uuid(body.zone_id)),
        clusters: body.cluster_ids.into_iter().map(id).collect(),
        storage_pools: body.storage_pool_ids.into_iter().map(id).collect(),
    };
    fields.answer(Some(activating))
}

fn id<Of>(uuid: Uuid) -> Id<Of> {
    Id::from_uuid(uuid)
}
