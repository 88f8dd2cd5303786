//! `velum:storage@0.1`: the port of providers. What is asked goes to where the component runs; what comes back is checked here.

mod check;
pub mod execute;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
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

use crate::{
    call::Caller,
    errand::Place,
    sandbox::work::{ProviderVerb, Verb},
    world::{bindings::velum::storage::types, convert},
};

/// A provider.
pub struct Provider {
    caller: Caller,
}

impl Provider {
    /// A provider from its parts.
    #[must_use]
    pub const fn new(caller: Caller) -> Self {
        Self { caller }
    }

    async fn ask<R: DeserializeOwned + Send, A>(
        &self,
        place: Place,
        verb: ProviderVerb,
        check: impl FnOnce(R) -> Result<A, String> + Send,
    ) -> Result<A, Fault> {
        self.caller.call(place, Verb::Provider(verb), check).await
    }
}

#[async_trait]
impl StorageProvider for Provider {
    async fn describe(&self, pool: &Target) -> Result<ProviderDescriptor, Fault> {
        self.ask(Place::asking(pool), ProviderVerb::Describe, check::descriptor)
            .await
    }

    async fn probe(&self, pool: &Target) -> Result<Space, Fault> {
        self.ask(Place::asking(pool), ProviderVerb::Probe, check::space)
            .await
    }

    async fn create(&self, call: &Call, spec: &VolumeSpec) -> Result<Outcome, Fault> {
        let (effect, spec) = (convert::effect(&call.effect), volume_spec(spec));
        let verb = ProviderVerb::Create { effect, spec };
        self.ask(Place::acting(call), verb, check::created).await
    }

    async fn delete(&self, call: &Call, volume: &VolumeRef) -> Result<Outcome, Fault> {
        let (effect, volume) = (convert::effect(&call.effect), volume_to_guest(volume));
        let verb = ProviderVerb::Delete { effect, volume };
        self.ask(Place::acting(call), verb, convert::outcome).await
    }

    async fn expand(&self, call: &Call, volume: &VolumeRef, size_bytes: u64) -> Result<Outcome, Fault> {
        let verb = ProviderVerb::Expand {
            effect: convert::effect(&call.effect),
            volume: volume_to_guest(volume),
            size_bytes,
        };
        self.ask(Place::acting(call), verb, convert::outcome).await
    }

    async fn publish(&self, call: &Call, volume: &VolumeRef, to: &Consumer) -> Result<Outcome, Fault> {
        let verb = ProviderVerb::Publish {
            effect: convert::effect(&call.effect),
            volume: volume_to_guest(volume),
            to: consumer(to),
        };
        self.ask(Place::acting(call), verb, convert::outcome).await
    }

    async fn unpublish(&self, call: &Call, volume: &VolumeRef, node: Uuid) -> Result<Outcome, Fault> {
        let verb = ProviderVerb::Unpublish {
            effect: convert::effect(&call.effect),
            volume: volume_to_guest(volume),
            node: node.to_string(),
        };
        self.ask(Place::acting(call), verb, convert::outcome).await
    }

    async fn reached_by(
        &self,
        pool: &Target,
        volume: &VolumeRef,
        node: Uuid,
    ) -> Result<Option<Attachment>, Fault> {
        let verb = ProviderVerb::ReachedBy {
            volume: volume_to_guest(volume),
            node: node.to_string(),
        };
        self.ask(Place::asking(pool), verb, |found: Option<_>| {
            found.map(|from| convert::attachment(pool, from)).transpose()
        })
        .await
    }

    async fn find(&self, pool: &Target, id: Uuid) -> Result<Option<VolumeInfo>, Fault> {
        let verb = ProviderVerb::Find { id: id.to_string() };
        self.ask(Place::asking(pool), verb, |found| check::found(id, found))
            .await
    }

    async fn observe(&self, pool: &Target, after: Option<&str>) -> Result<VolumePage, Fault> {
        let verb = ProviderVerb::Observe {
            after: after.map(str::to_owned),
        };
        self.ask(Place::asking(pool), verb, |page| check::page(after, page))
            .await
    }

    async fn poll(&self, call: &Call, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        let verb = ProviderVerb::Poll { effect, token };
        self.ask(Place::going_on(call), verb, convert::outcome).await
    }

    async fn cancel(&self, call: &Call, token: &str) -> Result<Outcome, Fault> {
        let (effect, token) = (convert::effect(&call.effect), token.to_owned());
        let verb = ProviderVerb::Cancel { effect, token };
        self.ask(Place::going_on(call), verb, convert::outcome).await
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
