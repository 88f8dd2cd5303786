//! The gate: refuses whoever a newer owner or incarnation has overtaken.

use std::collections::HashMap;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::refusal::{Refused, code};

/// Under which right and as which effect a request acts: the `Velum-` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The shard whose operation acts.
    pub shard: Uuid,
    /// The shard's epoch.
    pub epoch: u64,
    /// The instance, volume or layer that it is about.
    pub object: Uuid,
    /// Its incarnation.
    pub generation: u64,
    /// The identity of the change.
    pub effect: Uuid,
}

impl<S: Sync> FromRequestParts<S> for Stamp {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let headers = &parts.headers;
        Ok(Self {
            shard: header(headers, "velum-shard")?,
            epoch: header(headers, "velum-epoch")?,
            object: header(headers, "velum-object")?,
            generation: header(headers, "velum-generation")?,
            effect: header(headers, "velum-effect")?,
        })
    }
}

fn header<T: std::str::FromStr>(headers: &HeaderMap, name: &'static str) -> Result<T, Refused> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Refused::invalid(format!("the header {name} is missing or malformed")))
}

/// The highest epoch of each shard and the highest (epoch, generation) of each object that acted here. Grows with the
/// objects ever seen, some 60 bytes each: a test run's few millions fit, and forgetting one would let a stale caller in.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Gate {
    shards: HashMap<Uuid, u64>,
    objects: HashMap<Uuid, (u64, u64)>,
}

impl Gate {
    /// Lets a caller through and remembers it, or refuses it.
    ///
    /// # Errors
    /// `FENCED` when a newer owner of the shard, or a newer incarnation of the object, has been here.
    pub fn pass(&mut self, stamp: &Stamp) -> Result<(), Refused> {
        let shard = self.shards.entry(stamp.shard).or_insert(stamp.epoch);
        if stamp.epoch < *shard {
            return Err(fenced(format!(
                "epoch {} of shard {} is over: {shard} acts now",
                stamp.epoch, stamp.shard
            )));
        }
        *shard = stamp.epoch;
        let mine = (stamp.epoch, stamp.generation);
        let seen = self.objects.entry(stamp.object).or_insert(mine);
        if mine < *seen {
            return Err(fenced(format!(
                "(epoch, generation) {mine:?} of {} is over: {seen:?} was here",
                stamp.object
            )));
        }
        *seen = mine;
        Ok(())
    }
}

fn fenced(detail: String) -> Refused {
    Refused::unchanged(code::FENCED, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(epoch: u64, object: u128, generation: u64) -> Stamp {
        Stamp {
            shard: Uuid::from_u128(1),
            epoch,
            object: Uuid::from_u128(object),
            generation,
            effect: Uuid::from_u128(9),
        }
    }

    #[test]
    fn an_old_epoch_is_refused_for_every_object_of_the_shard() {
        let mut gate = Gate::default();
        gate.pass(&stamp(2, 10, 1)).unwrap();
        assert_eq!(gate.pass(&stamp(1, 11, 5)).unwrap_err().code, code::FENCED);
        gate.pass(&stamp(2, 11, 1)).unwrap();
    }

    #[test]
    fn an_old_incarnation_is_refused_and_the_same_one_passes_again() {
        let mut gate = Gate::default();
        gate.pass(&stamp(1, 10, 2)).unwrap();
        gate.pass(&stamp(1, 10, 2)).unwrap();
        assert_eq!(gate.pass(&stamp(1, 10, 1)).unwrap_err().code, code::FENCED);
    }
}
