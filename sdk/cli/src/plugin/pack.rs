//! `velum plugin pack`: component, plugin.toml and conformance result into one file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use velum_bundle::{Bundle, Limits};
use velum_testkit::result::ConformanceResult;

use super::{
    file,
    folder::Folder,
    ground::{Parts, sandbox},
};
use crate::{failure::Failure, session::write_out, text::bytes};

/// The name of a conformance result in a plugin's folder.
pub(super) const CONFORMANCE: &str = "conformance.json";

/// What to pack.
#[derive(clap::Args, Debug)]
pub struct Pack {
    /// The plugin's folder.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// The component [default: NAME.wasm in the folder].
    #[arg(long, value_name = "FILE")]
    pub component: Option<PathBuf>,
    /// The result of its conformance suite [default: conformance.json in the folder, if it is there].
    #[arg(long, value_name = "FILE")]
    pub conformance: Option<PathBuf>,
    /// Where the bundle goes [default: NAME-VERSION.velum in the folder].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Runs `velum plugin pack`.
pub async fn run(pack: &Pack) -> Result<(), Failure> {
    let limits = Limits::default();
    let folder = Folder::open(&pack.dir)?;
    let component = match &pack.component {
        Some(file) => file.clone(),
        None => folder.built()?,
    };
    // What no server would take is not packed.
    let parts = Parts::of_folder(&pack.dir, Some(&component))?;
    parts.install(&sandbox()?).await?;
    let beside = folder.dir.join(CONFORMANCE);
    let result = pack
        .conformance
        .clone()
        .or_else(|| beside.is_file().then_some(beside));
    let component = file::read(&component, limits.component)?;
    let conformance = result
        .as_deref()
        .map(|path| result_of(path, &component, limits.conformance))
        .transpose()?;
    let bundle = Bundle::pack(velum_bundle::Parts {
        component,
        manifest: folder.manifest.clone(),
        conformance,
    })
    .context("could not pack the plugin")?;
    let out = pack
        .out
        .clone()
        .unwrap_or_else(|| folder.dir.join(bundle.about().file_name()));
    if failed(&bundle) > 0 {
        eprintln!("cases of its conformance suite fail; whoever installs it will see that");
    }
    let archive = bundle.to_tar();
    file::write(&out, &archive)?;
    write_out(&format!(
        "packed {} ({})\n{}",
        shown(&out),
        bytes(archive.len() as u64),
        told(&bundle)
    ))
}

/// The conformance result in a file, which must be about this component: what is signed with it says so.
fn result_of(path: &Path, component: &[u8], most: u64) -> Result<Vec<u8>, Failure> {
    let bytes = file::read(path, most)?;
    ConformanceResult::read(&bytes, &velum_bundle::digest(component)).with_context(|| {
        format!(
            "{} cannot be packed: run `velum plugin test` on this component",
            path.display()
        )
    })?;
    Ok(bytes)
}

/// How many cases of a suite failed.
fn failed(bundle: &Bundle) -> usize {
    let result = bundle.conformance();
    let result = result.and_then(|bytes| ConformanceResult::read(bytes, bundle.component_digest()).ok());
    result.map_or(0, |result| result.failed)
}

/// What a bundle has of a suite, in words.
fn conformance(bundle: &Bundle) -> String {
    let Some(bytes) = bundle.conformance() else {
        return "not packed".to_owned();
    };
    match ConformanceResult::read(bytes, bundle.component_digest()) {
        Ok(result) => format!(
            "{} passed, {} failed, {} left out",
            result.passed, result.failed, result.left_out
        ),
        Err(_) => "packed, but not about this component".to_owned(),
    }
}

/// A path without the dot that stands for here.
pub(super) fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

/// What is in a bundle, in lines.
pub(super) fn told(bundle: &Bundle) -> String {
    let about = bundle.about();
    let keys = bundle.key_ids();
    let signed = if keys.is_empty() {
        "by nobody".to_owned()
    } else {
        format!("with {}", keys.join(", "))
    };
    format!(
        "plugin       {} {} ({})\ndigest       {}\ncomponent    {}\nconformance  {}\nsigned       {}\n",
        about.name,
        about.version,
        about.world,
        bundle.digest(),
        bundle.component_digest(),
        conformance(bundle),
        crate::text::plain(&signed)
    )
}
