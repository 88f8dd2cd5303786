//! What a publisher says when it signs.

use serde::{Deserialize, Serialize};
use velum_model::{
    name::Name,
    plugin::{Digest, World},
};

/// "This is our plugin": a name, a version and a world bound to a publisher and to digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Who says so.
    pub publisher: Name,
    /// The plugin's name.
    pub name: Name,
    /// Its version.
    pub version: String,
    /// Its world.
    pub world: World,
    /// The digest of the image manifest: of everything that is packed.
    pub manifest: Digest,
    /// The digest of the component.
    pub component: Digest,
}

impl Statement {
    /// The first field in which another statement differs, with both values.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<(&'static str, String, String)> {
        let fields = [
            (
                "publisher",
                self.publisher.to_string(),
                other.publisher.to_string(),
            ),
            ("name", self.name.to_string(), other.name.to_string()),
            ("version", self.version.clone(), other.version.clone()),
            ("world", self.world.to_string(), other.world.to_string()),
            (
                "component",
                self.component.to_string(),
                other.component.to_string(),
            ),
            ("manifest", self.manifest.to_string(), other.manifest.to_string()),
        ];
        fields.into_iter().find(|(_, ours, theirs)| ours != theirs)
    }
}
