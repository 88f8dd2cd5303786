//! Joins the contract to [`acme`], where the provider is.

pub mod acme;

use velum_guest::{
    common::{Attachment, Effect, Fault, Outcome, Target},
    connect::http::Endpoint,
    provider::{Consumer, Descriptor, Provider, Space, Volume, VolumeInfo, VolumePage, VolumeSpec},
};

use crate::acme::Pool;

/// The role of the API in plugin.toml.
const ROLE: &str = "api";

/// The provider.
#[derive(Debug)]
pub struct MyProvider;

fn at(pool: &Target) -> Result<Pool<Endpoint>, Fault> {
    Pool::at(Endpoint::open(pool, ROLE)?, &pool.config())
}

/// Nothing of Acme's takes so long that it would have to be polled.
fn no_work(token: &str) -> Fault {
    Fault::not_found(format!("{token:?} is no work of this provider"))
}

impl Provider for MyProvider {
    fn describe(_: &Target) -> Result<Descriptor, Fault> {
        Ok(acme::describe())
    }
    fn probe(pool: &Target) -> Result<Space, Fault> {
        at(pool)?.probe()
    }
    fn create(pool: &Target, _: Effect, spec: VolumeSpec) -> Result<Outcome, Fault> {
        at(pool)?.create(&spec)
    }
    fn delete(pool: &Target, _: Effect, volume: Volume) -> Result<Outcome, Fault> {
        at(pool)?.delete(&volume.id)
    }
    fn expand(pool: &Target, _: Effect, volume: Volume, size_bytes: u64) -> Result<Outcome, Fault> {
        at(pool)?.expand(&volume.id, size_bytes)
    }
    fn publish(pool: &Target, _: Effect, volume: Volume, to: Consumer) -> Result<Outcome, Fault> {
        at(pool)?.publish(&volume.id, &to)
    }
    fn unpublish(pool: &Target, _: Effect, volume: Volume, node: String) -> Result<Outcome, Fault> {
        at(pool)?.unpublish(&volume.id, &node)
    }
    fn reached_by(
        pool: &Target,
        volume: Volume,
        node: String,
    ) -> Result<Option<Attachment>, Fault> {
        at(pool)?.reached_by(&volume.id, &node)
    }
    fn find(pool: &Target, id: String) -> Result<Option<VolumeInfo>, Fault> {
        at(pool)?.find(&id)
    }
    fn observe(pool: &Target, after: Option<String>) -> Result<VolumePage, Fault> {
        at(pool)?.observe(after.as_deref())
    }
    fn poll(_: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        Err(no_work(&token))
    }
    fn cancel(_: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        Err(no_work(&token))
    }
}

velum_guest::export_provider!(MyProvider);
