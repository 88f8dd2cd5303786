//! Instances of policies that are asked word for word.

use std::sync::Arc;

use velum_model::{
    plugin::{Digest, World},
    port::plugins::PluginRefused,
};

use super::{Code, Runtime, other_world, setup_refused};
use crate::BarePolicy;

impl Runtime {
    /// An instance of a policy that is asked word for word: see [`BarePolicy`].
    ///
    /// # Errors
    /// [`PluginRefused`] when there is no such policy, or it traps as it starts.
    pub fn bare_policy(&self, digest: &Digest) -> Result<BarePolicy, PluginRefused> {
        let loaded = self.loaded(digest)?;
        let Code::Policy(component) = &loaded.code else {
            return Err(other_world(&loaded, World::PlacementPolicy));
        };
        BarePolicy::new(component, Arc::clone(&loaded.shared)).map_err(setup_refused)
    }
}
