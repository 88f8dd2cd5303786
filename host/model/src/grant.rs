//! The second key: what an operator grants of what a plugin asks for.
//!
//! `[capabilities]` of `plugin.toml` is a wish. What is granted is a table of the same form, kept with the plugin, and it
//! alone is given to the runtime. Only `http` has something inside that can be narrowed: roles with methods and path
//! prefixes. Everything else is a connector that is granted or not.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Connectors, with what of each: the form of `[capabilities]` of `plugin.toml`.
pub type Capabilities = BTreeMap<String, Value>;

/// The connector whose table has roles.
const HTTP: &str = "http";
/// The role that a table without roles stands for.
const FIRST_ROLE: &str = "api";

/// One thing that is asked for, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The connector.
    pub connector: String,
    /// The role within it, for `http`.
    pub role: Option<String>,
    /// What it lets the plugin do.
    pub words: String,
}

/// A grant that is not within what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {problem}")]
pub struct GrantError {
    /// JSON pointer into the grant.
    pub pointer: String,
    /// What is wrong there.
    pub problem: String,
}

/// What one role of `http` may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Role {
    methods: BTreeSet<String>,
    paths: BTreeSet<String>,
}

impl Role {
    fn read(table: &Value) -> Self {
        let texts = |key: &str| -> BTreeSet<String> {
            let list = table.get(key).and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            methods: texts("methods"),
            paths: texts("paths"),
        }
    }

    fn is_empty(&self) -> bool {
        self.methods.is_empty() || self.paths.is_empty()
    }

    fn json(&self) -> Value {
        json!({ "methods": self.methods, "paths": self.paths })
    }

    fn reaches(&self, path: &str) -> bool {
        self.paths.iter().any(|prefix| covers(prefix, path))
    }

    /// The part of it that `known` does not have: each method and each path that is new.
    fn beyond(&self, known: &Self) -> Self {
        Self {
            methods: self.methods.difference(&known.methods).cloned().collect(),
            paths: self
                .paths
                .iter()
                .filter(|path| !known.reaches(path))
                .cloned()
                .collect(),
        }
    }

    /// What both allow.
    fn common(&self, other: &Self) -> Self {
        let mut paths: BTreeSet<String> = self
            .paths
            .iter()
            .filter(|path| other.reaches(path))
            .cloned()
            .collect();
        paths.extend(other.paths.iter().filter(|path| self.reaches(path)).cloned());
        Self {
            methods: self.methods.intersection(&other.methods).cloned().collect(),
            paths,
        }
    }

    fn words(&self) -> String {
        let list = |of: &BTreeSet<String>| of.iter().cloned().collect::<Vec<_>>().join(", ");
        match (self.methods.is_empty(), self.paths.is_empty()) {
            (false, false) => format!(
                "HTTP requests to the target's own origin: {} below {}",
                list(&self.methods),
                list(&self.paths)
            ),
            (false, true) => format!(
                "HTTP requests to the target's own origin with {} too",
                list(&self.methods)
            ),
            (true, false) => format!(
                "HTTP requests to the target's own origin below {} too",
                list(&self.paths)
            ),
            (true, true) => "HTTP requests to the target's own origin".to_owned(),
        }
    }
}

/// `/v1/hosts` is below `/v1` and `/v1/`, `/v10` is not.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

fn roles(table: &Value) -> BTreeMap<String, Role> {
    let Some(of) = table.as_object() else {
        return BTreeMap::new();
    };
    if of.contains_key("methods") || of.contains_key("paths") {
        return BTreeMap::from([(FIRST_ROLE.to_owned(), Role::read(table))]);
    }
    of.iter()
        .map(|(name, table)| (name.clone(), Role::read(table)))
        .collect()
}

fn table_of(roles: BTreeMap<String, Role>) -> Value {
    let of: Map<String, Value> = roles
        .iter()
        .map(|(name, role)| (name.clone(), role.json()))
        .collect();
    Value::Object(of)
}

/// The part of `asks` that `known` does not have; empty when `asks` is within it. Of a role only the methods and paths
/// that are new are named.
#[must_use]
pub fn beyond(asks: &Capabilities, known: &Capabilities) -> Capabilities {
    let mut new = Capabilities::new();
    for (connector, table) in asks {
        match known.get(connector) {
            None => {
                new.insert(connector.clone(), table.clone());
            }
            Some(had) if connector == HTTP => {
                let had = roles(had);
                let more: BTreeMap<String, Role> = roles(table)
                    .into_iter()
                    .filter_map(|(name, role)| {
                        let Some(had) = had.get(&name) else {
                            return Some((name, role));
                        };
                        let more = role.beyond(had);
                        let is_new = !more.methods.is_empty() || !more.paths.is_empty();
                        is_new.then_some((name, more))
                    })
                    .collect();
                if !more.is_empty() {
                    new.insert(connector.clone(), table_of(more));
                }
            }
            Some(had) if had != table => {
                new.insert(connector.clone(), table.clone());
            }
            Some(_) => {}
        }
    }
    new
}

/// What is asked and was granted: what an upgrade gets that asks for nothing new.
#[must_use]
pub fn common(asks: &Capabilities, granted: &Capabilities) -> Capabilities {
    let mut both = Capabilities::new();
    for (connector, table) in asks {
        let Some(had) = granted.get(connector) else {
            continue;
        };
        if connector != HTTP {
            both.insert(connector.clone(), table.clone());
            continue;
        }
        let had = roles(had);
        let common: BTreeMap<String, Role> = roles(table)
            .into_iter()
            .filter_map(|(name, role)| {
                let common = role.common(had.get(&name)?);
                (!common.is_empty()).then_some((name, common))
            })
            .collect();
        if !common.is_empty() {
            both.insert(connector.clone(), table_of(common));
        }
    }
    both
}

/// Checks that a grant gives nothing that was not asked for, and answers it in the form that is kept.
///
/// # Errors
/// [`GrantError`] names the place in the grant.
pub fn checked(asks: &Capabilities, grant: &Capabilities) -> Result<Capabilities, GrantError> {
    let refused = |pointer: String, problem: String| GrantError { pointer, problem };
    let mut kept = Capabilities::new();
    for (connector, table) in grant {
        let pointer = format!("/{connector}");
        let Some(asked) = asks.get(connector) else {
            return Err(refused(
                pointer,
                format!("the plugin does not ask for {connector}"),
            ));
        };
        if !table.is_object() {
            return Err(refused(
                pointer,
                "must be an object, as in [capabilities] of plugin.toml".into(),
            ));
        }
        if connector != HTTP {
            kept.insert(connector.clone(), asked.clone());
            continue;
        }
        let asked = roles(asked);
        let given = roles(table);
        for (name, role) in &given {
            check_role(&format!("{pointer}/{name}"), role, asked.get(name))?;
        }
        kept.insert(connector.clone(), table_of(given));
    }
    Ok(kept)
}

fn check_role(pointer: &str, role: &Role, asked: Option<&Role>) -> Result<(), GrantError> {
    let refused = |pointer: String, problem: String| Err(GrantError { pointer, problem });
    let Some(asked) = asked else {
        return refused(
            pointer.to_owned(),
            "the plugin does not ask for a role of this name".into(),
        );
    };
    if role.is_empty() {
        return refused(
            pointer.to_owned(),
            "needs methods and paths, each a list of at least one; leave the role out to refuse it".into(),
        );
    }
    if let Some(method) = role
        .methods
        .iter()
        .find(|method| !asked.methods.contains(*method))
    {
        return refused(
            format!("{pointer}/methods"),
            format!("the plugin does not ask for {method}"),
        );
    }
    if let Some(path) = role.paths.iter().find(|path| !asked.reaches(path)) {
        return refused(
            format!("{pointer}/paths"),
            format!("{path} is not below a path that the plugin asks for"),
        );
    }
    Ok(())
}

/// What is asked for, in words.
#[must_use]
pub fn wishes(asks: &Capabilities) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for (connector, table) in asks {
        if connector == HTTP {
            let of_role = |(name, role): (String, Role)| Wish {
                connector: connector.clone(),
                words: role.words(),
                role: Some(name),
            };
            wishes.extend(roles(table).into_iter().map(of_role));
            continue;
        }
        let words = match connector.as_str() {
            "libvirt" => "libvirt of the compute host, through its node: define, start and stop guests there",
            "files" => "files in the pool's directory, through a node",
            "state" => "a little state for each target, kept by the server",
            "secrets" => "secrets of the target, put into requests by the server; the plugin never sees them",
            _ => "the connector of this name",
        };
        wishes.push(Wish {
            connector: connector.clone(),
            role: None,
            words: words.to_owned(),
        });
    }
    wishes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: Value) -> Capabilities {
        value.as_object().expect("a table").clone().into_iter().collect()
    }

    #[test]
    fn what_is_within_a_grant_is_not_asked_again_and_what_is_new_is_named_alone() {
        let granted =
            of(json!({"http": {"api": {"methods": ["GET", "POST"], "paths": ["/v1/"]}}, "state": {}}));
        let cases = [
            (json!({}), json!({})),
            (json!({"state": {}}), json!({})),
            (
                json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/"]}}}),
                json!({}),
            ),
            (
                json!({"http": {"methods": ["POST"], "paths": ["/v1/hosts"]}}),
                json!({}),
            ),
            (json!({"libvirt": {}}), json!({"libvirt": {}})),
            (
                json!({"http": {"api": {"methods": ["GET", "DELETE"], "paths": ["/v1/"]}}}),
                json!({"http": {"api": {"methods": ["DELETE"], "paths": []}}}),
            ),
            (
                json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/", "/v10", "/v2/"]}}, "secrets": {}}),
                json!({"http": {"api": {"methods": [], "paths": ["/v10", "/v2/"]}}, "secrets": {}}),
            ),
            (
                json!({"http": {"admin": {"methods": ["GET"], "paths": ["/"]}}}),
                json!({"http": {"admin": {"methods": ["GET"], "paths": ["/"]}}}),
            ),
        ];
        for (asks, new) in cases {
            assert_eq!(beyond(&of(asks.clone()), &granted), of(new), "{asks}");
        }
    }

    #[test]
    fn an_upgrade_keeps_what_the_operator_narrowed() {
        let asks = of(json!({
            "http": {"api": {"methods": ["GET", "POST"], "paths": ["/v1/", "/v2/a"]}}, "state": {}, "secrets": {}
        }));
        let granted =
            of(json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/b", "/v2/"]}}, "state": {}}));
        let kept = common(&asks, &granted);
        let expected =
            json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/b", "/v2/a"]}}, "state": {}});
        assert_eq!(kept, of(expected));
        let nothing = of(json!({"http": {"api": {"methods": ["PUT"], "paths": ["/"]}}}));
        assert_eq!(common(&asks, &nothing), Capabilities::new());
    }

    #[test]
    fn a_grant_gives_nothing_that_was_not_asked_for() {
        let asks = of(json!({"http": {"methods": ["GET"], "paths": ["/v1/"]}, "state": {}}));
        let whole = checked(&asks, &asks).expect("what is asked may be granted");
        assert_eq!(whole["http"]["api"]["methods"][0], "GET");
        let narrow = of(json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/hosts"]}}}));
        assert_eq!(checked(&asks, &narrow), Ok(narrow.clone()));
        for (grant, pointer) in [
            (json!({"libvirt": {}}), "/libvirt"),
            (json!({"state": true}), "/state"),
            (
                json!({"http": {"admin": {"methods": ["GET"], "paths": ["/v1/"]}}}),
                "/http/admin",
            ),
            (
                json!({"http": {"api": {"methods": ["PUT"], "paths": ["/v1/"]}}}),
                "/http/api/methods",
            ),
            (
                json!({"http": {"api": {"methods": ["GET"], "paths": ["/"]}}}),
                "/http/api/paths",
            ),
            (
                json!({"http": {"api": {"methods": [], "paths": ["/v1/"]}}}),
                "/http/api",
            ),
        ] {
            let refused = checked(&asks, &of(grant.clone())).expect_err("it is more than asked");
            assert_eq!(refused.pointer, pointer, "{grant}");
        }
    }

    #[test]
    fn wishes_are_put_in_words() {
        let asks = of(json!({"http": {"api": {"methods": ["GET"], "paths": ["/v1/"]}}, "files": {}}));
        let words: Vec<String> = wishes(&asks).into_iter().map(|wish| wish.words).collect();
        assert_eq!(
            words,
            [
                "files in the pool's directory, through a node",
                "HTTP requests to the target's own origin: GET below /v1/",
            ]
        );
    }
}
