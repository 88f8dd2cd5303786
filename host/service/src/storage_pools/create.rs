//! `POST /v1/storage-pools`

use velum_model::{
    StoragePoolId,
    infrastructure::{Intent, PoolAbilities, PoolScope, StoragePool, Zone},
    plugin::{Digest, World},
    port::{
        storage::{ProviderDescriptor, Space},
        target::{Target, TargetKind},
    },
    quantity::Bytes,
    tenancy::Caller,
};
use velum_store::{Change, Commit};

use super::NewStoragePool;
use crate::{
    compute_hosts::object,
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    targets::{ADDRESS_MAX, check_addresses, check_attributes, probe, tidy_tags, unanswered},
    write::{administer, no_such, own_event},
};

impl Services {
    /// Registers a pool that answers.
    ///
    /// # Errors
    /// Zone, cluster or compute host do not exist, settings do not fit the provider's schema, the pool does not
    /// answer or is smaller than said, the name is taken.
    pub async fn storage_pool_create(
        &self,
        caller: &Caller,
        new: NewStoragePool,
        keyed: Option<Keyed<StoragePool>>,
    ) -> Result<Answered<StoragePool>, ServiceError> {
        administer(caller, "storage pool")?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        check_addresses(new.node.as_deref(), new.endpoint.as_deref())?;
        check_credential(&new)?;
        check_attributes(&new.attributes)?;
        let zone = self.zone_named(caller, new.zone, "/zone_id").await?;
        self.check_scope(&zone, new.scope).await?;
        let (provider, first) = self
            .plugin_for(
                caller,
                zone.id,
                &new.provider,
                (World::StorageProvider, "/provider"),
            )
            .await?;
        let id: StoragePoolId = self.fresh();
        let target = Target {
            kind: TargetKind::StoragePool,
            id: id.uuid(),
            config: object(new.config.clone()),
            node: new.node.clone(),
            endpoint: new.endpoint.clone(),
            secret: new.credential.clone(),
        };
        let (descriptor, space) = self.probe_pool(&provider.digest, &target).await?;
        let capacity = capacity_of(new.capacity, space)?;
        let pool = StoragePool {
            id,
            zone: zone.id,
            scope: new.scope,
            name: new.name,
            provider: provider.digest,
            config: target.config,
            node: new.node,
            endpoint: new.endpoint,
            credential: new.credential,
            capacity,
            bytes_ceiling: capacity.get(),
            bytes_used: 0,
            tags: tidy_tags(new.tags, "/tags")?,
            attributes: new.attributes,
            abilities: abilities_of(descriptor),
            intent: Intent::Enabled,
            driven_since: None,
            generation: 1,
            created_at: self.now(),
        };
        let mut changes = vec![Change::InsertStoragePool(Box::new(pool.clone()))];
        changes.extend(first);
        let commit = Commit {
            fence: Some(self.fence(zone.shard)?),
            changes,
            events: vec![own_event(
                caller,
                "storage-pool.created",
                ("storage-pools", id.uuid()),
            )],
            ..Commit::default()
        };
        self.make("store the pool", commit, keyed.as_ref(), pool).await
    }

    async fn check_scope(&self, zone: &Zone, scope: PoolScope) -> Result<(), ServiceError> {
        let failed = |error| ServiceError::from_store("read the pool's scope", error);
        match scope {
            PoolScope::Zone => Ok(()),
            PoolScope::Cluster(id) => {
                let cluster = self.read().cluster(id).await.map_err(failed)?;
                let fits = cluster.is_some_and(|cluster| cluster.zone == zone.id);
                fits.then_some(())
                    .ok_or_else(|| no_such("/cluster_id", "cluster of the zone", id))
            }
            PoolScope::ComputeHost(id) => {
                let host = self.read().compute_host(id).await.map_err(failed)?;
                let fits = host.is_some_and(|host| host.zone == zone.id);
                fits.then_some(())
                    .ok_or_else(|| no_such("/compute_host_id", "compute host of the zone", id))
            }
        }
    }

    async fn probe_pool(
        &self,
        provider: &Digest,
        target: &Target,
    ) -> Result<(ProviderDescriptor, Space), ServiceError> {
        self.check_target(provider, &target.config)?;
        self.check_node(target.node.as_deref()).await?;
        let provider = self.plugins().storage(provider)?;
        let asked = probe(async { Ok((provider.describe(target).await?, provider.probe(target).await?)) });
        asked.await.map_err(|fault| unanswered(target, &fault))
    }
}

/// A credential is named by the file that it lies in, and only for requests that are sent.
fn check_credential(new: &NewStoragePool) -> Result<(), ServiceError> {
    let Some(credential) = &new.credential else {
        return Ok(());
    };
    let field = "/credential";
    if new.endpoint.is_none() {
        return Err(ServiceError::invalid(
            field,
            "a pool without an endpoint is sent no requests",
            "give the endpoint, too, or leave the credential out",
        ));
    }
    if !credential.starts_with("file:/") || credential.len() > ADDRESS_MAX {
        return Err(ServiceError::invalid(
            field,
            format!("it is not of the form file:/absolute/path, in at most {ADDRESS_MAX} bytes"),
            "put the credential into a file that only the server can read, and name that",
        ));
    }
    Ok(())
}

fn capacity_of(wanted: Option<Bytes>, space: Space) -> Result<Bytes, ServiceError> {
    let field = "/capacity_bytes";
    match wanted {
        Some(wanted) if wanted.get() > space.capacity_bytes => Err(ServiceError::invalid(
            field,
            format!(
                "{} bytes are more than the {} that are there",
                wanted.get(),
                space.capacity_bytes
            ),
            "give at most what the pool holds, or leave it out to use what is free",
        )),
        Some(wanted) => Ok(wanted),
        None => Bytes::new(space.free_bytes.min(Bytes::MAX)).map_err(|_| {
            ServiceError::invalid(
                field,
                "the pool has no free space",
                "make room there, then try again",
            )
        }),
    }
}

/// What is kept of what a provider says of a pool.
pub(crate) fn abilities_of(descriptor: ProviderDescriptor) -> PoolAbilities {
    PoolAbilities {
        attachment_kinds: descriptor.attachment_kinds,
        formats: descriptor.formats,
        features: descriptor.features,
        granularity_bytes: descriptor.granularity_bytes,
        min_bytes: descriptor.min_bytes,
        max_bytes: descriptor.max_bytes,
    }
}

/// Handles of calls are made for a target; a description needs no more.
pub(crate) fn target_of_pool(pool: &StoragePool) -> Target {
    Target {
        kind: TargetKind::StoragePool,
        id: pool.id.uuid(),
        config: pool.config.clone(),
        node: pool.node.clone(),
        endpoint: pool.endpoint.clone(),
        secret: None,
    }
}
