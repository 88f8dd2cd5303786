//! iSCSI units on a Quarry array, over its REST API. This file joins the contract to [`array`], which holds what is done;
//! [`rest`] speaks to the array, [`words`] are its JSON.
//!
//! The array knows neither effects nor fences. What makes each verb one that may be asked twice is said where it is done.

pub mod array;
pub mod rest;
pub mod words;

use velum_guest::{
    common::{Attachment, Effect, Fault, Outcome, Target},
    connect::{http::Endpoint, secrets},
    provider::{Consumer, Descriptor, Provider, Space, Volume, VolumeInfo, VolumePage, VolumeSpec},
};

use crate::{
    array::{Pool, Secrets},
    rest::Rest,
};

/// The provider.
#[derive(Debug)]
pub struct ArrayProvider;

/// The secrets of a pool, which the server makes and keeps.
struct Minted<'a>(&'a Target);

impl Secrets for Minted<'_> {
    fn name(&self, purpose: &str, length: u16) -> Result<String, Fault> {
        secrets::mint(self.0, purpose, length)
    }
}

/// The array under both roles of plugin.toml.
fn at(pool: &Target) -> Result<Pool<Endpoint, Minted<'_>>, Fault> {
    let rest = Rest {
        look: Endpoint::open(pool, "look")?,
        change: Endpoint::open(pool, "change")?,
    };
    Pool::at(rest, Minted(pool), &pool.config())
}

impl Provider for ArrayProvider {
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
        at(pool)?.delete(&volume)
    }
    fn expand(pool: &Target, _: Effect, volume: Volume, size_bytes: u64) -> Result<Outcome, Fault> {
        at(pool)?.expand(&volume, size_bytes)
    }
    fn publish(pool: &Target, _: Effect, volume: Volume, to: Consumer) -> Result<Outcome, Fault> {
        at(pool)?.publish(&volume, &to)
    }
    fn unpublish(pool: &Target, _: Effect, volume: Volume, node: String) -> Result<Outcome, Fault> {
        at(pool)?.unpublish(&volume, &node)
    }
    fn reached_by(pool: &Target, volume: Volume, node: String) -> Result<Option<Attachment>, Fault> {
        at(pool)?.reached_by(&volume, &node)
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

velum_guest::export_provider!(ArrayProvider);
