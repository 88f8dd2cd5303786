//! Names of a case for what has a UUID in the contract.

use std::collections::BTreeMap;

use serde_json::Value;
use uuid::Uuid;
use velum_model::chance::derived;

/// The labels of one case: the same label and kind is the same id, and no other case or run of the suite has it.
#[derive(Debug)]
pub struct Labels {
    root: Uuid,
    known: BTreeMap<String, String>,
}

impl Labels {
    /// No label yet; `root` is the case's own id.
    #[must_use]
    pub const fn new(root: Uuid) -> Self {
        Self {
            root,
            known: BTreeMap::new(),
        }
    }

    /// The id of a label. What is `kind` is not shown: a volume `a` and a run `a` are both `a` in words.
    pub fn id(&mut self, kind: &str, label: &str) -> Uuid {
        let id = derived(self.root, &format!("{kind}/{label}"));
        self.known.insert(id.to_string(), label.to_owned());
        id
    }

    /// The same value with labels where ids were.
    #[must_use]
    pub fn named(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.known.get(&text).cloned().unwrap_or(text)),
            Value::Array(items) => items.into_iter().map(|item| self.named(item)).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| {
                    let key = self.known.get(&key).cloned().unwrap_or(key);
                    (key, self.named(value))
                })
                .collect(),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_shown_by_their_labels_wherever_they_stand() {
        let mut labels = Labels::new(Uuid::from_u128(7));
        let a = labels.id("volume", "a");
        assert_eq!(a, labels.id("volume", "a"));
        assert_ne!(a, labels.id("run", "a"));
        let shown = labels.named(json!({"id": a, "in": [a.to_string(), "b"], a.to_string(): 1}));
        assert_eq!(shown, json!({"id": "a", "in": ["a", "b"], "a": 1}));
    }
}
