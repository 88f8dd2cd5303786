//! To whom a plugin's name belongs, and which versions of it may come.

use std::cmp::Ordering;

use velum_model::{
    PublisherId,
    plugin::{Digest, Manifest},
    trust::{NameHolder, Origin, PluginName, compare_versions},
};

use crate::{error::ServiceError, services::Services};

impl Services {
    /// What becomes of the name of a plugin when this one is installed, and what it was.
    pub(super) async fn name_claimed(
        &self,
        manifest: &Manifest,
        digest: &Digest,
        origin: &Origin,
    ) -> Result<(PluginName, Option<PluginName>), ServiceError> {
        let was = self.read().plugin_name(&manifest.name).await;
        let was = was.map_err(|error| ServiceError::from_store("look up the plugin's name", error))?;
        let refused = |problem: String| ServiceError::Untrusted {
            problem,
            digest: digest.clone(),
        };
        let held = was.as_ref().map(|was| was.holder);
        let name = &manifest.name;
        let holder = match (origin, held) {
            (Origin::Signed(by), Some(NameHolder::Publisher(of))) if by.publisher != of => {
                return Err(refused(format!(
                    "{} signed it, and the name {name} belongs to the publisher {}: a plugin needs a name of its \
                     publisher's own",
                    by.publisher_name,
                    self.name_of_publisher(of).await?
                )));
            }
            (Origin::Signed(by), Some(NameHolder::Operator)) => {
                return Err(refused(format!(
                    "{} signed it, and the name {name} belongs to a plugin of this server's own plugins directory: ask \
                     the publisher for one of another name",
                    by.publisher_name
                )));
            }
            (Origin::Signed(by), _) => NameHolder::Publisher(by.publisher),
            (_, Some(NameHolder::Publisher(of))) => {
                return Err(refused(format!(
                    "nobody signed it, and the name {name} belongs to the publisher {}: only what it signed may have it; \
                     give this one another name",
                    self.name_of_publisher(of).await?
                )));
            }
            (Origin::Directory, _) => NameHolder::Operator,
            (Origin::Unsigned { .. }, held) => held.unwrap_or(NameHolder::Nobody),
        };
        let highest = was.as_ref().and_then(|was| was.highest.clone());
        let highest = match origin {
            Origin::Signed(_) => Some(higher(manifest, digest, highest).map_err(refused)?),
            _ => highest,
        };
        let claimed = PluginName {
            name: name.clone(),
            holder,
            highest,
        };
        Ok((claimed, was))
    }

    async fn name_of_publisher(&self, id: PublisherId) -> Result<String, ServiceError> {
        let publisher = self.read().publisher(id).await;
        let publisher = publisher.map_err(|error| ServiceError::from_store("read the publisher", error))?;
        Ok(publisher.map_or_else(|| id.to_string(), |publisher| publisher.name.to_string()))
    }
}

/// Versions of a signed name only rise: an old one that is offered again may be one whose faults are known.
fn higher(
    manifest: &Manifest,
    digest: &Digest,
    highest: Option<(String, Digest)>,
) -> Result<(String, Digest), String> {
    let this = (manifest.version.clone(), digest.clone());
    let Some((version, known)) = highest else {
        return Ok(this);
    };
    match compare_versions(&manifest.version, &version) {
        Ordering::Greater => Ok(this),
        Ordering::Equal if known == *digest => Ok((version, known)),
        Ordering::Equal => Err(format!(
            "version {version} of {} was another component, {known}: a version stands for one component for ever; ask \
             the publisher for a higher one",
            manifest.name
        )),
        Ordering::Less => Err(format!(
            "version {} of {} is lower than {version}, which was installed before: versions only rise; to go back, keep \
             the earlier version installed and roll back to it",
            manifest.version, manifest.name
        )),
    }
}
