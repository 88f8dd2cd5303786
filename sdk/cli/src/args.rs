//! Arguments that several commands take, and how they are read.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde_json::Value;
use uuid::Uuid;

use crate::failure::Failure;

/// Reads `power=3`; `power=` takes the attribute away.
pub fn attribute(text: &str) -> Result<(String, Option<u32>), String> {
    let (name, value) = text.split_once('=').ok_or("give an attribute as NAME=NUMBER")?;
    if value.is_empty() {
        return Ok((name.to_owned(), None));
    }
    let number = value
        .parse()
        .map_err(|_| format!("'{value}' is no number from 0 to {}", u32::MAX))?;
    Ok((name.to_owned(), Some(number)))
}

/// Reads `gpu=4`.
pub fn resource(text: &str) -> Result<(String, u64), String> {
    match resource_change(text)? {
        (name, Some(amount)) => Ok((name, amount)),
        (name, None) => Err(format!("say how much of {name}: {name}=1")),
    }
}

/// Reads `gpu=4`; `gpu=` takes the resource away.
pub fn resource_change(text: &str) -> Result<(String, Option<u64>), String> {
    let (name, amount) = text.split_once('=').ok_or("give a resource as NAME=NUMBER")?;
    if amount.is_empty() {
        return Ok((name.to_owned(), None));
    }
    let number = amount.parse().map_err(|_| format!("'{amount}' is no amount"))?;
    Ok((name.to_owned(), Some(number)))
}

/// Reads JSON, or a file that holds JSON (`@FILE`).
pub fn json(text: &str) -> Result<Value, Failure> {
    let text = match text.strip_prefix('@') {
        None => text.to_owned(),
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("could not read {path}"))?,
    };
    serde_json::from_str(&text).map_err(|why| Failure::usage(format!("this is no JSON ({why}): {text}")))
}

/// The same for an option that may be missing: an empty object.
pub fn json_or_empty(text: Option<&str>) -> Result<Value, Failure> {
    text.map_or_else(|| Ok(Value::Object(serde_json::Map::new())), json)
}

/// Tags and attributes of something new.
#[derive(clap::Args, Clone, Debug)]
pub struct Marks {
    /// A tag that offerings may ask for (repeat for more).
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// A number that policies may ask for (repeat for more).
    #[arg(long = "attribute", value_name = "NAME=NUMBER", value_parser = attribute)]
    pub attributes: Vec<(String, Option<u32>)>,
}

impl Marks {
    /// The attributes that have a value.
    pub fn attributes(&self) -> BTreeMap<String, u32> {
        changed(BTreeMap::new(), &self.attributes)
    }
}

/// Changes of tags and attributes.
#[derive(clap::Args, Clone, Debug)]
pub struct MarkChanges {
    /// Adds a tag (repeat for more).
    #[arg(long = "tag", value_name = "TAG")]
    pub tags: Vec<String>,
    /// Takes a tag away (repeat for more).
    #[arg(long = "untag", value_name = "TAG")]
    pub untags: Vec<String>,
    /// Sets an attribute, or takes it away with nothing after the '=' (repeat for more).
    #[arg(long = "attribute", value_name = "NAME=[NUMBER]", value_parser = attribute)]
    pub attributes: Vec<(String, Option<u32>)>,
}

impl MarkChanges {
    /// The tags after the change, when there is one.
    ///
    /// # Errors
    /// A tag is to come and to go.
    pub fn tags(&self, mut present: Vec<String>) -> Result<Option<Vec<String>>, Failure> {
        if let Some(both) = self.tags.iter().find(|tag| self.untags.contains(tag)) {
            return Err(Failure::Usage(format!(
                "--tag {both} and --untag {both}: say one of them"
            )));
        }
        if self.tags.is_empty() && self.untags.is_empty() {
            return Ok(None);
        }
        present.retain(|tag| !self.untags.contains(tag) && !self.tags.contains(tag));
        present.extend(self.tags.iter().cloned());
        Ok(Some(present))
    }

    /// The attributes after the change, when there is one.
    pub fn attributes(&self, present: BTreeMap<String, u32>) -> Option<BTreeMap<String, u32>> {
        (!self.attributes.is_empty()).then(|| changed(present, &self.attributes))
    }
}

/// What is present, with values set or taken away.
pub fn changed<V: Copy>(
    mut present: BTreeMap<String, V>,
    changes: &[(String, Option<V>)],
) -> BTreeMap<String, V> {
    for (name, value) in changes {
        match value {
            Some(value) => present.insert(name.clone(), *value),
            None => present.remove(name),
        };
    }
    present
}

/// Reads an overcommit ratio: `1` is what is there, `2.5` two and a half times that; in thousandths.
pub fn ratio(text: &str) -> Result<u64, String> {
    let wrong = || "give a ratio from 1 to 20, like 1.5".to_owned();
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let part: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
    whole
        .checked_mul(1000)
        .map(|w| w + part)
        .filter(|r| (1000..=20_000).contains(r))
        .ok_or_else(wrong)
}

/// Whom something is dedicated to: a project, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenant(pub Option<Uuid>);

/// Reads a project's id, or `none`.
pub fn parse_tenant(text: &str) -> Result<Tenant, String> {
    if text == "none" {
        return Ok(Tenant(None));
    }
    let project = text
        .parse()
        .map_err(|_| format!("'{text}' is no id of a project; 'none' is for nobody"))?;
    Ok(Tenant(Some(project)))
}

/// The name of the policy that comes with the server.
pub const BUILT_IN: &str = "built-in";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_change_one_by_one() {
        let change = MarkChanges {
            tags: vec!["ssd".into()],
            untags: vec!["old".into()],
            attributes: vec![("power".into(), Some(3)), ("rack".into(), None)],
        };
        let tags = change.tags(vec!["old".into(), "gpu".into()]);
        assert_eq!(tags.expect("they agree"), Some(vec!["gpu".into(), "ssd".into()]));
        let present = BTreeMap::from([("rack".to_owned(), 1), ("price".to_owned(), 2)]);
        let after = BTreeMap::from([("power".to_owned(), 3), ("price".to_owned(), 2)]);
        assert_eq!(change.attributes(present), Some(after));
        let both = MarkChanges {
            untags: vec!["ssd".into()],
            ..change
        };
        let refused = both.tags(Vec::new()).expect_err("it cannot do both");
        assert!(matches!(refused, Failure::Usage(words) if words.contains("--untag ssd")));
    }

    #[test]
    fn a_resource_has_an_amount_or_goes() {
        assert_eq!(resource("gpu=4"), Ok(("gpu".into(), 4)));
        assert_eq!(resource_change("gpu="), Ok(("gpu".into(), None)));
        for bad in ["gpu", "gpu=", "gpu=-1", "gpu=x"] {
            assert!(resource(bad).is_err(), "{bad}");
        }
        let present = BTreeMap::from([("gpu".to_owned(), 4), ("fpga".to_owned(), 1)]);
        let changes = [("gpu".to_owned(), Some(2)), ("fpga".to_owned(), None)];
        assert_eq!(
            changed(present, &changes),
            BTreeMap::from([("gpu".to_owned(), 2)])
        );
    }

    #[test]
    fn a_tenant_is_a_project_or_none() {
        let id = Uuid::from_u128(1);
        assert_eq!(parse_tenant(&id.to_string()), Ok(Tenant(Some(id))));
        assert_eq!(parse_tenant("none"), Ok(Tenant(None)));
        assert!(parse_tenant("web").is_err());
    }

    #[test]
    fn a_ratio_is_read_in_thousandths() {
        assert_eq!(
            (ratio("1"), ratio("2.5"), ratio("20")),
            (Ok(1000), Ok(2500), Ok(20_000))
        );
        for bad in ["0.5", "21", "x", "1.0001", "1,5", ""] {
            assert!(ratio(bad).is_err(), "{bad}");
        }
        assert_eq!(attribute("power=3"), Ok(("power".into(), Some(3))));
        assert!(attribute("power").is_err() && attribute("power=x").is_err());
    }
}
