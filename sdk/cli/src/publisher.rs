//! `velum publisher`: who makes plugins, and the keys by which their word is known.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use velum_client::{Filter, Publishers};
use velum_wire::{CreatePublisherBody, PublisherKeyView, UpdatePublisherBody};

use crate::{
    failure::Failure,
    kind::{self, One, Rows, Shown},
    names::Names,
    session::{NO_WAIT, Output, Session},
    table::{self, Column, Kind, column, text},
};

impl Shown for Publishers {
    const NOUN: &'static str = "publisher";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        text("DESCRIPTION", "description"),
        column("SINCE", "created_at", Kind::Time),
        text("ID", "id"),
    ];
}

const KEYS: [Column; 5] = [
    text("KEY", "key_id"),
    column("ADDED", "created_at", Kind::Time),
    text("BY", "added_by"),
    column("REVOKED", "revoked_at", Kind::Time),
    text("WHY", "reason"),
];

/// Who makes plugins, and the keys that they sign with.
///
/// A plugin that a publisher signed is installed when the key is known here. The name of a plugin belongs to the publisher
/// who first brought it, and its versions only rise.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists publishers.
    List(Rows),
    /// Shows one publisher and its keys.
    Show(One),
    /// Makes a publisher; nothing is trusted before it has a key.
    Create(Create),
    /// Changes a publisher's description.
    Update(Update),
    /// Trusts a key as the publisher's.
    AddKey(AddKey),
    /// Trusts a key no more: nothing that it signed is installed or activated from then on.
    RevokeKey(RevokeKey),
    /// Removes a publisher of whom nothing was ever installed.
    Delete(One),
}

/// What a new publisher is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, as its signatures spell it.
    pub name: String,
    /// One line for people.
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub description: String,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// One line for people.
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
}

/// Which key is to be trusted.
#[derive(Args, Debug)]
pub struct AddKey {
    #[command(flatten)]
    pub one: One,
    /// File with the public key (PEM, ed25519): what `velum plugin keygen` wrote for others.
    #[arg(value_name = "FILE")]
    pub key: PathBuf,
}

/// Which key is not to be trusted any more.
#[derive(Args, Debug)]
pub struct RevokeKey {
    #[command(flatten)]
    pub one: One,
    /// The key, as `velum publisher show` lists it.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// What happened to it.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// A public key has some hundred bytes; more than this is another file.
const KEY_MAX: u64 = 4096;

/// Runs `velum publisher`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let publishers = session.client.publishers();
    match command {
        Command::List(rows) => kind::list::<Publishers>(session, &rows, Filter::new()).await,
        Command::Show(one) => show(session, &one).await,
        Command::Create(new) => {
            let body = CreatePublisherBody {
                name: new.name,
                description: new.description,
            };
            kind::answered::<Publishers>(session, publishers.create(&body).await?, NO_WAIT).await
        }
        Command::Update(change) => {
            let id = kind::resolve::<Publishers>(session, &change.one.name, &Filter::new()).await?;
            let body = UpdatePublisherBody {
                description: change.description,
            };
            kind::answered::<Publishers>(session, publishers.update(id, &body, None).await?, NO_WAIT).await
        }
        Command::AddKey(add) => {
            let id = kind::resolve::<Publishers>(session, &add.one.name, &Filter::new()).await?;
            let added = publishers.add_key(id, read_key(&add.key)?).await?;
            print_keys(session, &added, std::slice::from_ref(&added))
        }
        Command::RevokeKey(revoke) => {
            let id = kind::resolve::<Publishers>(session, &revoke.one.name, &Filter::new()).await?;
            let revoked = publishers.revoke_key(id, revoke.key, revoke.reason).await?;
            print_keys(session, &revoked, std::slice::from_ref(&revoked))
        }
        Command::Delete(one) => kind::delete::<Publishers>(session, &one, NO_WAIT).await,
    }
}

async fn show(session: &Session, one: &One) -> Result<(), Failure> {
    let id = kind::resolve::<Publishers>(session, &one.name, &Filter::new()).await?;
    let keys = session.client.publishers().keys(id).await?;
    if session.output == Output::Json {
        let publisher = session.client.publishers().get(id).await?;
        let both = serde_json::json!({ "publisher": publisher, "keys": keys });
        return session.print(&both, String::new);
    }
    kind::show_id::<Publishers>(session, id).await?;
    print_keys(session, &keys, &keys)
}

fn print_keys(
    session: &Session,
    value: &impl serde::Serialize,
    keys: &[PublisherKeyView],
) -> Result<(), Failure> {
    session.print(value, || {
        let headers: Vec<&str> = KEYS.iter().map(|column| column.header).collect();
        let names = Names::default();
        let rows = keys
            .iter()
            .filter_map(|key| serde_json::to_value(key).ok())
            .map(|key| table::cells(&key, &KEYS, &names))
            .collect();
        table::list(&headers, rows, None)
    })
}

fn read_key(path: &std::path::Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(KEY_MAX).read_to_string(&mut text))
        .with_context(|| format!("could not read the key from {}", path.display()))?;
    Ok(text)
}
