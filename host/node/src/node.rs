//! The node: what it has, and who answers which verb.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use velum_connector::message::{
    Verb,
    files::FilesVerb,
    frame::MAX_BODY,
    libvirt::{LibvirtVerb, StatsPage},
};
use velum_model::{
    fault::{Fault, code},
    id::RunId,
    net::LinkKind,
    port::{
        Effect, Fence, Secret,
        node::{LinkSpec, NodeHello},
        storage::{Attachment, registry},
    },
};

use crate::{
    console::{Consoles, Terminal},
    disk::blocking,
    files::Files,
    gate::{Entry, Gate},
    held::Held,
    image::Images,
    iscsi,
    libvirt::{self, Libvirt},
    links::Links,
    roots::Roots,
    seed::Seeds,
    start::StartError,
    tool::Tools,
    volume,
};

/// How long an announcement waits for older effects, less than the server waits for its answer.
const ANNOUNCE: Duration = Duration::from_secs(9);

/// Everything that this process has on its machine.
pub struct Node {
    pub(crate) hello: NodeHello,
    pub(crate) gate: Gate,
    pub(crate) libvirt: Libvirt,
    pub(crate) files: Files,
    images: Images,
    pub(crate) seeds: Seeds,
    pub(crate) links: Links,
    pub(crate) consoles: Consoles,
    pub(crate) roots: Roots,
    pub(crate) tools: Tools,
    pub(crate) held: Held,
    sequence: AtomicU64,
}

impl Node {
    /// Opens the state of a node in a directory, which only one process may use.
    ///
    /// # Errors
    /// [`StartError`] says what to do.
    pub async fn open(
        state: &Path,
        libvirt_uris: Vec<String>,
        directories: Vec<PathBuf>,
    ) -> Result<Self, StartError> {
        let part = |name: &str| {
            let path = state.join(name);
            crate::start::make_directory(&path).map(|()| path)
        };
        crate::start::make_directory(state)?;
        let roots = Roots::new(directories);
        let tools = Tools::probe().await;
        Ok(Self {
            hello: crate::start::hello(state)?,
            gate: Gate::open(&part("gate")?)?,
            libvirt: Libvirt::new(libvirt_uris),
            files: Files::new(roots.clone(), tools.clone()),
            images: Images::new(roots.clone(), tools.clone()),
            seeds: Seeds::new(part("seeds")?),
            links: Links::new(part("links")?),
            consoles: Consoles::new(part("console")?),
            roots,
            tools,
            held: Held::default(),
            sequence: AtomicU64::new(crate::start::first_sequence()?),
        })
    }

    /// Waits until no effect is under way, at most this long; whether it came to that.
    pub async fn quiet(&self, within: Duration) -> bool {
        self.gate.quiet(within).await
    }

    /// Passes an effect through the gate and does it. The effect goes on when the caller's time is over.
    pub(crate) async fn effect(
        self: std::sync::Arc<Self>,
        fence: Option<Fence>,
        effect: Option<Effect>,
        verb: Verb,
        until: Instant,
    ) -> Result<Value, Fault> {
        let (Some(fence), Some(effect)) = (fence, effect) else {
            return Err(Fault::unchanged(
                code::INVALID,
                "an effect needs a fence and an identity",
            ));
        };
        if let Verb::Files {
            verb: FilesVerb::Copy { .. },
            ..
        } = &verb
            && let Some(answer) = self.files.rejoin(effect.id).await
        {
            return answer;
        }
        let text = serde_json::to_vec(&verb).map_err(|e| Fault::unchanged(code::INVALID, e.to_string()))?;
        let digest = hex::encode(&Sha256::digest(text)[..8]);
        match self.gate.enter(&fence, &effect, &digest, until).await? {
            Entry::Known(answer) => Ok(answer),
            Entry::Fresh(permit) => {
                // With its end below, this tells what was under way when a node died.
                tracing::debug!(effect = %effect.id, verb = %digest, object = %fence.object, "an effect begins");
                let acting = tokio::spawn(async move {
                    let answer = self.act(verb, &effect, permit, until).await;
                    tracing::debug!(effect = %effect.id, verb = %digest, "an effect ended");
                    answer
                });
                match tokio::time::timeout_at(until, acting).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => Err(Fault::new(code::FAILED, format!("the effect broke off: {error}"))),
                    Err(_) => Err(Fault::new(
                        code::DEADLINE,
                        "the effect goes on; ask again under its id",
                    )),
                }
            }
        }
    }

    /// Answers a question.
    pub(crate) async fn ask(&self, verb: Verb, body: Vec<u8>) -> Result<(Value, Vec<u8>), Fault> {
        let answer = match verb {
            Verb::Epochs(epochs) => {
                self.gate.announce(&epochs, ANNOUNCE).await?;
                Value::Null
            }
            Verb::Libvirt { uri, verb } => self.ask_libvirt(&uri, verb).await?,
            Verb::Files { directory, verb } => self.files.ask(&directory, verb).await?,
            Verb::Image { directory, verb } => self.images.serve(&directory, verb, body).await?,
            Verb::Links => json!(self.links.made()?),
            Verb::Seeds => {
                let seeds = self.seeds.clone();
                json!(blocking(move || seeds.written()).await?)
            }
            Verb::SecretHold { identity } => {
                self.held.hold(identity, Secret::new(body))?;
                Value::Null
            }
            Verb::VerifyAttachment(attachment) => {
                self.verify(attachment).await?;
                Value::Null
            }
            Verb::ConsoleLog { run, limit } => {
                let consoles = self.consoles.clone();
                let limit = (limit as usize).min(MAX_BODY);
                let bytes = blocking(move || consoles.tail(run, limit)).await?;
                return Ok((Value::Null, bytes));
            }
            _ => return Err(Fault::unchanged(code::INVALID, "this is no question")),
        };
        Ok((answer, Vec::new()))
    }

    /// The name under which storage knows this machine.
    pub(crate) fn initiator(&self) -> &str {
        let own = self.hello.initiators.first();
        own.map(|own| own.value.as_str()).unwrap_or_default()
    }

    async fn verify(&self, attachment: Attachment) -> Result<(), Fault> {
        if attachment.kind == registry::ATTACH_ISCSI {
            let (unit, secret) = (iscsi::unit_of(&attachment)?, self.held.secret_of(&attachment)?);
            let login = iscsi::Login {
                initiator: self.initiator(),
                unit: &unit,
                secret: secret.as_ref(),
            };
            return iscsi::verify(login, &attachment).await;
        }
        let roots = self.roots.clone();
        blocking(move || volume::verify(&attachment, &roots)).await
    }

    async fn ask_libvirt(&self, uri: &str, verb: LibvirtVerb) -> Result<Value, Fault> {
        match verb {
            LibvirtVerb::CapabilitiesXml => {
                let text = self.libvirt.with(uri, libvirt::capabilities).await?;
                Ok(json!(text))
            }
            LibvirtVerb::DomainCapabilitiesXml { machine, arch } => {
                let text = self
                    .libvirt
                    .with(uri, move |connect| {
                        libvirt::domain_capabilities(connect, &machine, &arch)
                    })
                    .await?;
                Ok(json!(text))
            }
            LibvirtVerb::NodeFacts => {
                let hello = self.hello.clone();
                let facts = self
                    .libvirt
                    .with(uri, move |connect| libvirt::node_facts(connect, &hello))
                    .await?;
                Ok(json!(facts))
            }
            LibvirtVerb::Stats { after } => {
                // The number is taken before looking: a report that began later counts as later.
                let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
                if after.is_none() {
                    self.sweep(uri).await;
                }
                let (domains, next, complete) = self
                    .libvirt
                    .with(uri, move |connect| libvirt::stats(connect, after.as_deref()))
                    .await?;
                Ok(json!(StatsPage {
                    boot_id: self.hello.boot_id.clone(),
                    sequence,
                    complete,
                    next,
                    domains,
                }))
            }
            LibvirtVerb::Domain { run } => {
                let seen = self
                    .libvirt
                    .with(uri, move |connect| libvirt::domain(connect, run))
                    .await?;
                Ok(json!(seen))
            }
            LibvirtVerb::DomainXml { run } => {
                let text = self
                    .libvirt
                    .with(uri, move |connect| libvirt::definition(connect, run))
                    .await?;
                Ok(json!(text))
            }
            _ => Err(Fault::unchanged(code::INVALID, "this is no question")),
        }
    }

    /// Removes definitions that came after their run was over. What does not work now is tried with the next look.
    async fn sweep(&self, uri: &str) {
        let (seeds, held) = (self.seeds.clone(), self.held.clone());
        // Another node's domains have their seeds elsewhere.
        let is_late = move |run: RunId, seed: &str| {
            let own = seeds.path(run);
            own.as_os_str() == seed && own.try_exists().is_ok_and(|is_there| !is_there)
        };
        match self
            .libvirt
            .with(uri, move |connect| {
                let objects = libvirt::sweep_secrets(connect, &held)?;
                if objects > 0 {
                    tracing::warn!(
                        objects,
                        "removed secret objects of a call that an earlier node did not survive"
                    );
                }
                libvirt::sweep(connect, is_late, &held)
            })
            .await
        {
            Ok(swept) => {
                for run in swept {
                    tracing::warn!(%run, "removed a definition that came after its run was over");
                }
            }
            Err(fault) => tracing::debug!(%fault, "could not look for definitions that came too late"),
        }
    }

    /// Opens a console.
    pub(crate) async fn console(&self, verb: Verb) -> Result<Terminal, Fault> {
        let Verb::ConsoleOpen { uri, run, place } = verb else {
            return Err(Fault::unchanged(code::INVALID, "this is no console"));
        };
        // Where the terminal is the node asks libvirt itself; the plugin's locator only says which console.
        if place.kind != velum_model::port::hypervisor::registry::CONSOLE_SERIAL {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("consoles of kind {} are not streamed here", place.kind),
            ));
        }
        let handle = velum_model::port::hypervisor::RunHandle {
            id: run,
            generation: 0,
        };
        let path = self
            .libvirt
            .with(&uri, move |connect| libvirt::terminal(connect, handle))
            .await?;
        Terminal::open(&path)
    }

    /// Makes or checks a link, wherever it lives.
    pub(crate) async fn ensure_link(&self, spec: LinkSpec) -> Result<String, Fault> {
        if spec.link.kind != LinkKind::LibvirtNetwork {
            return self.links.ensure(&spec).await;
        }
        let uri = self
            .libvirt
            .first_uri()
            .ok_or_else(|| Fault::unchanged(code::UNSUPPORTED, "this node was started without libvirt"))?
            .to_owned();
        let name = spec.link.name;
        self.libvirt
            .with(&uri, move |connect| {
                libvirt::active_network(connect, &name).map(|()| name)
            })
            .await
    }
}
