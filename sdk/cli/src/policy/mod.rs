//! `velum policy`: names for a plugin and its configuration.

mod evaluate;
pub mod shadow;
mod versions;

use clap::{Args, Subcommand, ValueEnum};
use velum_client::{Filter, Plugins};
use velum_wire::{CreatePolicyBody, PluginView, UpdatePolicyBody};

pub use velum_client::Policies;

use crate::{
    args::{json, json_or_empty},
    failure::Failure,
    kind::{self, One, Rows, Shown},
    session::{NO_WAIT, Session},
    table::{Column, Kind, column, text},
    text::plain,
};

impl Shown for Policies {
    const NOUN: &'static str = "policy";
    const COLUMNS: &'static [Column] = &[
        text("NAME", "name"),
        column("DIGEST", "digest", Kind::Digest),
        text("GENERATION", "generation"),
        text("FALLBACK", "fallback"),
        text("HOW", "cause"),
        text("CONFIG", "config"),
        text("ID", "id"),
    ];
}

/// Who places guests: names for a placement plugin with its configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Lists policies.
    List(Rows),
    /// Shows one policy.
    Show(One),
    /// Makes a policy out of an installed plugin; `velum zone update --policy` puts it to work.
    Create(Create),
    /// Swaps plugin or configuration: the next decision is made under it.
    Update(Update),
    /// Tries a plugin on what the policy is asked: its answers are counted and not used.
    ///
    /// Without options it shows what was seen so far: how often both would choose the same compute host, how alike they
    /// order the best 16, what the shadow would refuse, how it fails, what it costs.
    Shadow(shadow::Shadow),
    /// Makes the shadow the policy; what it was stays in its history.
    ///
    /// For a while afterwards the server watches it: when it fails or refuses too often, the version before takes its
    /// place again by itself, and `velum policy versions` says so.
    Promote(One),
    /// Lists what the policy was: every generation, how it came to be, by whom and why.
    Versions(One),
    /// Puts an earlier version back, plugin and configuration.
    Rollback(versions::Rollback),
    /// Shows what would have come of a zone's latest decisions under a plugin: who would have gone elsewhere, what would have
    /// been refused, how full the compute hosts would be.
    Evaluate(evaluate::Evaluate),
    /// Removes a policy that no zone or offering names.
    Delete(One),
}

/// What is done when the policy fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fallback {
    /// The built-in policy decides, and the decision says so.
    BuiltIn,
    /// The request is refused.
    Refuse,
}

impl From<Fallback> for velum_wire::Fallback {
    fn from(fallback: Fallback) -> Self {
        match fallback {
            Fallback::BuiltIn => Self::BuiltIn,
            Fallback::Refuse => Self::Refuse,
        }
    }
}

/// What a new policy is.
#[derive(Args, Debug)]
pub struct Create {
    /// Its name, unique in the cloud.
    pub name: String,
    /// The plugin: its name (the newest version), NAME@VERSION, or the digest.
    #[arg(long, value_name = "PLUGIN|DIGEST")]
    pub plugin: String,
    /// Its configuration, as the plugin's schema wants it.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// What is done when it fails.
    #[arg(long, value_enum, default_value = "built-in")]
    pub fallback: Fallback,
}

/// What changes.
#[derive(Args, Debug)]
pub struct Update {
    #[command(flatten)]
    pub one: One,
    /// Its new name.
    #[arg(long = "rename", value_name = "NAME")]
    pub rename: Option<String>,
    /// The plugin: its name (the newest version), NAME@VERSION, or the digest.
    #[arg(long, value_name = "PLUGIN|DIGEST")]
    pub plugin: Option<String>,
    /// Its configuration, as the plugin's schema wants it.
    #[arg(long, value_name = "JSON|@FILE")]
    pub config: Option<String>,
    /// What is done when it fails.
    #[arg(long, value_enum)]
    pub fallback: Option<Fallback>,
}

/// Runs `velum policy`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let policies = session.client.policies();
    match command {
        Command::List(rows) => kind::list::<Policies>(session, &rows, Filter::new()).await,
        Command::Show(one) => kind::show::<Policies>(session, &one).await,
        Command::Create(new) => {
            let (digest, plugin) = component(session, Some(&new.plugin)).await?;
            let body = CreatePolicyBody {
                name: new.name,
                digest,
                plugin,
                config: json_or_empty(new.config.as_deref())?,
                fallback: new.fallback.into(),
            };
            kind::answered::<Policies>(session, policies.create(&body).await?, NO_WAIT).await
        }
        Command::Update(change) => {
            let id = kind::resolve::<Policies>(session, &change.one.name, &Filter::new()).await?;
            let (digest, plugin) = component(session, change.plugin.as_deref()).await?;
            let config = change.config.as_deref().map(json).transpose()?;
            let fallback = change.fallback.map(Into::into);
            let body = UpdatePolicyBody {
                name: change.rename,
                digest,
                plugin,
                config,
                fallback,
            };
            kind::answered::<Policies>(session, policies.update(id, &body, None).await?, NO_WAIT).await
        }
        Command::Shadow(shadow) => shadow::run(session, &shadow).await,
        Command::Promote(one) => shadow::promote(session, &one).await,
        Command::Versions(one) => versions::list(session, &one).await,
        Command::Rollback(back) => versions::rollback(session, back).await,
        Command::Evaluate(evaluate) => evaluate::run(session, &evaluate).await,
        Command::Delete(one) => kind::delete::<Policies>(session, &one, NO_WAIT).await,
    }
}

/// What a policy names as its component: a digest, or a plugin whose newest version the server takes.
pub async fn component(
    session: &Session,
    plugin: Option<&str>,
) -> Result<(Option<String>, Option<String>), Failure> {
    match plugin {
        None => Ok((None, None)),
        Some(digest) if digest.starts_with(SHA256) => Ok((Some(whole(session, digest).await?), None)),
        Some(name) => match name.split_once('@') {
            None => Ok((None, Some(name.to_owned()))),
            Some((name, version)) => Ok((Some(version_of(session, name, version).await?.digest), None)),
        },
    }
}

/// What every digest begins with.
const SHA256: &str = "sha256:";
/// The length of a whole one: 64 digits follow.
const DIGEST_LEN: usize = SHA256.len() + 64;

/// A digest, of which lists show the beginning only.
async fn whole(session: &Session, digest: &str) -> Result<String, Failure> {
    if digest.len() >= DIGEST_LEN {
        return Ok(digest.to_owned());
    }
    Ok(of_digest(session, digest).await?.digest)
}

/// The plugin of a digest, or of the beginning of one.
async fn of_digest(session: &Session, digest: &str) -> Result<PluginView, Failure> {
    let mut all = session.client.plugins().all(&Filter::new()).await?;
    all.retain(|plugin| plugin.digest.starts_with(digest));
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(Failure::Local(anyhow::anyhow!(
            "no plugin's digest is or begins with {}; velum plugin list shows them",
            plain(digest)
        ))),
        (Some(_), others) => Err(Failure::Usage(format!(
            "the digests of {} plugins begin with {}: write more of it",
            others + 1,
            plain(digest)
        ))),
    }
}

async fn version_of(session: &Session, name: &str, version: &str) -> Result<PluginView, Failure> {
    let all = session.client.plugins().all(&Filter::named(name)).await?;
    let missing = || {
        Failure::Local(anyhow::anyhow!(
            "no version {} of {} is installed",
            plain(version),
            plain(name)
        ))
    };
    all.into_iter().find(|p| p.version == version).ok_or_else(missing)
}

/// The plugin behind a name, NAME@VERSION, digest or id.
pub async fn plugin(session: &Session, name: &str) -> Result<uuid::Uuid, Failure> {
    if name.starts_with(SHA256) {
        return Ok(of_digest(session, name).await?.id);
    }
    if let Some((name, version)) = name.split_once('@') {
        return Ok(version_of(session, name, version).await?.id);
    }
    kind::resolve::<Plugins>(session, name, &Filter::new()).await
}
