//! `velum template`: images that root volumes are cloned from.

mod upload;

use clap::{Subcommand, ValueEnum};
use velum_client::{Filter, ImageStores, Templates};
use velum_wire::{CreateTemplateBody, ImageFormat};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session, Wait},
    table::{Column, Kind, column, text},
};

impl Shown for Templates {
    const NOUN: &'static str = "template";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        column("STATE", "state", Kind::State),
        text("FORMAT", "format"),
        column("RECEIVED", "received_bytes/upload_bytes", Kind::Bytes),
        column("SIZE", "virtual_bytes", Kind::Bytes),
        text("FAILURE", "failure"),
        text("ID", "id"),
    ];
}

/// Images that instances are made from.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists templates.
    List(List),
    /// Shows one template.
    Show(One),
    /// Announces a template without sending its bytes; most want `upload`.
    Create(Create),
    /// Registers a file as a template and uploads it; run again, it goes on where it ended.
    Upload(upload::Upload),
    /// Removes a template and what pools cache of it.
    Delete(Delete),
}

/// Which templates.
#[derive(clap::Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// The format of an image: always as said, never guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The bytes of the disk.
    Raw,
    /// QEMU's format, without backing or data file.
    Qcow2,
}

impl From<Format> for ImageFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Raw => Self::Raw,
            Format::Qcow2 => Self::Qcow2,
        }
    }
}

/// What a new template is.
#[derive(clap::Args, Debug)]
pub struct Create {
    /// Its name, unique in the project and zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Its image store [default: the zone's only one].
    #[arg(long, value_name = "NAME|ID")]
    pub image_store: Option<String>,
    /// The format of the image.
    #[arg(long, value_enum)]
    pub format: Format,
    /// The length of the image in bytes.
    #[arg(long, value_name = "BYTES")]
    pub length: u64,
    /// SHA-256 of the image, hexadecimal.
    #[arg(long, value_name = "HEX")]
    pub sha256: String,
}

/// Which one, and whether to wait.
#[derive(clap::Args, Debug)]
pub struct Delete {
    #[command(flatten)]
    pub one: One,
    #[command(flatten)]
    pub wait: Wait,
}

/// Runs `velum template`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<Templates>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<Templates>(session, &one).await,
        Command::Create(new) => {
            let (zone_id, image_store_id) =
                place(session, new.zone.as_deref(), new.image_store.as_deref()).await?;
            let body = CreateTemplateBody {
                zone_id,
                image_store_id,
                name: new.name,
                format: new.format.into(),
                upload_bytes: new.length,
                sha256: new.sha256,
            };
            let answer = session.client.templates().create(&body).await?;
            kind::answered::<Templates>(session, answer, NO_WAIT).await
        }
        Command::Upload(upload) => upload::run(session, upload).await,
        Command::Delete(delete) => kind::delete::<Templates>(session, &delete.one, delete.wait).await,
    }
}

/// Zone and image store of a new template.
async fn place(
    session: &Session,
    zone: Option<&str>,
    image_store: Option<&str>,
) -> Result<(uuid::Uuid, Option<uuid::Uuid>), Failure> {
    let zone_id = kind::zone_or_only(session, zone).await?;
    let within = Filter::new().with("zone_id", zone_id);
    Ok((
        zone_id,
        kind::resolve_some::<ImageStores>(session, image_store, &within).await?,
    ))
}
