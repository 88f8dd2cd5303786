//! How plugins are read with what stands behind them, and policies with their versions and shadows.

use std::collections::BTreeMap;

use serde_json::{Value as Json_, json};
use uuid::Uuid;
use velum_model::{
    Timestamp,
    id::*,
    name::Name,
    plugin::{Activation, Digest, Plugin, PluginUse, Policy, PolicyShadow, PolicyVersion},
    trust::{NameHolder, Origin, PluginName, Publisher, PublisherKey, Revocation, Signature},
};

use super::{
    Reader, Stored,
    hierarchy::{json, named, stored},
};
use crate::{
    commit::StoreError,
    db::{Columns, Row, Value},
    sql::plugins::{
        ACTIVATION, ACTIVE_IN, BEFORE, KEY, KEYS, NAME, REVOKED, SHADOW_COUNTS, SHADOW_OF, SHADOWS, USES,
        VERSIONS,
    },
};

stored! {
    Publisher, "publisher",
    "SELECT publisher.id, publisher.name, publisher.description, publisher.generation, publisher.created_at
     FROM publisher",
    |c| Publisher {
        id: c.take("id")?,
        name: c.take("name")?,
        description: c.take("description")?,
        generation: c.take("generation")?,
        created_at: c.take("created_at")?,
    };
    Plugin, "plugin",
    "SELECT plugin.id, plugin.digest, plugin.manifest, plugin.grants, plugin.origin, plugin.allowed_by, k.id, k.key_id,
        k.revoked_at, publisher.id, publisher.name, plugin.imports, plugin.exports, plugin.size_bytes,
        plugin.created_at
     FROM plugin LEFT JOIN publisher_key k ON k.id = plugin.signed_by
     LEFT JOIN publisher ON publisher.id = k.publisher",
    |c| Plugin {
        id: c.take("id")?,
        digest: c.take("digest")?,
        manifest: json(c, "manifest")?,
        grant: json(c, "grants")?,
        origin: origin(c)?,
        imports: json(c, "imports")?,
        exports: json(c, "exports")?,
        size_bytes: c.take("size_bytes")?,
        created_at: c.take("created_at")?,
    };
    Policy, "policy",
    "SELECT policy.id, policy.name, policy.digest, policy.config, policy.fallback, policy.generation, policy.since,
        policy.cause, policy.created_at FROM policy",
    |c| Policy {
        id: c.take("id")?,
        name: c.take("name")?,
        digest: c.take("digest")?,
        config: json(c, "config")?,
        fallback: named(c, "fallback")?,
        generation: c.take("generation")?,
        since: c.take("since")?,
        cause: named(c, "cause")?,
        created_at: c.take("created_at")?,
    };
}

fn origin(c: &mut Columns<'_>) -> Result<Origin, StoreError> {
    let (word, allowed_by): (String, String) = (c.take("origin")?, c.take("allowed_by")?);
    let (key, key_id): (Option<PublisherKeyId>, Option<String>) = (c.take("key")?, c.take("key_id")?);
    let revoked_at = c.take("revoked_at")?;
    let (publisher, publisher_name): (Option<PublisherId>, Option<Name>) =
        (c.take("publisher")?, c.take("publisher_name")?);
    match (word.as_str(), key, key_id, publisher, publisher_name) {
        ("directory", ..) => Ok(Origin::Directory),
        ("unsigned", ..) => Ok(Origin::Unsigned { allowed_by }),
        ("signed", Some(key), Some(key_id), Some(publisher), Some(publisher_name)) => {
            Ok(Origin::Signed(Signature {
                publisher,
                publisher_name,
                key,
                key_id,
                revoked_at,
            }))
        }
        _ => Err(unlike("plugin", "origin", &word)),
    }
}

fn unlike(table: &'static str, column: &'static str, word: &str) -> StoreError {
    StoreError::Inconsistent {
        table,
        column,
        row: String::new(),
        problem: format!("{word} is not known, or what belongs to it is missing"),
    }
}

fn key(row: &Row) -> Result<PublisherKey, StoreError> {
    let mut c = row.columns("publisher_key");
    Ok(PublisherKey {
        id: c.take("id")?,
        publisher: c.take("publisher")?,
        key_id: c.take("key_id")?,
        public_key: c.take("public_key")?,
        added_by: c.take("added_by")?,
        created_at: c.take("created_at")?,
        revoked: {
            let at: Option<Timestamp> = c.take("revoked_at")?;
            let (by, reason): (Option<String>, Option<String>) = (c.take("revoked_by")?, c.take("reason")?);
            at.map(|at| Revocation {
                at,
                by: by.unwrap_or_default(),
                reason: reason.unwrap_or_default(),
            })
        },
    })
}

fn shadow(row: &Row) -> Result<PolicyShadow, StoreError> {
    let mut c = row.columns("policy_shadow");
    Ok(PolicyShadow {
        id: c.take("id")?,
        policy: c.take("policy")?,
        digest: c.take("digest")?,
        config: json(&mut c, "config")?,
        caller: c.take("caller")?,
        started_at: c.take("started_at")?,
    })
}

fn version(row: &Row) -> Result<PolicyVersion, StoreError> {
    let mut c = row.columns("policy_version");
    Ok(PolicyVersion {
        policy: c.take("policy")?,
        generation: c.take("generation")?,
        digest: c.take("digest")?,
        config: json(&mut c, "config")?,
        fallback: named(&mut c, "fallback")?,
        cause: named(&mut c, "cause")?,
        reason: c.take("reason")?,
        caller: c.take("caller")?,
        created_at: c.take("created_at")?,
    })
}

#[expect(clippy::missing_errors_doc, reason = "the module says it once for all")]
impl Reader {
    /// The keys of a publisher, oldest first.
    pub async fn keys_of(&self, publisher: PublisherId) -> Result<Vec<PublisherKey>, StoreError> {
        let rows = self.database.fetch(&KEYS, &[Value::from(publisher)]).await?;
        rows.iter().map(key).collect()
    }

    /// The key that signatures call so, whoever's it is.
    pub async fn publisher_key(&self, key_id: &str) -> Result<Option<PublisherKey>, StoreError> {
        let rows = self.database.fetch(&KEY, &[Value::from(key_id)]).await?;
        rows.first().map(key).transpose()
    }

    /// Whose the name of a plugin is; none when nothing of this name was ever installed.
    pub async fn plugin_name(&self, name: &Name) -> Result<Option<PluginName>, StoreError> {
        let rows = self.database.fetch(&NAME, &[Value::from(name.as_str())]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut c = row.columns("plugin_name");
        let name = c.take("name")?;
        let holder: String = c.take("holder")?;
        let publisher: Option<PublisherId> = c.take("publisher")?;
        let (highest, digest): (Option<String>, Option<Digest>) = (c.take("highest")?, c.take("digest")?);
        let holder = match (holder.as_str(), publisher) {
            ("operator", None) => NameHolder::Operator,
            ("nobody", None) => NameHolder::Nobody,
            ("publisher", Some(publisher)) => NameHolder::Publisher(publisher),
            _ => return Err(unlike("plugin_name", "holder", &holder)),
        };
        Ok(Some(PluginName {
            name,
            holder,
            highest: highest.zip(digest),
        }))
    }

    /// The plugin of a digest.
    pub async fn plugin_by_digest(&self, digest: &Digest) -> Result<Option<Plugin>, StoreError> {
        Ok(self
            .few("plugin.digest = ?", Value::from(digest.as_str()), "plugin.id")
            .await?
            .pop())
    }

    /// The plugin of a name that was installed last.
    pub async fn newest_plugin(&self, name: &Name) -> Result<Option<Plugin>, StoreError> {
        let name = Value::from(name.as_str());
        Ok(self
            .few("plugin.name = ?", name, "plugin.created_at, plugin.id")
            .await?
            .pop())
    }

    /// What uses each of these plugins.
    pub async fn plugin_uses(&self, digests: &[Digest]) -> Result<BTreeMap<Digest, PluginUse>, StoreError> {
        let asked: Vec<Json_> = digests.iter().map(|digest| json!({ "digest": digest })).collect();
        let asked = [Value::from(Json_::Array(asked).to_string())];
        let mut uses = BTreeMap::new();
        for row in self.database.fetch(&USES, &asked).await? {
            let mut c = row.columns("plugin");
            let digest: Digest = c.take("digest")?;
            let of = PluginUse {
                zones: Vec::new(),
                compute_hosts: c.take("compute_hosts")?,
                storage_pools: c.take("storage_pools")?,
                policies: c.take("policies")?,
                shadows: c.take("shadows")?,
                operations: c.take("operations")?,
            };
            uses.insert(digest, of);
        }
        for row in self.database.fetch(&ACTIVE_IN, &asked).await? {
            let mut c = row.columns("plugin_active");
            let (digest, zone): (Digest, ZoneId) = (c.take("digest")?, c.take("zone")?);
            uses.entry(digest)
                .or_insert_with(PluginUse::default)
                .zones
                .push(zone);
        }
        Ok(uses)
    }

    /// How many plugins are in use whose key was revoked.
    pub async fn plugins_with_revoked_keys(&self) -> Result<u64, StoreError> {
        let rows = self.database.fetch(&REVOKED, &[]).await?;
        rows.first().map_or(Ok(0), |row| row.only("plugin", "count"))
    }

    /// Which version of a plugin a zone uses; none when it never used any.
    pub async fn activation(&self, zone: ZoneId, name: &Name) -> Result<Option<Activation>, StoreError> {
        let values = [Value::from(zone), Value::from(name.as_str())];
        let rows = self.database.fetch(&ACTIVATION, &values).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let mut c = row.columns("plugin_active");
        Ok(Some(Activation {
            id: c.take("id")?,
            zone: c.take("zone")?,
            name: c.take("name")?,
            digest: c.take("digest")?,
            previous: c.take("previous")?,
            generation: c.take("generation")?,
            caller: c.take("caller")?,
            changed_at: c.take("changed_at")?,
        }))
    }

    /// What drove a compute host or pool for an operation that was accepted at `at`; none when that is what drives it now.
    pub async fn driven_by_at(&self, place: Uuid, at: Timestamp) -> Result<Option<Digest>, StoreError> {
        let values = [Value::from(place), Value::from(at.micros())];
        let rows = self.database.fetch(&BEFORE, &values).await?;
        rows.first()
            .map(|row| row.only("plugin_before", "digest"))
            .transpose()
    }

    /// The generations of a policy that are remembered, newest first.
    pub async fn policy_versions(&self, policy: PolicyId) -> Result<Vec<PolicyVersion>, StoreError> {
        let rows = self.database.fetch(&VERSIONS, &[Value::from(policy)]).await?;
        rows.iter().map(version).collect()
    }

    /// Every shadow: one a policy at most.
    pub async fn shadows(&self) -> Result<Vec<PolicyShadow>, StoreError> {
        let rows = self.database.fetch(&SHADOWS, &[]).await?;
        rows.iter().map(shadow).collect()
    }

    /// The shadow of a policy.
    pub async fn shadow_of(&self, policy: PolicyId) -> Result<Option<PolicyShadow>, StoreError> {
        let rows = self.database.fetch(&SHADOW_OF, &[Value::from(policy)]).await?;
        rows.first().map(shadow).transpose()
    }

    /// What each run of a server counted of a shadow.
    pub async fn shadow_counts(&self, shadow: ShadowId) -> Result<Vec<(Uuid, Json_)>, StoreError> {
        let rows = self
            .database
            .fetch(&SHADOW_COUNTS, &[Value::from(shadow)])
            .await?;
        rows.iter()
            .map(|row| {
                let mut c = row.columns("policy_shadow_count");
                Ok((c.take("run")?, json(&mut c, "counts")?))
            })
            .collect()
    }
}
