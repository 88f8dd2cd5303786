//! Checks of fields at the border: each answers the value in its type, or notes what is wrong with which field. All
//! wrong fields of a body are told at once.

use std::{collections::BTreeMap, fmt::Display, net::Ipv4Addr};

use ipnet::Ipv4Net;
use serde_json::Value;
use velum_model::{
    Name,
    quantity::{QuantityError, ResourceAmount},
    resource::{ResourceName, Resources},
};
use velum_wire::FieldProblem;

use crate::error::{Answered, Refused};

/// Tags or attributes of one thing: more than any inventory that was seen, few enough for a row to stay small.
pub const MANY: usize = 64;
/// URIs, paths and addresses: as long as the longest that Linux takes as a path component chain in practice.
const TEXT_MAX: usize = 1024;
/// A description: as long as that of a `plugin.toml`.
const LINE_MAX: usize = 500;
/// Settings of a target or a policy, as JSON.
const CONFIG_MAX: usize = 64 << 10;

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldProblem>);

impl Fields {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a problem.
    pub fn refuse(&mut self, pointer: &str, problem: impl Into<String>) {
        self.0.push(FieldProblem {
            pointer: pointer.into(),
            problem: problem.into(),
        });
    }

    /// `value` if nothing was wrong. A value that is missing has left its problem.
    ///
    /// # Errors
    /// 422 with every problem.
    pub fn answer<T>(self, value: Option<T>) -> Answered<T> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(Refused::fields(self.0)),
        }
    }

    fn noted<T, E: Display>(&mut self, pointer: &str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.refuse(pointer, problem.to_string());
                None
            }
        }
    }

    /// A name.
    pub fn name(&mut self, pointer: &str, text: String) -> Option<Name> {
        self.noted(pointer, Name::new(text))
    }

    /// A name, if it is there.
    pub fn name_if(&mut self, pointer: &str, text: Option<String>) -> Option<Name> {
        text.and_then(|text| self.name(pointer, text))
    }

    /// A quantity.
    pub fn quantity<T>(&mut self, pointer: &str, value: u64) -> Option<T>
    where
        T: TryFrom<u64, Error = QuantityError>,
    {
        self.noted(pointer, T::try_from(value))
    }

    /// A quantity, if it is there.
    pub fn quantity_if<T>(&mut self, pointer: &str, value: Option<u64>) -> Option<T>
    where
        T: TryFrom<u64, Error = QuantityError>,
    {
        value.and_then(|value| self.quantity(pointer, value))
    }

    /// A line for people: at most 500 bytes that print.
    pub fn line(&mut self, pointer: &str, text: String) -> Option<String> {
        if text.len() <= LINE_MAX && !text.chars().any(char::is_control) {
            return Some(text);
        }
        self.refuse(
            pointer,
            format!("must be one line of at most {LINE_MAX} bytes without control characters"),
        );
        None
    }

    /// Tags, each once.
    pub fn names(&mut self, pointer: &str, texts: Vec<String>) -> Option<Vec<Name>> {
        if texts.len() > MANY {
            self.refuse(
                pointer,
                format!("has {} entries; at most {MANY} are taken", texts.len()),
            );
            return None;
        }
        let mut names = Vec::with_capacity(texts.len());
        for (n, text) in texts.into_iter().enumerate() {
            let at = format!("{pointer}/{n}");
            let name = self.name(&at, text)?;
            if names.contains(&name) {
                self.refuse(&at, format!("{name} is there twice"));
                return None;
            }
            names.push(name);
        }
        Some(names)
    }

    /// Tags, if they are there.
    pub fn names_if(&mut self, pointer: &str, texts: Option<Vec<String>>) -> Option<Vec<Name>> {
        texts.and_then(|texts| self.names(pointer, texts))
    }

    /// Numeric attributes.
    pub fn attributes(&mut self, pointer: &str, given: BTreeMap<String, u32>) -> Option<BTreeMap<Name, u32>> {
        if given.len() > MANY {
            self.refuse(
                pointer,
                format!("has {} entries; at most {MANY} are taken", given.len()),
            );
            return None;
        }
        given
            .into_iter()
            .map(|(key, value)| {
                let at = below(pointer, &key);
                self.name(&at, key).map(|name| (name, value))
            })
            .collect()
    }

    /// Numeric attributes, if they are there.
    pub fn attributes_if(
        &mut self,
        pointer: &str,
        given: Option<BTreeMap<String, u32>>,
    ) -> Option<BTreeMap<Name, u32>> {
        given.and_then(|given| self.attributes(pointer, given))
    }

    /// Amounts of countable resources, at most `max` of them. Every one that is wrong is told.
    pub fn resources(
        &mut self,
        pointer: &str,
        given: BTreeMap<String, u64>,
        max: usize,
    ) -> Option<Resources> {
        if given.len() > max {
            self.refuse(
                pointer,
                format!("has {} entries; at most {max} are taken", given.len()),
            );
            return None;
        }
        let mut resources = Some(Resources::new());
        for (key, value) in given {
            let at = below(pointer, &key);
            let amount = self.quantity::<ResourceAmount>(&at, value);
            let name = self.noted(&at, ResourceName::new(key));
            resources = resources
                .zip(name.zip(amount))
                .map(|(mut known, (name, amount))| {
                    known.insert(name, amount);
                    known
                });
        }
        resources
    }

    /// An IPv4 address.
    pub fn address(&mut self, pointer: &str, text: &str) -> Option<Ipv4Addr> {
        let parsed = text
            .parse()
            .map_err(|_| "must be an IPv4 address such as 10.1.0.10");
        self.noted(pointer, parsed)
    }

    /// An IPv4 address, if it is there.
    pub fn address_if(&mut self, pointer: &str, text: Option<&str>) -> Option<Ipv4Addr> {
        text.and_then(|text| self.address(pointer, text))
    }

    /// IPv4 addresses, at most `max`.
    pub fn addresses(&mut self, pointer: &str, texts: &[String], max: usize) -> Option<Vec<Ipv4Addr>> {
        if texts.len() > max {
            self.refuse(
                pointer,
                format!("has {} entries; at most {max} are taken", texts.len()),
            );
            return None;
        }
        texts
            .iter()
            .enumerate()
            .map(|(n, text)| self.address(&format!("{pointer}/{n}"), text))
            .collect()
    }

    /// An IPv4 network, written with its own first address.
    pub fn cidr(&mut self, pointer: &str, text: &str) -> Option<Ipv4Net> {
        let net: Ipv4Net = self.noted(
            pointer,
            text.parse()
                .map_err(|_| "must be an IPv4 network such as 10.1.0.0/24"),
        )?;
        if net.addr() != net.network() {
            self.refuse(pointer, format!("has host bits set; write {}", net.trunc()));
            return None;
        }
        Some(net)
    }

    /// A text of the operator's (an address, a path), without control characters.
    pub fn text(&mut self, pointer: &str, text: String) -> Option<String> {
        if text.is_empty() || text.len() > TEXT_MAX || text.chars().any(char::is_control) {
            self.refuse(
                pointer,
                format!("must have 1 to {TEXT_MAX} bytes and no control characters"),
            );
            return None;
        }
        Some(text)
    }

    /// Such a text, if it is there.
    pub fn text_if(&mut self, pointer: &str, text: Option<String>) -> Option<String> {
        text.and_then(|text| self.text(pointer, text))
    }

    /// Settings: a JSON object, empty when absent or null.
    pub fn config(&mut self, pointer: &str, value: Value) -> Option<Value> {
        match value {
            Value::Null => Some(Value::Object(serde_json::Map::new())),
            value if has_nul(&value) => {
                self.refuse(
                    pointer,
                    "has a text with a NUL character, which PostgreSQL cannot keep",
                );
                None
            }
            Value::Object(_) if value.to_string().len() <= CONFIG_MAX => Some(value),
            Value::Object(_) => {
                self.refuse(pointer, format!("has more than {CONFIG_MAX} bytes as JSON"));
                None
            }
            _ => {
                self.refuse(pointer, "must be a JSON object");
                None
            }
        }
    }

    /// Settings, if they are there.
    pub fn config_if(&mut self, pointer: &str, value: Option<Value>) -> Option<Value> {
        value.and_then(|value| self.config(pointer, value))
    }
}

/// The pointer to a key of a map.
fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Whether a text or a key somewhere in a value has a NUL character. As deep as the parser lets a body be.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use velum_model::quantity::{MemoryMib, Vcpus};

    use super::*;

    #[test]
    fn all_wrong_fields_are_told_at_once() {
        let mut fields = Fields::new();
        let _ = fields.name("/name", "a b".into());
        let _ = fields.quantity::<MemoryMib>("/memory_mib", 3);
        let _ = fields.quantity::<Vcpus>("/vcpus", 2);
        let _ = fields.cidr("/cidr", "10.0.0.1/24");
        let _ = fields.config("/config", serde_json::json!({"a": [{"b\0": 1}]}));
        let _ = fields.names("/tags", vec!["ssd".into(), "ssd".into()]);
        let wrong = BTreeMap::from([
            ("GPU".to_owned(), 1),
            ("gpu".to_owned(), 0),
            ("a/b".to_owned(), 1),
        ]);
        assert_eq!(fields.resources("/resources", wrong, 3), None);
        let many = (0..9).map(|n| (format!("r{n}"), 1)).collect();
        assert_eq!(fields.resources("/many", many, 8), None);
        let refused = format!("{:?}", fields.answer(Some(())).expect_err("wrong fields"));
        for words in [
            "/name",
            "/memory_mib: must be between 16",
            "write 10.0.0.0/24",
            "/config: has a text with a NUL character",
            "/tags/1: ssd is there twice",
            "/resources/GPU: a resource's name has 1 to 63 characters",
            "/resources/gpu: must be between 1 and 2147483648 units, not 0",
            "/resources/a~1b: a resource's name",
            "/many: has 9 entries; at most 8 are taken",
        ] {
            assert!(refused.contains(words), "{words} in {refused}");
        }
        assert!(!refused.contains("/vcpus"), "{refused}");
        let fine = BTreeMap::from([("gpu".to_owned(), 1 << 31)]);
        let taken = Fields::new().resources("/resources", fine, 1).expect("fine");
        assert_eq!(taken.get("gpu").map(|amount| amount.get()), Some(1 << 31));
    }
}
