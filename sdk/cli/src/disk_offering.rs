//! `velum disk-offering`: shapes of volumes.

use clap::{Args, Subcommand};
use velum_client::{DiskOfferings, Filter};
use velum_wire::{CreateDiskOfferingBody, UpdateDiskOfferingBody};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
    text::parse_bytes,
};

impl Shown for DiskOfferings {
    const NOUN: &'static str = "disk offering";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("SIZE", "size_bytes", Kind::Bytes),
        text("STORAGE TAGS", "storage_tags"),
        text("ID", "id"),
    ];
}

/// Shapes of volumes.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists disk offerings.
    List(Rows),
    /// Shows one disk offering.
    Show(One),
    /// Makes a disk offering.
    Create(Create),
    /// Changes a disk offering: its name, its tags. Its size stays.
    Update(Update),
    /// Removes a disk offering that no volume has.
    Delete(One),
}

/// What a new disk offering is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the cloud.
    pub name: String,
    /// Size, like 10GiB [default: whoever makes the volume says it].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub size: Option<u64>,
    /// A tag that the pool must have (repeat for more).
    #[arg(long, value_name = "TAG")]
    pub storage_tag: Vec<String>,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// Replaces the tags that the pool must have (repeat for more).
    #[arg(long, value_name = "TAG")]
    pub storage_tag: Option<Vec<String>>,
}

/// Runs `velum disk-offering`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let offerings = session.client.disk_offerings();
    match command {
        Command::List(rows) => kind::list::<DiskOfferings>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show::<DiskOfferings>(session, &one).await,
        Command::Create(new) => {
            let body = CreateDiskOfferingBody {
                name: new.name,
                size_bytes: new.size,
                storage_tags: new.storage_tag,
            };
            kind::answered::<DiskOfferings>(session, offerings.create(&body).await?, NO_WAIT).await
        }
        Command::Update(change) => {
            let id = kind::resolve::<DiskOfferings>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdateDiskOfferingBody {
                name: change.rename,
                storage_tags: change.storage_tag,
            };
            kind::answered::<DiskOfferings>(session, offerings.update(id, &body, None).await?, NO_WAIT).await
        }
        Command::Delete(one) => kind::delete::<DiskOfferings>(session, &one, NO_WAIT).await,
    }
}
