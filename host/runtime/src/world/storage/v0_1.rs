//! `velum:storage@0.1`: one fresh instance a call.

mod check;

use async_trait::async_trait;
use uuid::Uuid;
use velum_model::{
    fault::Fault,
    port::{
        Call, Outcome, Target,
        storage::{
            Attachment, Consumer, ProviderDescriptor, Space, StorageProvider, VolumeInfo, VolumePage,
            VolumeRef, VolumeSpec,
        },
    },
};
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    call::{Asked, CallHost, Caller, Pending, Place, target},
    world::{
        bindings::{
            exports::velum::storage::provider,
            velum::{common::types as wit, storage::types},
        },
        convert,
    },
};

/// Where the exports of a provider are.
pub struct Exports {
    provider: provider::GuestIndices,
}

impl Exports {
    /// Finds them.
    ///
    /// # Errors
    /// When `provider` is not there; [`crate::registry`] has found the names before.
    pub fn find(pre: &InstancePre<CallHost>) -> wasmtime::Result<Self> {
        Ok(Self {
            provider: provider::GuestIndices::new(pre)?,
        })
    }
}

/// A provider.
pub struct Provider {
    caller: Caller,
    exports: Exports,
}

impl Provider {
    /// A provider from its parts.
    #[must_use]
    pub const fn new(caller: Caller, exports: Exports) -> Self {
        Self { caller, exports }
    }

    async fn ask<R: Send, A>(
        &self,
        place: Place,
        call: impl for<'a> FnOnce(
            &'a mut Store<CallHost>,
            &'a provider::Guest,
        ) -> Pending<'a, Result<R, wit::Fault>>
        + Send,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault> {
        let load =
            |store: &mut Store<CallHost>, instance: &Instance| self.exports.provider.load(store, instance);
        self.caller.call(place, Asked { load, call }, check).await
    }
}

#[async_trait]
impl StorageProvider for Provider {
    async fn describe(&self, pool: &Target) -> Result<ProviderDescriptor, Fault> {
        self.ask(
            Place::asking(pool),
            |store, guest| Box::pin(async move { guest.call_describe(store, target()).await }),
            check::descriptor,
        )
        .await
    }

    async fn probe(&self, pool: &Target) -> Result<Space, Fault> {
        self.ask(
            Place::asking(pool),
            |store, guest| Box::pin(async move { guest.call_probe(store, target()).await }),
            check::space,
        )
        .await
    }

    async fn create(&self, call: &Call, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        let (effect, spec) = (convert::effect(&call.effect), volume_spec(spec));
        self.ask(
            Place::acting(call),
            |store, guest| Box::pin(async move { guest.call_create(store, target(), &effect, &spec).await }),
            check::created,
        )
        .await
    }

    async fn delete(&self, call: &Call, volume: &VolumeRef) -> Result<Outcome, Fault> {
        let (effect, volume) = (convert::effect(&call.effect), volume_to_guest(volume));
        self.ask(
            Place::acting(call),
            |store, guest| {
                Box::pin(async move { guest.call_delete(store, target(), &effect, &volume).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn expand(&self, call: &Call, volume: &VolumeRef, size_bytes: u64) -> Result<Outcome, Fault> {
        let (effect, volume) = (convert::effect(&call.effect), volume_to_guest(volume));
        self.ask(
            Place::acting(call),
            move |store, guest| {
                Box::pin(async move {
                    guest
                        .call_expand(store, target(), &effect, &volume, size_bytes)
                        .await
                })
            },
            convert::outcome,
        )
        .await
    }

    async fn publish(&self, call: &Call, volume: &VolumeRef, to: &Consumer) -> Result<Outcome, Fault> {
        let effect = convert::effect(&call.effect);
        let (volume, to) = (volume_to_guest(volume), consumer(to));
        self.ask(
            Place::acting(call),
            |store, guest| {
                Box::pin(async move { guest.call_publish(store, target(), &effect, &volume, &to).await })
            },
            convert::outcome,
        )
        .await
    }

    async fn unpublish(&self, call: &Call, volume: &VolumeRef, node: Uuid) -> Result<Outcome, Fault> {
        let (effect, volume) = (convert::effect(&call.effect), volume_to_guest(volume));
        let node = node.to_string();
        self.ask(
            Place::acting(call),
            |store, guest| {
                Box::pin(async move {
                    guest
                        .call_unpublish(store, target(), &effect, &volume, &node)
                        .await
                })
            },
            convert::outcome,
        )
        .await
    }

    async fn reached_by(
        &self,
        pool: &Target,
        volume: &VolumeRef,
        node: Uuid,
    ) -> Result<Option<Attachment>, Fault> {
        let (volume, node) = (volume_to_guest(volume), node.to_string());
        self.ask(
            Place::asking(pool),
            |store, guest| {
                Box::pin(async move { guest.call_reached_by(store, target(), &volume, &node).await })
            },
            |found| found.map(|from| convert::attachment(pool, from)).transpose(),
        )
        .await
    }

    async fn find(&self, pool: &Target, id: Uuid) -> Result<Option<VolumeInfo>, Fault> {
        let text = id.to_string();
        self.ask(
            Place::asking(pool),
            |store, guest| Box::pin(async move { guest.call_find(store, target(), &text).await }),
            |found| check::found(id, found),
        )
        .await
    }

    async fn observe(&self, pool: &Target, after: Option<&str>) -> Result<VolumePage, Fault> {
        let mark = after.map(str::to_owned);
        self.ask(
            Place::asking(pool),
            |store, guest| {
                Box::pin(async move { guest.call_observe(store, target(), mark.as_deref()).await })
            },
            |page| check::page(after, page),
        )
        .await
    }

    async fn poll(&self, call: &Call, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        self.ask(
            Place::going_on(call),
            |store, guest| Box::pin(async move { guest.call_poll(store, target(), &effect, &token).await }),
            convert::outcome,
        )
        .await
    }

    async fn cancel(&self, call: &Call, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        self.ask(
            Place::going_on(call),
            |store, guest| Box::pin(async move { guest.call_cancel(store, target(), &effect, &token).await }),
            convert::outcome,
        )
        .await
    }
}

fn volume_spec(spec: &VolumeSpec) -> types::VolumeSpec {
    types::VolumeSpec {
        id: spec.id.to_string(),
        size_bytes: spec.size_bytes,
        format: spec.format,
        source: types::Source {
            kind: spec.source.kind,
            of: spec.source.of.as_ref().map(volume_to_guest),
        },
        attrs: convert::attrs_to_guest(&spec.attrs),
    }
}

fn volume_to_guest(volume: &VolumeRef) -> types::Volume {
    types::Volume {
        id: volume.id.to_string(),
        backend_id: volume.backend_id.clone(),
    }
}

fn consumer(to: &Consumer) -> types::Consumer {
    types::Consumer {
        node: to.node.to_string(),
        initiators: to.initiators.iter().map(convert::initiator_to_guest).collect(),
        mode: to.mode,
    }
}
