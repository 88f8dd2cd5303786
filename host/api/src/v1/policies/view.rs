//! A policy as it is shown.

use velum_model::plugin::{Fallback, Policy};
use velum_wire::PolicyView;

/// A policy as it is shown.
pub fn view(policy: &Policy) -> PolicyView {
    PolicyView {
        id: policy.id.uuid(),
        name: policy.name.to_string(),
        digest: policy.digest.to_string(),
        config: policy.config.clone(),
        fallback: fallback(policy.fallback),
        generation: policy.generation,
        created_at: policy.created_at.to_string(),
    }
}

/// What is done when it fails.
pub const fn fallback(fallback: Fallback) -> velum_wire::Fallback {
    match fallback {
        Fallback::BuiltIn => velum_wire::Fallback::BuiltIn,
        Fallback::Refuse => velum_wire::Fallback::Refuse,
    }
}
