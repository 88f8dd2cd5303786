//! Rows of the statements in `sql/plugins.rs`.

use uuid::Uuid;
use velum_model::trust::{NameHolder, Origin, PluginName};

use super::{Hex, Keyed, bare, hex, only, row, text};
use crate::{commit::Change, db::word};

/// Generations of a policy that are remembered: a year of weekly changes, twice. What an operator goes back to is among
/// the last few.
pub(crate) const VERSIONS_KEPT: u64 = 100;

pub(crate) fn insert_publisher(change: &Change) -> Keyed {
    let Change::InsertPublisher(publisher) = change else {
        return None;
    };
    let row = row!({
        "id": hex(publisher.id), "name": publisher.name, "description": publisher.description,
        "generation": publisher.generation, "created_at": publisher.created_at,
    });
    Some((publisher.id.uuid(), row))
}

pub(crate) fn update_publisher(change: &Change) -> Keyed {
    let Change::UpdatePublisher(publisher) = change else {
        return None;
    };
    let row = row!({
        "id": hex(publisher.id), "generation": publisher.generation, "description": publisher.description,
    });
    Some((publisher.id.uuid(), row))
}

pub(crate) fn insert_key(change: &Change) -> Keyed {
    let Change::InsertPublisherKey(key) = change else {
        return None;
    };
    let row = row!({
        "id": hex(key.id), "publisher": hex(key.publisher), "key_id": key.key_id, "public_key": key.public_key,
        "added_by": key.added_by, "created_at": key.created_at,
    });
    Some((key.id.uuid(), row))
}

pub(crate) fn revoke_key(change: &Change) -> Keyed {
    let Change::RevokePublisherKey { id, revocation } = change else {
        return None;
    };
    let row = row!({
        "id": hex(*id), "revoked_at": revocation.at, "revoked_by": revocation.by, "reason": revocation.reason,
    });
    Some((id.uuid(), row))
}

pub(crate) fn insert_plugin(change: &Change) -> Keyed {
    let Change::InsertPlugin(plugin) = change else {
        return None;
    };
    let (allowed_by, signed_by) = match &plugin.origin {
        Origin::Directory => ("", None),
        Origin::Unsigned { allowed_by } => (allowed_by.as_str(), None),
        Origin::Signed(signature) => ("", Some(hex(signature.key))),
    };
    let row = row!({
        "id": hex(plugin.id), "digest": plugin.digest, "name": plugin.manifest.name,
        "version": plugin.manifest.version, "world": plugin.manifest.world.as_str(),
        "manifest": text(&plugin.manifest), "grants": text(&plugin.grant), "origin": plugin.origin.as_str(),
        "allowed_by": allowed_by, "signed_by": signed_by, "imports": text(&plugin.imports),
        "exports": text(&plugin.exports), "size_bytes": plugin.size_bytes, "created_at": plugin.created_at,
    });
    Some((plugin.id.uuid(), row))
}

fn publisher_of(name: &PluginName) -> Option<Hex> {
    match name.holder {
        NameHolder::Publisher(id) => Some(hex(id)),
        NameHolder::Operator | NameHolder::Nobody => None,
    }
}

pub(crate) fn new_name(change: &Change) -> Keyed {
    claim(change, false)
}

pub(crate) fn raise_name(change: &Change) -> Keyed {
    claim(change, true)
}

fn claim(change: &Change, is_known: bool) -> Keyed {
    let Change::ClaimPluginName { plugin, name, was } = change else {
        return None;
    };
    if was.is_some() != is_known {
        return None;
    }
    let (highest, digest) = name.highest.clone().unzip();
    let was_highest = was
        .as_ref()
        .and_then(|was| was.highest.as_ref().map(|of| of.0.clone()));
    let row = row!({
        "plugin": hex(*plugin), "name": name.name, "holder": name.holder.as_str(), "publisher": publisher_of(name),
        "highest": highest, "digest": digest, "was_holder": was.as_ref().map(|was| was.holder.as_str()),
        "was_publisher": was.as_ref().and_then(publisher_of), "was_highest": was_highest,
    });
    Some((plugin.uuid(), row))
}

pub(crate) fn insert_activation(change: &Change) -> Keyed {
    let Change::InsertActivation(of) = change else {
        return None;
    };
    let row = row!({
        "id": hex(of.id), "zone": hex(of.zone), "name": of.name, "digest": of.digest, "previous": of.previous,
        "generation": of.generation, "caller": of.caller, "changed_at": of.changed_at,
    });
    Some((of.id.uuid(), row))
}

pub(crate) fn update_activation(change: &Change) -> Keyed {
    let Change::UpdateActivation(of) = change else {
        return None;
    };
    let row = row!({
        "id": hex(of.id), "generation": of.generation, "digest": of.digest, "previous": of.previous,
        "caller": of.caller, "changed_at": of.changed_at,
    });
    Some((of.id.uuid(), row))
}

pub(crate) fn driven_host(change: &Change) -> Keyed {
    let Change::UpdateComputeHost(host) = change else {
        return None;
    };
    let row = row!({ "id": hex(host.id), "generation": host.generation, "digest": host.driver });
    Some((host.id.uuid(), row))
}

pub(crate) fn driven_pool(change: &Change) -> Keyed {
    let Change::UpdateStoragePool(pool) = change else {
        return None;
    };
    let row = row!({ "id": hex(pool.id), "generation": pool.generation, "digest": pool.provider });
    Some((pool.id.uuid(), row))
}

pub(crate) fn insert_policy(change: &Change) -> Keyed {
    let Change::InsertPolicy(policy) = change else {
        return None;
    };
    let row = row!({
        "id": hex(policy.id), "name": policy.name, "digest": policy.digest, "config": text(&policy.config),
        "fallback": word(&policy.fallback), "generation": policy.generation, "since": policy.since,
        "cause": word(&policy.cause), "created_at": policy.created_at,
    });
    Some((policy.id.uuid(), row))
}

pub(crate) fn update_policy(change: &Change) -> Keyed {
    let Change::UpdatePolicy(policy) = change else {
        return None;
    };
    let row = row!({
        "id": hex(policy.id), "generation": policy.generation, "name": policy.name, "digest": policy.digest,
        "config": text(&policy.config), "fallback": word(&policy.fallback), "since": policy.since,
        "cause": word(&policy.cause),
    });
    Some((policy.id.uuid(), row))
}

pub(crate) fn insert_version(change: &Change) -> Keyed {
    let Change::InsertPolicyVersion(version) = change else {
        return None;
    };
    let row = row!({
        "policy": hex(version.policy), "generation": version.generation, "digest": version.digest,
        "config": text(&version.config), "fallback": word(&version.fallback), "cause": word(&version.cause),
        "reason": version.reason, "caller": version.caller, "created_at": version.created_at,
    });
    Some((version.policy.uuid(), row))
}

pub(crate) fn old_versions(change: &Change) -> Keyed {
    let Change::InsertPolicyVersion(version) = change else {
        return None;
    };
    let oldest = (version.generation + 1).checked_sub(VERSIONS_KEPT)?;
    let row = row!({ "policy": hex(version.policy), "oldest": oldest });
    Some((version.policy.uuid(), row))
}

pub(crate) fn begin_shadow(change: &Change) -> Keyed {
    let Change::BeginShadow(shadow) = change else {
        return None;
    };
    let row = row!({
        "id": hex(shadow.id), "policy": hex(shadow.policy), "digest": shadow.digest, "config": text(&shadow.config),
        "caller": shadow.caller, "started_at": shadow.started_at,
    });
    Some((shadow.id.uuid(), row))
}

pub(crate) fn end_shadow(change: &Change) -> Keyed {
    let Change::EndShadow { id, .. } = change else {
        return None;
    };
    only(*id)
}

pub(crate) fn count_shadow(change: &Change) -> Keyed {
    let Change::CountShadow { shadow, run, counts } = change else {
        return None;
    };
    let row = row!({ "shadow": hex(*shadow), "run": bare(*run), "counts": text(counts) });
    let key: Uuid = shadow.uuid();
    Some((key, row))
}
