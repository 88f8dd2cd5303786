//! What the store of one call holds: host functions see nothing else.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use wasmtime::{ResourceLimiter, StoreLimits, component::Resource};

use super::{
    ask::{Ask, Desk, Reply, decode},
    work::GuestPlace,
};

/// The target of a call, as a resource: there is one.
#[derive(Debug)]
pub struct TargetHandle;
/// The run of a call, as a resource: there is at most one.
#[derive(Debug)]
pub struct RunResource;
/// An opened origin: the number of its role among those of the manifest.
#[derive(Debug)]
pub struct Endpoint;
/// An opened connection to libvirt: there is one, to the target's `uri`.
#[derive(Debug)]
pub struct Connection;
/// The domain of the call's run.
#[derive(Debug)]
pub struct Domain;
/// The opened directory: there is one, the `directory` of the pool's settings.
#[derive(Debug)]
pub struct Directory;

/// The target as an argument.
#[must_use]
pub fn target() -> Resource<TargetHandle> {
    Resource::new_borrow(1)
}

/// The run as an argument.
#[must_use]
pub fn run() -> Resource<RunResource> {
    Resource::new_borrow(1)
}

/// See the module.
pub struct CallHost {
    limits: StoreLimits,
    host_calls_left: u32,
    desk: Arc<dyn Desk>,
    /// What the guest may know of its place.
    pub place: GuestPlace,
}

impl CallHost {
    /// Of one call, which may make `host_calls` host calls.
    #[must_use]
    pub fn new(place: GuestPlace, desk: Arc<dyn Desk>, limits: StoreLimits, host_calls: u32) -> Self {
        Self {
            limits,
            host_calls_left: host_calls,
            desk,
            place,
        }
    }

    /// The limiter of its store.
    pub fn limiter(&mut self) -> &mut dyn ResourceLimiter {
        &mut self.limits
    }

    /// Counts a host call.
    ///
    /// # Errors
    /// A trap when there were too many.
    pub fn count(&mut self) -> wasmtime::Result<()> {
        self.host_calls_left = self
            .host_calls_left
            .checked_sub(1)
            .ok_or_else(|| wasmtime::Error::msg("more host calls than one call may make"))?;
        Ok(())
    }

    /// Asks the server.
    ///
    /// # Errors
    /// A trap when the server says that the call ends here.
    pub async fn ask<T: DeserializeOwned>(&mut self, ask: Ask) -> wasmtime::Result<T> {
        match self.desk.ask(ask).await {
            Reply::Answer(bytes) => decode(&bytes).map_err(wasmtime::Error::msg),
            Reply::Stop(why) => Err(wasmtime::Error::msg(why)),
        }
    }
}
