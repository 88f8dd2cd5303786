//! `velum image-store`: where templates are kept.

use clap::{ArgGroup, Args, Subcommand};
use velum_client::ImageStores;
use velum_wire::CreateImageStoreBody;

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
};

impl Shown for ImageStores {
    const NOUN: &'static str = "image store";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("ZONE", "zone_id", Kind::Of("zones")),
        text("KIND", "kind"),
        text("DIRECTORY", "directory"),
        text("ENDPOINT", "endpoint"),
        text("ID", "id"),
    ];
}

/// Secondary storage: where a zone's templates are kept.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists image stores.
    List(List),
    /// Shows one image store.
    Show(One),
    /// Registers an image store: a directory of a node, or an HTTP endpoint.
    Create(Create),
    /// Removes an image store without templates.
    Delete(One),
}

/// Which image stores.
#[derive(Args, Debug)]
pub struct List {
    #[command(flatten)]
    pub rows: Rows,
    /// Only those of this zone.
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
}

/// What a new image store is.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("place").required(true).args(["directory", "endpoint"])))]
pub struct Create {
    /// Its name, unique in the zone.
    pub name: String,
    /// Its zone [default: the only one].
    #[arg(long, value_name = "NAME|ID")]
    pub zone: Option<String>,
    /// Address of the velum-node that has the directory.
    #[arg(long, value_name = "ADDRESS", requires = "directory")]
    pub node: Option<String>,
    /// The directory there.
    #[arg(long, value_name = "PATH", requires = "node")]
    pub directory: Option<String>,
    /// Origin and base path of an HTTP image store.
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
}

/// Runs `velum image-store`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(list) => {
            let filter = kind::in_zone(session, list.zone.as_deref()).await?;
            kind::list::<ImageStores>(session, &list.rows, filter).await
        }
        Command::Show(one) => kind::show::<ImageStores>(session, &one).await,
        Command::Create(new) => {
            let body = CreateImageStoreBody {
                zone_id: kind::zone_or_only(session, new.zone.as_deref()).await?,
                name: new.name,
                node: new.node,
                directory: new.directory,
                endpoint: new.endpoint,
            };
            let answer = session.client.image_stores().create(&body).await?;
            kind::answered::<ImageStores>(session, answer, NO_WAIT).await
        }
        Command::Delete(one) => kind::delete::<ImageStores>(session, &one, NO_WAIT).await,
    }
}
