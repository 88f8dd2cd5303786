//! `velum:storage@0.1`, where the component runs: one function of one fresh instance.

use serde::Serialize;
use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};

use crate::{
    sandbox::{
        ask::encode,
        host::{CallHost, target},
        work::ProviderVerb,
    },
    world::bindings::exports::velum::storage::provider,
};

/// Where the exports of a provider are.
pub struct Exports {
    provider: provider::GuestIndices,
}

impl Exports {
    /// Finds them.
    ///
    /// # Errors
    /// When `provider` is not there; [`crate::registry`] has found the name before.
    pub fn find(pre: &InstancePre<CallHost>) -> wasmtime::Result<Self> {
        Ok(Self {
            provider: provider::GuestIndices::new(pre)?,
        })
    }
}

/// Calls a function and encodes its answer.
///
/// # Errors
/// A trap.
pub async fn call(
    store: &mut Store<CallHost>,
    instance: &Instance,
    exports: &Exports,
    verb: ProviderVerb,
) -> wasmtime::Result<Vec<u8>> {
    let guest = exports.provider.load(&mut *store, instance)?;
    match verb {
        ProviderVerb::Describe => answer(&guest.call_describe(store, target()).await?),
        ProviderVerb::Probe => answer(&guest.call_probe(store, target()).await?),
        ProviderVerb::Create { effect, spec } => {
            answer(&guest.call_create(store, target(), &effect, &spec).await?)
        }
        ProviderVerb::Delete { effect, volume } => {
            answer(&guest.call_delete(store, target(), &effect, &volume).await?)
        }
        ProviderVerb::Expand {
            effect,
            volume,
            size_bytes,
        } => {
            let expanded = guest.call_expand(store, target(), &effect, &volume, size_bytes);
            answer(&expanded.await?)
        }
        ProviderVerb::Publish { effect, volume, to } => {
            answer(&guest.call_publish(store, target(), &effect, &volume, &to).await?)
        }
        ProviderVerb::Unpublish { effect, volume, node } => {
            let ended = guest.call_unpublish(store, target(), &effect, &volume, &node);
            answer(&ended.await?)
        }
        ProviderVerb::ReachedBy { volume, node } => {
            answer(&guest.call_reached_by(store, target(), &volume, &node).await?)
        }
        ProviderVerb::Find { id } => answer(&guest.call_find(store, target(), &id).await?),
        ProviderVerb::Observe { after } => {
            answer(&guest.call_observe(store, target(), after.as_deref()).await?)
        }
        ProviderVerb::Poll { effect, token } => {
            answer(&guest.call_poll(store, target(), &effect, &token).await?)
        }
        ProviderVerb::Cancel { effect, token } => {
            answer(&guest.call_cancel(store, target(), &effect, &token).await?)
        }
    }
}

fn answer<T: Serialize>(answer: &T) -> wasmtime::Result<Vec<u8>> {
    encode(answer).map_err(wasmtime::Error::msg)
}
