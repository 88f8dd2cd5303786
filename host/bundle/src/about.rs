//! What a bundle says it is: the first lines of `plugin.toml`, repeated in the config blob.

use serde::{Deserialize, Serialize};
use velum_model::{name::Name, plugin::World};

use crate::{
    error::{BundleError, printable, size_of},
    limits,
};

/// Name, version and world of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: Name,
    /// Its semantic version: `MAJOR.MINOR.PATCH` and what may stand behind it.
    pub version: String,
    /// Its world.
    pub world: World,
}

impl About {
    /// Reads the three fields out of the text of a `plugin.toml`. What else stands there is the server's to judge.
    ///
    /// # Errors
    /// [`BundleError::Manifest`] names the field.
    pub fn of_manifest(text: &str) -> Result<Self, BundleError> {
        let table: toml::Table = toml::from_str(text)
            .map_err(|error| field("plugin.toml", format!("is not TOML: {}", error.message())))?;
        let name = Name::new(string(&table, "name")?).map_err(|error| field("name", error.to_string()))?;
        let world = string(&table, "world")?;
        let about = Self {
            name,
            version: string(&table, "version")?.to_owned(),
            world: world
                .parse()
                .map_err(|()| field("world", format!("'{}' is none", printable(world))))?,
        };
        about.check()?;
        Ok(about)
    }

    pub(crate) fn of_config(bytes: &[u8]) -> Result<Self, BundleError> {
        BundleError::bound("config", size_of(bytes), limits::CONFIG)?;
        let about: Self = serde_json::from_slice(bytes)
            .map_err(|error| BundleError::document("config", error.to_string()))?;
        about.check()?;
        Ok(about)
    }

    /// The name of the file: `NAME-VERSION.velum`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.velum", self.name, self.version)
    }

    /// The tag in a registry: the version, whose `+` a tag cannot have.
    #[must_use]
    pub fn tag(&self) -> String {
        self.version.replace('+', "_")
    }

    /// The rule for versions is the server's own, so that no file name, tag or line of a log holds anything else.
    fn check(&self) -> Result<(), BundleError> {
        let core = self.version.split(['-', '+']).next().unwrap_or_default();
        let parts: Vec<_> = core.split('.').collect();
        let fits = self.version.len() <= 64
            && parts.len() == 3
            && parts.iter().all(|part| part.parse::<u32>().is_ok())
            && self
                .version
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+'));
        if fits {
            Ok(())
        } else {
            Err(field(
                "version",
                format!("'{}' is not MAJOR.MINOR.PATCH", printable(&self.version)),
            ))
        }
    }
}

fn string<'a>(table: &'a toml::Table, key: &str) -> Result<&'a str, BundleError> {
    match table.get(key) {
        Some(toml::Value::String(text)) => Ok(text),
        Some(_) => Err(field(key, "is a string".to_owned())),
        None => Err(field(key, "is missing".to_owned())),
    }
}

fn field(field: &str, problem: String) -> BundleError {
    BundleError::Manifest {
        field: field.to_owned(),
        problem: printable(&problem),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_that_does_not_fit_is_refused_by_its_field() {
        let field_of = |text: &str| match About::of_manifest(text) {
            Err(BundleError::Manifest { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field_of("name ="), "plugin.toml");
        assert_eq!(field_of("version = \"1.0.0\""), "name");
        assert_eq!(field_of("name = 1"), "name");
        assert_eq!(field_of("name = \"../a\""), "name");
        assert_eq!(
            field_of("name = \"a\"\nworld = \"toaster\"\nversion = \"1.0.0\""),
            "world"
        );
        for version in ["1", "1.0", "1.0.0/..", "1.0.x", ""] {
            let text = format!("name = \"a\"\nworld = \"placement-policy\"\nversion = \"{version}\"");
            assert_eq!(field_of(&text), "version", "{version}");
        }
    }

    #[test]
    fn a_version_with_a_build_makes_a_tag_that_a_registry_takes() {
        let text = "name = \"a\"\nworld = \"placement-policy\"\nversion = \"1.0.0-rc.1+g5\"";
        let about = About::of_manifest(text).unwrap();
        assert_eq!(about.tag(), "1.0.0-rc.1_g5");
        assert_eq!(about.file_name(), "a-1.0.0-rc.1+g5.velum");
    }
}
