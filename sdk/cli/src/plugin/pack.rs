//! `velum plugin pack`: component, plugin.toml and conformance result into one file.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use velum_bundle::{Bundle, Limits, Parts};

use super::{file, folder::Folder};
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
pub fn run(pack: &Pack) -> Result<(), Failure> {
    let limits = Limits::default();
    let folder = Folder::open(&pack.dir)?;
    let component = match &pack.component {
        Some(file) => file.clone(),
        None => folder.built()?,
    };
    let beside = folder.dir.join(CONFORMANCE);
    let result = pack
        .conformance
        .clone()
        .or_else(|| beside.is_file().then_some(beside));
    let bundle = Bundle::pack(Parts {
        component: file::read(&component, limits.component)?,
        manifest: folder.manifest.clone(),
        conformance: result
            .as_deref()
            .map(|path| file::read(path, limits.conformance))
            .transpose()?,
    })
    .context("could not pack the plugin")?;
    let out = pack
        .out
        .clone()
        .unwrap_or_else(|| folder.dir.join(bundle.about().file_name()));
    let archive = bundle.to_tar();
    file::write(&out, &archive)?;
    write_out(&format!(
        "packed {} ({})\n{}",
        shown(&out),
        bytes(archive.len() as u64),
        told(&bundle)
    ))
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
        if bundle.conformance().is_some() {
            "its result is packed"
        } else {
            "not packed"
        },
        crate::text::plain(&signed)
    )
}
