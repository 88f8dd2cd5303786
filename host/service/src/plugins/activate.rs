//! `POST /v1/plugins/{id}/activate` and `/rollback`: which version of a driver or provider a zone works with.

use serde_json::json;
use velum_model::{
    PluginId,
    id::{ClusterId, StoragePoolId, ZoneId},
    infrastructure::{ComputeHost, StoragePool, Zone},
    page::Page,
    plugin::{Activation, Digest, Plugin, World},
    tenancy::Caller,
};
use velum_store::{Change, Commit, ComputeHostFilter, NewEvent, PluginFilter, StoragePoolFilter};

use super::{Activated, Activating};
use crate::{
    error::ServiceError,
    request::{Answered, Keyed},
    services::Services,
    storage_pools::{abilities_of, target_of_pool},
    targets::{probe, unanswered},
    write::{lost_a_race, no_such, own_event},
};

/// Every page of a list.
macro_rules! every {
    ($page:ident => $read:expr) => {{
        let mut items = Vec::new();
        let mut $page = Page {
            limit: Page::MAX_LIMIT,
            after: None,
        };
        loop {
            let part = $read
                .await
                .map_err(|error| ServiceError::from_store("read what goes over", error))?;
            items.extend(part.items);
            $page.after = part.next;
            if $page.after.is_none() {
                break items;
            }
        }
    }};
}

/// A version on its way into a zone.
struct Going<'a> {
    plugin: &'a Plugin,
    zone: &'a Zone,
    parts: &'a Activating,
    /// Every installed version of the name.
    versions: Vec<Digest>,
    /// The kind of its event.
    event: &'static str,
}

impl Services {
    /// Makes a version of a driver or provider the one that a zone works with: compute hosts or pools that use another
    /// version of it go over in one transaction, new ones get it. What is under way ends with the version that it began
    /// with. With clusters or pools named, only those go over, and new ones get what the zone has.
    ///
    /// # Errors
    /// It does not exist, is a policy, is signed with a revoked key, does not take the settings of a host or pool, or the
    /// zone, a cluster or a pool does not exist.
    pub async fn plugin_activate(
        &self,
        caller: &Caller,
        id: PluginId,
        activating: Activating,
        keyed: Option<Keyed<Activated>>,
    ) -> Result<Answered<Activated>, ServiceError> {
        let plugin = self.plugin_get(caller, id).await?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let by = (caller, keyed.as_ref());
        self.go_over(by, plugin, &activating, "plugin.activated").await
    }

    /// Puts the version before back, in the whole zone.
    ///
    /// # Errors
    /// It does not exist or is not active there, there was no version before, or that one is not installed any more.
    pub async fn plugin_rollback(
        &self,
        caller: &Caller,
        id: PluginId,
        zone: ZoneId,
        keyed: Option<Keyed<Activated>>,
    ) -> Result<Answered<Activated>, ServiceError> {
        let plugin = self.plugin_get(caller, id).await?;
        if let Some(answer) = self.known(keyed.as_ref()).await? {
            return Ok(Answered::Replayed(answer));
        }
        let name = &plugin.manifest.name;
        let zone = self.zone_named(caller, zone, "/zone_id").await?;
        let refused = |problem: String| ServiceError::InvalidState {
            what: "plugin",
            id: id.uuid(),
            problem,
        };
        let active = self.activation(zone.id, name).await?;
        let active = active
            .filter(|active| active.digest == plugin.digest)
            .ok_or_else(|| {
                refused(format!(
                    "{name} {} is not the version that is active in the zone {}",
                    plugin.manifest.version, zone.name
                ))
            })?;
        let before = active
            .previous
            .ok_or_else(|| refused(format!("the zone {} had no version of {name} before", zone.name)))?;
        let before = self.plugin_of(&before).await?.ok_or_else(|| {
            refused(format!(
                "the version of {name} that was active before, {before}, is not installed any more: install it again, \
                 then activate it"
            ))
        })?;
        let whole = Activating {
            zone: Some(zone.id),
            ..Activating::default()
        };
        let by = (caller, keyed.as_ref());
        self.go_over(by, before, &whole, "plugin.rolled-back").await
    }

    async fn go_over(
        &self,
        (caller, keyed): (&Caller, Option<&Keyed<Activated>>),
        plugin: Plugin,
        parts: &Activating,
        event: &'static str,
    ) -> Result<Answered<Activated>, ServiceError> {
        self.ensure_activatable(&plugin)?;
        let zone = parts.zone.ok_or_else(|| {
            ServiceError::invalid("/zone_id", "is missing", "say in which zone it is to be active")
        })?;
        let zone = self.zone_named(caller, zone, "/zone_id").await?;
        if plugin.manifest.world == World::PlacementPolicy {
            return Err(ServiceError::InvalidState {
                what: "plugin",
                id: plugin.id.uuid(),
                problem: format!(
                    "{} is a placement policy: what a policy is made of is changed there (velum policy shadow, promote)",
                    plugin.manifest.name
                ),
            });
        }
        self.plugin_ready(&plugin.digest).await?;
        let going = Going {
            versions: self.versions_of(&plugin).await?,
            plugin: &plugin,
            zone: &zone,
            parts,
            event,
        };
        let mut tries = 0;
        loop {
            let gone = self.go_over_once(caller, &going, keyed).await;
            if !lost_a_race(&gone, None, &mut tries) {
                return gone;
            }
        }
    }

    /// A version whose key was revoked is not put to work any more.
    pub(crate) fn ensure_activatable(&self, plugin: &Plugin) -> Result<(), ServiceError> {
        match plugin.origin.revoked_at() {
            None => Ok(()),
            Some(at) => Err(ServiceError::InvalidState {
                what: "plugin",
                id: plugin.id.uuid(),
                problem: format!(
                    "{} {} is signed with a key that was revoked at {at}: install a version that is signed with another",
                    plugin.manifest.name, plugin.manifest.version
                ),
            }),
        }
    }

    async fn versions_of(&self, plugin: &Plugin) -> Result<Vec<Digest>, ServiceError> {
        let of_name = PluginFilter {
            name: Some(plugin.manifest.name.clone()),
            ..PluginFilter::default()
        };
        let reader = self.read();
        let all: Vec<Plugin> = every!(page => reader.plugins(&of_name, page));
        Ok(all.into_iter().map(|plugin| plugin.digest).collect())
    }

    pub(crate) async fn activation(
        &self,
        zone: ZoneId,
        name: &velum_model::Name,
    ) -> Result<Option<Activation>, ServiceError> {
        let active = self.read().activation(zone, name).await;
        active.map_err(|error| ServiceError::from_store("read which version is active", error))
    }

    async fn go_over_once(
        &self,
        caller: &Caller,
        going: &Going<'_>,
        keyed: Option<&Keyed<Activated>>,
    ) -> Result<Answered<Activated>, ServiceError> {
        let plugin = going.plugin;
        let (hosts, pools) = match plugin.manifest.world {
            World::HypervisorDriver => (self.hosts_to_go(going).await?, Vec::new()),
            World::StorageProvider | World::PlacementPolicy => (Vec::new(), self.pools_to_go(going).await?),
        };
        let done = Activated {
            plugin: plugin.clone(),
            zone: going.zone.id,
            compute_hosts: hosts.len() as u64,
            storage_pools: pools.len() as u64,
        };
        let mut changes: Vec<Change> = hosts
            .into_iter()
            .map(|host| Change::UpdateComputeHost(Box::new(host)))
            .collect();
        changes.extend(
            pools
                .into_iter()
                .map(|pool| Change::UpdateStoragePool(Box::new(pool))),
        );
        let was = self.activation(going.zone.id, &plugin.manifest.name).await?;
        let is_whole = going.parts.clusters.is_empty() && going.parts.storage_pools.is_empty();
        if is_whole {
            changes.extend(self.activated(caller, going, was.as_ref()));
        }
        if changes.is_empty() && keyed.is_none() {
            return Ok(Answered::Fresh(done));
        }
        let told = NewEvent {
            data: json!({
                "zone_id": going.zone.id, "name": plugin.manifest.name, "version": plugin.manifest.version,
                "digest": plugin.digest, "before": was.map(|was| was.digest),
                "compute_hosts": done.compute_hosts, "storage_pools": done.storage_pools,
            }),
            ..own_event(caller, going.event, ("plugins", plugin.id.uuid()))
        };
        let commit = Commit {
            fence: Some(self.fence(going.zone.shard)?),
            changes,
            events: vec![told],
            ..Commit::default()
        };
        let made = self.make("activate the plugin", commit, keyed, done).await?;
        let now = self.activation(going.zone.id, &plugin.manifest.name).await?;
        if is_whole && now.is_none_or(|now| now.digest != plugin.digest) {
            // Somebody else's was the zone's first in the same moment: it is read, and this one takes its place.
            return Err(ServiceError::Stale {
                what: "zone",
                id: going.zone.id.uuid(),
            });
        }
        Ok(made)
    }

    /// The zone's own row, unless it says so already.
    fn activated(&self, caller: &Caller, going: &Going<'_>, was: Option<&Activation>) -> Option<Change> {
        let digest = going.plugin.digest.clone();
        match was {
            Some(was) if was.digest == digest => None,
            Some(was) => Some(Change::UpdateActivation(Activation {
                previous: Some(was.digest.clone()),
                digest,
                caller: caller.name.clone(),
                changed_at: self.now(),
                ..was.clone()
            })),
            None => Some(Change::InsertActivation(self.first_activation(
                caller,
                going.zone.id,
                going.plugin,
            ))),
        }
    }

    /// The row of a zone that uses a plugin for the first time.
    pub(crate) fn first_activation(&self, caller: &Caller, zone: ZoneId, plugin: &Plugin) -> Activation {
        Activation {
            id: self.fresh(),
            zone,
            name: plugin.manifest.name.clone(),
            digest: plugin.digest.clone(),
            previous: None,
            generation: 1,
            caller: caller.name.clone(),
            changed_at: self.now(),
        }
    }

    /// The version of a plugin that a new compute host or pool of a zone gets, with the row that says so if it is the first.
    pub(crate) async fn plugin_for(
        &self,
        caller: &Caller,
        zone: ZoneId,
        name: &velum_model::Name,
        (world, field): (World, &'static str),
    ) -> Result<(Plugin, Option<Change>), ServiceError> {
        let Some(active) = self.activation(zone, name).await? else {
            let newest = self.newest_plugin(name, world, field).await?;
            self.ensure_activatable(&newest)?;
            let first = self.first_activation(caller, zone, &newest);
            return Ok((newest, Some(Change::InsertActivation(first))));
        };
        self.plugin_ready(&active.digest).await?;
        match self.plugin_of(&active.digest).await? {
            Some(plugin) if plugin.manifest.world == world => Ok((plugin, None)),
            _ => Err(ServiceError::invalid(
                field,
                format!("{name} is no {world}"),
                format!("name a plugin of the world {world}"),
            )),
        }
    }

    async fn hosts_to_go(&self, going: &Going<'_>) -> Result<Vec<ComputeHost>, ServiceError> {
        for cluster in &going.parts.clusters {
            self.ensure_cluster(going.zone.id, *cluster).await?;
        }
        if let Some(pool) = going.parts.storage_pools.first() {
            let problem = format!(
                "{} is a hypervisor driver, and {pool} a storage pool",
                going.plugin.manifest.name
            );
            return Err(ServiceError::invalid(
                "/storage_pool_ids",
                problem,
                "name clusters",
            ));
        }
        let in_zone = ComputeHostFilter {
            zone: Some(going.zone.id),
            ..ComputeHostFilter::default()
        };
        let reader = self.read();
        let mut hosts: Vec<ComputeHost> = every!(page => reader.compute_hosts(&in_zone, page));
        let clusters = &going.parts.clusters;
        hosts.retain(|host| {
            host.driver != going.plugin.digest
                && going.versions.contains(&host.driver)
                && (clusters.is_empty() || clusters.contains(&host.cluster))
        });
        if hosts.is_empty() {
            return Ok(hosts);
        }
        let driver = self.plugins().hypervisor(&going.plugin.digest)?;
        let described = probe(driver.describe()).await;
        let said = described.map_err(|fault| ServiceError::Unavailable {
            problem: format!("the driver does not describe itself: {}", fault.detail),
            retry_after_s: crate::error::LEASE_S,
        })?;
        for host in &mut hosts {
            self.check_target(&going.plugin.digest, &host.config)
                .map_err(|error| of_target(error, "compute host", &host.name))?;
            host.driver = going.plugin.digest.clone();
            host.abilities.attachment_kinds = said.attachment_kinds.clone();
            host.abilities.nic_kinds = said.nic_kinds.clone();
            host.abilities.console_kinds = said.console_kinds.clone();
            host.abilities.interfaces = said.interfaces.clone();
        }
        Ok(hosts)
    }

    async fn pools_to_go(&self, going: &Going<'_>) -> Result<Vec<StoragePool>, ServiceError> {
        if let Some(cluster) = going.parts.clusters.first() {
            let problem = format!(
                "{} is a storage provider, and {cluster} a cluster",
                going.plugin.manifest.name
            );
            return Err(ServiceError::invalid(
                "/cluster_ids",
                problem,
                "name storage pools",
            ));
        }
        for pool in &going.parts.storage_pools {
            self.ensure_pool(going.zone.id, *pool).await?;
        }
        let in_zone = StoragePoolFilter {
            zone: Some(going.zone.id),
            ..StoragePoolFilter::default()
        };
        let reader = self.read();
        let mut pools: Vec<StoragePool> = every!(page => reader.storage_pools(&in_zone, page));
        let named = &going.parts.storage_pools;
        pools.retain(|pool| {
            pool.provider != going.plugin.digest
                && going.versions.contains(&pool.provider)
                && (named.is_empty() || named.contains(&pool.id))
        });
        for pool in &mut pools {
            self.check_target(&going.plugin.digest, &pool.config)
                .map_err(|error| of_target(error, "storage pool", &pool.name))?;
            let provider = self.plugins().storage(&going.plugin.digest)?;
            let target = target_of_pool(pool);
            let described = probe(provider.describe(&target)).await;
            pool.abilities = abilities_of(described.map_err(|fault| unanswered(&target, &fault))?);
            pool.provider = going.plugin.digest.clone();
        }
        Ok(pools)
    }

    async fn ensure_cluster(&self, zone: ZoneId, id: ClusterId) -> Result<(), ServiceError> {
        let cluster = self.read().cluster(id).await;
        let cluster = cluster.map_err(|error| ServiceError::from_store("read the cluster", error))?;
        let is_there = cluster.is_some_and(|cluster| cluster.zone == zone);
        is_there
            .then_some(())
            .ok_or_else(|| no_such("/cluster_ids", "cluster of the zone", id))
    }

    async fn ensure_pool(&self, zone: ZoneId, id: StoragePoolId) -> Result<(), ServiceError> {
        let pool = self.read().storage_pool(id).await;
        let pool = pool.map_err(|error| ServiceError::from_store("read the storage pool", error))?;
        let is_there = pool.is_some_and(|pool| pool.zone == zone);
        is_there
            .then_some(())
            .ok_or_else(|| no_such("/storage_pool_ids", "storage pool of the zone", id))
    }
}

/// Settings that the new version does not take, said of whose they are.
fn of_target(error: ServiceError, what: &'static str, name: &velum_model::Name) -> ServiceError {
    match error {
        ServiceError::Invalid { field, problem, .. } => ServiceError::invalid(
            "/zone_id",
            format!("the settings of the {what} {name} do not fit this version: {field} {problem}"),
            "change its settings so that both versions take them, then activate again",
        ),
        other => other,
    }
}
