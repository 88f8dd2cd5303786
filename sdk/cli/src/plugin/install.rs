//! `velum plugin install`: a component or a bundle goes to the server.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use velum_bundle::{Bundle, Limits};
use velum_client::Plugins;
use velum_wire::InstallPluginBody;

use super::{
    consent::{self, Consent},
    file,
    folder::Folder,
    oci::{self, Place},
};
use crate::{
    failure::Failure,
    kind,
    session::{NO_WAIT, Session},
};

/// What to install.
#[derive(clap::Args, Debug)]
pub struct Install {
    /// A component (NAME.wasm), a bundle (NAME-VERSION.velum), or where one was published (oci:…) [default: what `velum
    /// plugin build` made in this folder].
    #[arg(value_name = "FILE|OCI")]
    pub source: Option<String>,
    /// The manifest of a component [default: plugin.toml or NAME.toml beside it, if it is there].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub consent: Consent,
    #[command(flatten)]
    pub registry: oci::Options,
}

/// What goes to the server.
enum Cargo {
    Component {
        bytes: Vec<u8>,
        manifest: Option<String>,
    },
    Bundle(Box<Bundle>),
}

/// Runs `velum plugin install`.
pub async fn run(session: &Session, install: &Install) -> Result<(), Failure> {
    let (body, digest, wishes) = match load(session, install).await? {
        Cargo::Component { bytes, manifest } => {
            let wishes = consent::wishes(manifest.as_deref().unwrap_or_default());
            let body = InstallPluginBody {
                component_base64: Some(STANDARD.encode(&bytes)),
                manifest,
                ..InstallPluginBody::default()
            };
            (body, velum_bundle::digest(&bytes), wishes)
        }
        // The signatures go with it: the server judges them.
        Cargo::Bundle(bundle) => {
            let body = InstallPluginBody {
                bundle_base64: Some(STANDARD.encode(bundle.to_tar())),
                ..InstallPluginBody::default()
            };
            let wishes = consent::wishes(bundle.plugin_toml());
            (body, velum_bundle::digest(bundle.component()), wishes)
        }
    };
    let answer = consent::install(session, body, (digest.to_string(), wishes), &install.consent).await?;
    kind::answered::<Plugins>(session, answer, NO_WAIT).await
}

async fn load(session: &Session, install: &Install) -> Result<Cargo, Failure> {
    let bundle = match install.source.as_deref() {
        Some(source) if Place::is_one(source) => {
            Some(oci::get(&Place::parse(source)?, &install.registry).await?)
        }
        Some(source) if is_bundle(Path::new(source)) => Some(file::bundle(Path::new(source))?),
        _ => None,
    };
    if let Some(bundle) = bundle {
        if install.manifest.is_some() {
            return Err(Failure::usage(
                "a bundle has its manifest in it: leave --manifest out",
            ));
        }
        let about = bundle.about();
        session.say(&format!(
            "installing {} {} ({})",
            about.name,
            about.version,
            bundle.digest()
        ));
        return Ok(Cargo::Bundle(Box::new(bundle)));
    }
    let path = match &install.source {
        Some(source) => PathBuf::from(source),
        None => Folder::open(Path::new(""))?.built()?,
    };
    component(session, &path, install.manifest.as_deref())
}

fn is_bundle(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "velum")
}

/// A component with the manifest that was named or that lies beside it.
fn component(session: &Session, path: &Path, manifest: Option<&Path>) -> Result<Cargo, Failure> {
    let bytes = file::read(path, Limits::default().component)?;
    let manifest = manifest
        .map(Path::to_owned)
        .or_else(|| file::manifest_beside(path));
    let text = match &manifest {
        Some(path) => {
            session.say(&format!("installing with {}", path.display()));
            let text = file::read(path, Limits::default().manifest)?;
            Some(String::from_utf8(text).with_context(|| format!("{} is not UTF-8", path.display()))?)
        }
        None => {
            session.say("there is no manifest: the server derives a name, and grants nothing");
            None
        }
    };
    Ok(Cargo::Component {
        bytes,
        manifest: text,
    })
}
