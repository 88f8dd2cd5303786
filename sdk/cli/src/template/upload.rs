//! `velum template upload`: a file becomes a template.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;
use velum_client::{Filter, Templates};
use velum_wire::{CreateTemplateBody, TemplateState, TemplateView};

use super::{Format, place};
use crate::{
    failure::Failure,
    kind,
    progress::{bytes_bar, finish},
    session::{Session, Wait},
};

/// What to upload.
#[derive(clap::Args, Debug)]
pub struct Upload {
    /// The image.
    pub file: PathBuf,
    /// The template's name [default: the file's, without its ending].
    #[arg(long)]
    pub name: Option<String>,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Its image store [default: the zone's only one].
    #[arg(long, value_name = "NAME|ID")]
    pub image_store: Option<String>,
    /// The format of the image [default: by the file's ending, .qcow2 or .raw or .img].
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    #[command(flatten)]
    pub wait: Wait,
}

/// Runs `velum template upload`.
pub async fn run(session: &Session, upload: Upload) -> Result<(), Failure> {
    let format = match upload.format {
        Some(format) => format,
        None => format_of(&upload.file)?,
    };
    let name = match upload.name {
        Some(name) => name,
        None => name_of(&upload.file)?,
    };
    let (sha256, length) = sum(session, &upload.file).await?;
    let (zone_id, image_store_id) =
        place(session, upload.zone.as_deref(), upload.image_store.as_deref()).await?;
    let body = CreateTemplateBody {
        zone_id,
        image_store_id,
        name,
        format: format.into(),
        upload_bytes: length,
        sha256,
    };
    let template = begin_or_resume(session, &body).await?;
    let operation = send(session, &upload.file, &template).await?;
    match operation {
        Some(operation) if upload.wait.wait => {
            finish(session, operation).await?;
            ready(session, template.id).await
        }
        _ => kind::show_id::<Templates>(session, template.id).await,
    }
}

/// An image that was refused ended its operation, but is no template to use.
async fn ready(session: &Session, id: Uuid) -> Result<(), Failure> {
    let template = session.client.templates().get(id).await?;
    kind::show_view::<Templates>(session, &template).await?;
    match template.state {
        TemplateState::Failed => {
            let why = template
                .failure
                .unwrap_or_else(|| "the image was refused".to_owned());
            Err(Failure::Operation(format!(
                "the template {} cannot be used: {why}",
                template.name
            )))
        }
        _ => Ok(()),
    }
}

/// A template of the same name that waits for just these bytes is taken up again.
async fn begin_or_resume(session: &Session, body: &CreateTemplateBody) -> Result<TemplateView, Failure> {
    let templates = session.client.templates();
    let same = templates
        .all(&Filter::named(&body.name))
        .await?
        .into_iter()
        .find(|t| {
            t.zone_id == body.zone_id
                && body.image_store_id.is_none_or(|store| store == t.image_store_id)
                && t.state == TemplateState::Uploading
                && t.sha256 == body.sha256
                && t.upload_bytes == body.upload_bytes
                && t.format == body.format
        });
    match same {
        Some(template) => {
            session.say(&format!(
                "going on with {} after {} bytes",
                template.name, template.received_bytes
            ));
            Ok(template)
        }
        None => Ok(templates.create(body).await?.value),
    }
}

async fn send(session: &Session, path: &Path, template: &TemplateView) -> Result<Option<Uuid>, Failure> {
    let mut file = tokio::fs::File::open(path)
        .await
        .with_context(|| format!("could not open {}", path.display()))?;
    let bar = bytes_bar(session, template.upload_bytes, "uploading");
    let sent = session
        .client
        .templates()
        .upload(template.id, &mut file, |at| bar.set_position(at))
        .await;
    bar.finish_and_clear();
    Ok(sent?)
}

/// Bytes read at once for the checksum.
const PIECE: usize = 1 << 20;

async fn sum(session: &Session, path: &Path) -> Result<(String, u64), Failure> {
    let reading = || format!("could not read {}", path.display());
    let mut file = tokio::fs::File::open(path).await.with_context(reading)?;
    let length = file.metadata().await.with_context(reading)?.len();
    let bar = bytes_bar(session, length, "checksum");
    let mut sha = Sha256::new();
    let mut piece = vec![0; PIECE];
    let mut total = 0;
    loop {
        let n = file.read(&mut piece).await.with_context(reading)?;
        if n == 0 {
            break;
        }
        sha.update(piece.get(..n).unwrap_or_default());
        total += n as u64;
        bar.set_position(total);
    }
    bar.finish_and_clear();
    Ok((hex::encode(sha.finalize()), total))
}

fn format_of(path: &Path) -> Result<Format, Failure> {
    match path.extension().and_then(|e| e.to_str()) {
        Some("qcow2") => Ok(Format::Qcow2),
        Some("raw" | "img") => Ok(Format::Raw),
        _ => Err(Failure::usage(
            "say what the file is with --format raw or --format qcow2",
        )),
    }
}

fn name_of(path: &Path) -> Result<String, Failure> {
    let stem = path.file_stem().and_then(|s| s.to_str());
    stem.map(str::to_owned)
        .ok_or_else(|| Failure::usage("give the template a name with --name"))
}
