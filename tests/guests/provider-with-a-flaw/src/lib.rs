//! A storage provider that keeps every rule of the conformance suite but the one that `flaw` of its target's settings
//! names. Each flaw is what a case of `tests/conformance/storage-provider` must catch. Its volumes are rows in the `state`
//! connector, so that it needs no far side.

mod look;
mod make;
mod reach;
mod world;

use velum_guest::{
    common::{Attachment, Effect, Fault, Outcome, Target},
    provider::{Consumer, Descriptor, Provider, Space, Volume, VolumeInfo, VolumePage, VolumeSpec, code},
};

use crate::world::Pool;

/// Sizes are multiples of this.
pub const GRANULARITY: u64 = 1 << 20;
/// The largest volume.
pub const LARGEST: u64 = 512 << 30;
/// All of a pool.
pub const CAPACITY: u64 = 1 << 40;

/// The provider.
#[derive(Debug)]
pub struct Flawed;

impl Provider for Flawed {
    fn describe(pool: &Target) -> Result<Descriptor, Fault> {
        let pool = Pool::open(pool)?;
        let name = if pool.has("nameless") {
            "somebody-else"
        } else {
            env!("CARGO_PKG_NAME")
        };
        let changes = pool.has("describe-changes") && !pool.world.volumes.is_empty();
        Ok(Descriptor {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            attachment_kinds: vec![code::ATTACH_SIMULATED],
            formats: vec![code::FORMAT_RAW],
            granularity_bytes: GRANULARITY,
            min_bytes: GRANULARITY,
            max_bytes: if changes { LARGEST / 2 } else { LARGEST },
            max_volumes: 0,
            // There is nothing in its volumes, so that an image fills one at once.
            features: vec![code::FEATURE_THIN, code::FEATURE_FILLS_LAYERS],
            attrs: Vec::new(),
        })
    }

    fn probe(pool: &Target) -> Result<Space, Fault> {
        Ok(look::space(&Pool::open(pool)?))
    }

    fn create(pool: &Target, effect: Effect, spec: VolumeSpec) -> Result<Outcome, Fault> {
        make::create(&mut Pool::open(pool)?, &effect, &spec)
    }

    fn delete(pool: &Target, effect: Effect, volume: Volume) -> Result<Outcome, Fault> {
        make::delete(&mut Pool::open(pool)?, &effect, &volume.id)
    }

    fn expand(pool: &Target, effect: Effect, volume: Volume, size_bytes: u64) -> Result<Outcome, Fault> {
        make::expand(&mut Pool::open(pool)?, &effect, &volume.id, size_bytes)
    }

    fn publish(pool: &Target, _: Effect, volume: Volume, to: Consumer) -> Result<Outcome, Fault> {
        reach::publish(&mut Pool::open(pool)?, &volume.id, &to)
    }

    fn unpublish(pool: &Target, _: Effect, volume: Volume, node: String) -> Result<Outcome, Fault> {
        reach::unpublish(&mut Pool::open(pool)?, &volume.id, &node)
    }

    fn reached_by(pool: &Target, volume: Volume, node: String) -> Result<Option<Attachment>, Fault> {
        Ok(reach::reached_by(&Pool::open(pool)?, &volume.id, &node))
    }

    fn find(pool: &Target, id: String) -> Result<Option<VolumeInfo>, Fault> {
        Ok(look::find(&Pool::open(pool)?, &id))
    }

    fn observe(pool: &Target, after: Option<String>) -> Result<VolumePage, Fault> {
        Ok(look::observe(&Pool::open(pool)?, after.as_deref()))
    }

    fn poll(pool: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        make::poll(&mut Pool::open(pool)?, &token)
    }

    fn cancel(_: &Target, _: Effect, token: String) -> Result<Outcome, Fault> {
        Err(Fault::unsupported(format!("{token:?} cannot be cancelled")))
    }
}

velum_guest::export_provider!(Flawed);
