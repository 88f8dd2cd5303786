//! Following the other servers: what they commit is in the log of events, and what this one keeps in memory of rows that
//! no shard owns (plugins, policies) is refreshed from it. What a shard owns is in the memory of its owner alone.

use std::{future::Future, time::Duration};

use velum_model::{
    Id,
    id::PolicyId,
    operation::Event,
    plugin::{Digest, Policy},
};
use velum_store::{EventCursor, Table};

use crate::{error::ServiceError, planner::Note, plugins::load_plugin, services::Services};

/// How often the log is looked at. One query as long as nothing happened elsewhere; a listener of another server's events
/// hears them this much later.
const EVERY: Duration = Duration::from_millis(250);
/// Events read at once.
const PAGE: u32 = 500;

impl Services {
    /// Follows the log from `after` on, for ever. Listeners are told at once; a component that has to be compiled first
    /// does not hold them up.
    pub async fn follow(&self, after: EventCursor) {
        let told = self.read_on(after.clone(), |event| {
            self.tell_listeners(&event);
            std::future::ready(())
        });
        let learned = self.read_on(after, |event| async move { self.learn(&event).await });
        tokio::join!(told, learned);
    }

    async fn read_on<F: Future<Output = ()>>(&self, after: EventCursor, hear: impl Fn(Event) -> F) {
        let mut position = after;
        // An outage is told once.
        let mut is_told = false;
        loop {
            match self.read().events_after(&position, PAGE).await {
                Ok(events) => {
                    is_told = false;
                    let is_full = events.len() == PAGE as usize;
                    for event in events {
                        position.advance(&event);
                        hear(event).await;
                    }
                    if is_full {
                        continue;
                    }
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "could not read what other servers did; trying again"
                    );
                }
                Err(_) => {}
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Wakes who listens here. What this server committed under a shard's epoch they have heard already.
    fn tell_listeners(&self, event: &Event) {
        if self.store().epoch(event.shard) != Some(event.epoch) {
            self.watch().heard(event.clone());
        }
    }

    async fn learn(&self, event: &Event) {
        let learned = match event.kind.as_str() {
            "plugin.installed" => self.learn_plugin(event).await,
            "plugin.deleted" => self.forget_plugin(event).await,
            "policy.created"
            | "policy.changed"
            | "policy.promoted"
            | "policy.rolled-back"
            | "policy.shadow-began"
            | "policy.shadow-ended" => self.relearn_policy(Id::from_uuid(event.resource)).await,
            "policy.deleted" => {
                self.watch().tell(Note::Gone(Table::Policy, event.resource));
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = learned {
            tracing::error!(kind = event.kind, resource = %event.resource, %error,
                "could not follow what another server did");
        }
    }

    async fn learn_plugin(&self, event: &Event) -> Result<(), ServiceError> {
        let plugin = self.read().plugin(Id::from_uuid(event.resource)).await;
        let plugin = plugin.map_err(|error| ServiceError::from_store("read the plugin", error))?;
        match plugin {
            Some(plugin) => Ok(load_plugin(self.store(), self.plugins().as_ref(), &plugin).await?),
            None => Ok(()),
        }
    }

    async fn forget_plugin(&self, event: &Event) -> Result<(), ServiceError> {
        let digest = event.data.get("digest").cloned().unwrap_or_default();
        let Ok(digest) = serde_json::from_value::<Digest>(digest) else {
            return Ok(());
        };
        let there = self.read().plugin_by_digest(&digest).await;
        let there = there.map_err(|error| ServiceError::from_store("look up the plugin", error))?;
        // It may have been installed again meanwhile.
        if there.is_none() {
            self.plugins().remove(&digest).await?;
        }
        Ok(())
    }

    /// Reads a policy again, loads its plugin and tells the planners.
    pub(crate) async fn relearn_policy(&self, id: PolicyId) -> Result<(), ServiceError> {
        let policy = self.read().policy(id).await;
        let policy = policy.map_err(|error| ServiceError::from_store("read the policy", error))?;
        if let Some(policy) = policy {
            self.plugin_ready(&policy.digest).await?;
            self.learn_policy(policy);
            self.learn_shadow(id).await?;
        }
        Ok(())
    }

    /// Tells the planners which shadow a policy has now.
    async fn learn_shadow(&self, policy: PolicyId) -> Result<(), ServiceError> {
        if !self.store().is_shared() {
            return Ok(());
        }
        let shadow = self.read().shadow_of(policy).await;
        let shadow = shadow.map_err(|error| ServiceError::from_store("read the shadow", error))?;
        match shadow {
            Some(shadow) => {
                self.plugin_ready(&shadow.digest).await?;
                self.watch().tell(Note::Shadow(Box::new(shadow)));
            }
            None => self.watch().tell(Note::ShadowGone(policy, None)),
        }
        Ok(())
    }

    /// Tells the planners of a policy that another server may have made or changed a moment ago.
    pub(crate) fn learn_policy(&self, policy: Policy) {
        if self.store().is_shared() {
            self.watch().tell(Note::Policy(Box::new(policy)));
        }
    }
}
