//! Volumes on an array of the simulated far side, over its HTTP API. This file joins the contract to [`array`].

pub mod array;
pub mod words;

use velum_guest::{
    common::{Attachment, Effect, Fault, Outcome, Target},
    connect::http::Endpoint,
    json_api::Api,
    provider::{Consumer, Descriptor, Provider, Space, Volume, VolumeInfo, VolumePage, VolumeSpec},
};

use crate::array::Pool;

/// The role of plugin.toml.
const ROLE: &str = "api";

/// The provider.
#[derive(Debug)]
pub struct SimProvider;

fn at(pool: &Target) -> Result<Pool<Endpoint>, Fault> {
    Pool::at(Api::open(pool, ROLE)?, &pool.config())
}

impl Provider for SimProvider {
    fn describe(_: &Target) -> Result<Descriptor, Fault> {
        Ok(array::describe())
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
    fn reached_by(pool: &Target, volume: Volume, node: String) -> Result<Option<Attachment>, Fault> {
        at(pool)?.reached_by(&volume.id, &node)
    }
    fn find(pool: &Target, id: String) -> Result<Option<VolumeInfo>, Fault> {
        at(pool)?.find(&id)
    }
    fn observe(pool: &Target, after: Option<String>) -> Result<VolumePage, Fault> {
        at(pool)?.observe(after.as_deref())
    }
    fn poll(pool: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        at(pool)?.poll(&token)
    }
    fn cancel(pool: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        at(pool)?.cancel(&token)
    }
}

velum_guest::export_provider!(SimProvider);
