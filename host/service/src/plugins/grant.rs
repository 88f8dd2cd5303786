//! The operator's key: what a plugin gets of what it asks for.

use serde_json::Value;
use velum_model::{
    grant::{Capabilities, beyond, checked, common},
    plugin::{Digest, Manifest},
    trust::Origin,
};

use crate::{error::ServiceError, services::Services};

impl Services {
    /// What a plugin is granted: what the request says, else what the version before was granted as long as this one asks
    /// for nothing that was not decided on then. What lies in the operator's own directory gets what it asks for.
    pub(super) async fn granted(
        &self,
        manifest: &Manifest,
        digest: &Digest,
        origin: &Origin,
        given: Option<&Capabilities>,
    ) -> Result<Capabilities, ServiceError> {
        let asks = &manifest.capabilities;
        if let Some(given) = given {
            return checked(asks, given).map_err(|error| {
                let hint = "grant what it asks for, or less: GET /v1/plugins and the refusal of an install without grant show it";
                ServiceError::invalid(format!("/grant{}", error.pointer), error.problem, hint)
            });
        }
        if asks.is_empty() || *origin == Origin::Directory {
            return Ok(asks.clone());
        }
        let before = self.read().newest_plugin(&manifest.name).await;
        let before = before.map_err(|error| ServiceError::from_store("look up the version before", error))?;
        let before = before.filter(|before| is_same_word(&before.origin, origin));
        let new = match &before {
            Some(before) => beyond(asks, &before.manifest.capabilities),
            None => asks.clone(),
        };
        let is_upgrade = before.is_some();
        let asks = match before {
            Some(before) if new.is_empty() => return Ok(common(asks, &before.grant)),
            // Whoever narrowed the grant of the version before says yes to what is new, and to nothing else.
            Some(before) => joined(common(asks, &before.grant), &new),
            None => asks.clone(),
        };
        Err(ServiceError::GrantNeeded {
            digest: digest.clone(),
            name: format!("{} {}", manifest.name, manifest.version),
            is_upgrade,
            new,
            asks,
        })
    }
}

/// What is in either: lists become one list, tables are joined by their keys. Both are in the form that grants are kept in, so
/// that methods and paths of one role meet.
fn joined(mut one: Capabilities, other: &Capabilities) -> Capabilities {
    for (connector, table) in other {
        match one.get_mut(connector) {
            Some(known) => join(known, table),
            None => {
                one.insert(connector.clone(), table.clone());
            }
        }
    }
    one
}

fn join(one: &mut Value, other: &Value) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            for (key, value) in other {
                match one.get_mut(key) {
                    Some(known) => join(known, value),
                    None => {
                        one.insert(key.clone(), value.clone());
                    }
                }
            }
        }
        (Value::Array(one), Value::Array(other)) => {
            for value in other {
                if !one.contains(value) {
                    one.push(value.clone());
                }
            }
        }
        _ => {}
    }
}

/// Whether both come from the same: what was granted to one author is not granted to another who takes the name.
fn is_same_word(one: &Origin, other: &Origin) -> bool {
    match (one, other) {
        (Origin::Signed(one), Origin::Signed(other)) => one.publisher == other.publisher,
        (one, other) => one.as_str() == other.as_str(),
    }
}
