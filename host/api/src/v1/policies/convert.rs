//! Bodies about policies, checked.

use velum_model::{
    Id,
    plugin::{Digest, Fallback},
};
use velum_service::{ChangePolicy, NewEvaluation, NewPolicy, NewShadow, PluginChoice};
use velum_wire::{CreatePolicyBody, EvaluatePolicyBody, ShadowPolicyBody, UpdatePolicyBody};

use crate::{error::Answered, take::Fields};

/// A policy to be made.
pub fn new(body: CreatePolicyBody) -> Answered<NewPolicy> {
    let mut fields = Fields::new();
    let is_named = body.digest.is_some() || body.plugin.is_some();
    let name = fields.name("/name", body.name);
    let plugin = choice(&mut fields, body.digest, body.plugin);
    if !is_named {
        fields.refuse(
            "/plugin",
            "name an installed placement policy by plugin or by digest",
        );
    }
    let config = fields.config("/config", body.config);
    let new = match (name, plugin, config) {
        (Some(name), Some(plugin), Some(config)) => Some(NewPolicy {
            name,
            plugin,
            config,
            fallback: fallback(body.fallback),
        }),
        _ => None,
    };
    fields.answer(new)
}

/// What is to change of one.
pub fn change(body: UpdatePolicyBody) -> Answered<ChangePolicy> {
    let mut fields = Fields::new();
    let change = ChangePolicy {
        name: fields.name_if("/name", body.name),
        plugin: choice(&mut fields, body.digest, body.plugin),
        config: fields.config_if("/config", body.config),
        fallback: body.fallback.map(fallback),
    };
    fields.answer(Some(change))
}

/// A shadow to be begun.
pub fn shadow(body: ShadowPolicyBody) -> Answered<NewShadow> {
    let mut fields = Fields::new();
    let new = NewShadow {
        plugin: choice(&mut fields, body.digest, body.plugin),
        config: fields.config_if("/config", body.config),
    };
    fields.answer(Some(new))
}

/// A component by digest or by plugin.
pub fn choice(fields: &mut Fields, digest: Option<String>, plugin: Option<String>) -> Option<PluginChoice> {
    match (digest, plugin) {
        (None, None) => None,
        (None, Some(name)) => fields.name("/plugin", name).map(PluginChoice::Newest),
        (Some(digest), None) => match digest.parse::<Digest>() {
            Ok(digest) => Some(PluginChoice::Digest(digest)),
            Err(error) => {
                fields.refuse("/digest", error.to_string());
                None
            }
        },
        (Some(_), Some(_)) => {
            fields.refuse("/digest", "name the component by plugin or by digest, not both");
            None
        }
    }
}

/// Decisions that are looked at unless told otherwise.
const LAST: u32 = 1000;

/// An evaluation.
pub fn evaluation(body: EvaluatePolicyBody) -> Answered<NewEvaluation> {
    let mut fields = Fields::new();
    let is_named = body.digest.is_some() || body.plugin.is_some();
    let plugin = choice(&mut fields, body.digest, body.plugin);
    if !is_named {
        fields.refuse(
            "/plugin",
            "name an installed placement policy by plugin or by digest",
        );
    }
    let config = fields.config("/config", body.config.unwrap_or_default());
    let new = plugin.zip(config).map(|(plugin, config)| NewEvaluation {
        zone: Id::from_uuid(body.zone_id),
        plugin,
        config,
        last: body.last.unwrap_or(LAST),
    });
    fields.answer(new)
}

const fn fallback(fallback: velum_wire::Fallback) -> Fallback {
    match fallback {
        velum_wire::Fallback::BuiltIn => Fallback::BuiltIn,
        velum_wire::Fallback::Refuse => Fallback::Refuse,
    }
}
