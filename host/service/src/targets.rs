//! Asking a far side whether it is what the operator says, before anything of it is stored.

use std::{future::Future, time::Duration};

use serde_json::Value;
use velum_model::{
    Name,
    fault::Fault,
    id::PolicyId,
    infrastructure::Intent,
    plugin::{Digest, Plugin, World},
    port::{
        placement::PolicyFailure,
        plugins::{ConfigPart, PluginRefused},
        target::Target,
    },
};

use crate::{error::ServiceError, services::Services, write::no_such};

/// How long a far side may take to answer a probe: the time after which a person at the other end of the request
/// gives up. Each plugin has deadlines of its own below it.
const PROBE: Duration = Duration::from_secs(20);

/// Tags of a host, a pool or an offering: as many as a person can oversee.
const TAGS_MAX: usize = 64;
/// Attributes of a host or a pool; each is a column in memory.
const ATTRIBUTES_MAX: usize = 64;
/// Addresses and origins: as long as a Unix socket's path or a URL with a long host name gets.
pub(crate) const ADDRESS_MAX: usize = 1024;

impl Services {
    /// The newest installed plugin of a name, which must be of a world.
    pub(crate) async fn newest_plugin(
        &self,
        name: &Name,
        world: World,
        field: &str,
    ) -> Result<Plugin, ServiceError> {
        let plugin = self.read().newest_plugin(name).await;
        let plugin = plugin
            .map_err(|error| ServiceError::from_store("look up the plugin", error))?
            .ok_or_else(|| {
                ServiceError::invalid(
                    field,
                    format!("no plugin {name} is installed"),
                    "a plugin is named here, not a policy: GET /v1/plugins lists them, POST /v1/plugins installs one",
                )
            })?;
        if plugin.manifest.world == world {
            self.plugin_ready(&plugin.digest).await?;
            Ok(plugin)
        } else {
            let problem = format!("{name} is a {}, not a {world}", plugin.manifest.world);
            Err(ServiceError::invalid(
                field,
                problem,
                format!("name a plugin of the world {world}"),
            ))
        }
    }

    /// A target's settings against the plugin's schema.
    pub(crate) fn check_target(&self, digest: &Digest, config: &Value) -> Result<(), ServiceError> {
        let checked = self.plugins().check_config(digest, ConfigPart::Target, config);
        checked.map_err(refused_config)
    }

    /// A policy that a zone or offering names must exist and rank rows of this kind.
    pub(crate) async fn check_ranks(
        &self,
        policy: Option<PolicyId>,
        row_kind: u16,
        field: &str,
    ) -> Result<(), ServiceError> {
        let Some(id) = policy else { return Ok(()) };
        let policy = self.read().policy(id).await;
        let policy = policy
            .map_err(|error| ServiceError::from_store("read the policy", error))?
            .ok_or_else(|| no_such(field, "policy", id))?;
        let ranks = self
            .try_policy(policy.digest.clone(), policy.config.clone())
            .await?;
        if ranks == row_kind {
            self.learn_policy(policy.clone());
            return Ok(());
        }
        Err(ServiceError::invalid(
            field,
            format!(
                "the policy {} ranks rows of kind {ranks}, not {row_kind}",
                policy.name
            ),
            "compute hosts are kind 0, storage pools kind 1: name a policy made for them",
        ))
    }

    /// Makes an instance of a policy once and answers what it ranks. Off the runtime's threads: it computes.
    pub(crate) async fn try_policy(&self, digest: Digest, config: Value) -> Result<u16, ServiceError> {
        self.plugin_ready(&digest).await?;
        let plugins = std::sync::Arc::clone(self.plugins());
        let tried = tokio::task::spawn_blocking(move || {
            let policy = plugins.policy_aside(&digest, &config)?;
            Ok::<u16, PluginRefused>(policy.descriptor().row_kind)
        });
        match tried.await {
            Ok(tried) => tried.map_err(refused_config),
            Err(_) => {
                let crashed = PolicyFailure::Unavailable("it could not be tried".into());
                Err(ServiceError::PluginRefused(PluginRefused::Smoke(
                    crashed.to_string(),
                )))
            }
        }
    }

    /// A `velum-node` must answer at its address.
    pub(crate) async fn check_node(&self, address: Option<&str>) -> Result<(), ServiceError> {
        let Some(address) = address else { return Ok(()) };
        let hello = async {
            let node = self.nodes().node(address)?;
            node.hello().await
        };
        probe(hello).await.map(drop).map_err(|fault| {
            ServiceError::invalid(
                "/node",
                format!("velum-node does not answer at {address}: {}", fault.detail),
                "start velum-node there, or correct the address (unix:/run/velum/node.sock, or what velum-node enroll printed)",
            )
        })
    }
}

/// Asks a far side, for as long as a caller may wait.
pub(crate) async fn probe<T>(asking: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match tokio::time::timeout(PROBE, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::new(
            velum_model::fault::code::DEADLINE,
            format!("no answer within {} s", PROBE.as_secs()),
        )),
    }
}

/// A far side that did not answer, said of the setting that most likely names it. Nothing has changed.
pub(crate) fn unanswered(target: &Target, fault: &Fault) -> ServiceError {
    // The far side does not take the credential, or the server cannot read it: then the fault names it.
    if let Some(credential) = &target.secret
        && (fault.code == velum_model::fault::code::DENIED || fault.detail.contains(credential.as_str()))
    {
        return ServiceError::invalid(
            "/credential",
            format!("{credential} cannot be used: {}", fault.detail),
            "check that the server can read it, nobody else can, and the far side takes it, then try again",
        );
    }
    let named = ["uri", "url", "directory", "path", "address"];
    let setting = named.iter().find(|name| target.config.get(**name).is_some());
    let (field, value) = match (setting, &target.endpoint, &target.node) {
        // It answered, and has not what the settings name.
        (None, Some(_), _) if fault.code == velum_model::fault::code::NOT_FOUND => ("/config".into(), None),
        (Some(name), ..) => (
            format!("/config/{name}"),
            target.config.get(*name).map(Value::to_string),
        ),
        (None, Some(endpoint), _) => ("/endpoint".into(), Some(endpoint.clone())),
        (None, None, Some(node)) => ("/node".into(), Some(node.clone())),
        (None, None, None) => ("/config".into(), None),
    };
    let place = value.unwrap_or_else(|| "the place that the settings name".into());
    // A plugin may leave the words out; what kind of fault it is, it cannot.
    let why = match fault.detail.as_str() {
        "" => velum_model::fault::name_of(fault.code),
        words => words,
    };
    ServiceError::invalid(
        field,
        format!("{place} cannot be used: {why}"),
        "check that it exists, runs and may be used by Velum, then try again",
    )
}

/// A configuration that does not fit its schema, said of its field.
pub(crate) fn refused_config(refused: PluginRefused) -> ServiceError {
    match refused {
        PluginRefused::Configuration { pointer, problem } => ServiceError::invalid(
            format!("/config{}", pointer.trim_end_matches('/')),
            problem,
            "the plugin's schema (GET /v1/plugins) says what it takes",
        ),
        other => ServiceError::PluginRefused(other),
    }
}

/// Tags as they are kept: in order, each once.
pub(crate) fn tidy_tags(mut tags: Vec<Name>, field: &str) -> Result<Vec<Name>, ServiceError> {
    tags.sort_unstable();
    tags.dedup();
    if tags.len() > TAGS_MAX {
        let problem = format!("{} tags are more than {TAGS_MAX}", tags.len());
        return Err(ServiceError::invalid(field, problem, "leave some out"));
    }
    Ok(tags)
}

/// Attributes within their bound.
pub(crate) fn check_attributes<V>(
    attributes: &std::collections::BTreeMap<Name, V>,
) -> Result<(), ServiceError> {
    if attributes.len() > ATTRIBUTES_MAX {
        let problem = format!("{} attributes are more than {ATTRIBUTES_MAX}", attributes.len());
        return Err(ServiceError::invalid("/attributes", problem, "leave some out"));
    }
    Ok(())
}

/// Addresses of nodes and origins within their bound.
pub(crate) fn check_addresses(node: Option<&str>, endpoint: Option<&str>) -> Result<(), ServiceError> {
    for (field, address) in [("/node", node), ("/endpoint", endpoint)] {
        if address.is_some_and(|address| address.is_empty() || address.len() > ADDRESS_MAX) {
            let problem = format!("an address has 1 to {ADDRESS_MAX} bytes");
            return Err(ServiceError::invalid(
                field,
                problem,
                "leave it out, or give the whole address",
            ));
        }
    }
    Ok(())
}

/// What a PATCH may make of an intent. Maintenance is ended by enabling or disabling.
pub(crate) const fn intent(enabled: Option<bool>, now: Intent) -> Intent {
    match enabled {
        Some(true) => Intent::Enabled,
        Some(false) => Intent::Disabled,
        None => now,
    }
}
