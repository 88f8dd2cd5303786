//! Effects, inside the gate's critical section.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;
use velum_connector::message::{
    Verb,
    libvirt::{DeviceOrder, DomainVerb, LibvirtVerb},
};
use velum_model::{
    fault::{Fault, code},
    id::RunId,
    port::{
        Effect,
        hypervisor::RunHandle,
        storage::{Attachment, registry},
    },
};

use crate::{
    disk::blocking,
    files,
    gate::Permit,
    iscsi, libvirt,
    node::Node,
    volume,
    xml::order::{self, Place},
};

/// How long a guest is waited for to let a device go before the answer is `BUSY`, at most.
const LETTING_GO: Duration = Duration::from_secs(8);

/// How often it is asked.
const ASKING: Duration = Duration::from_millis(500);

impl Node {
    /// Does one effect and remembers its answer.
    pub(crate) async fn act(
        &self,
        verb: Verb,
        effect: &Effect,
        mut permit: Permit,
        until: Instant,
    ) -> Result<Value, Fault> {
        let answer = match verb {
            Verb::Files { directory, verb } => {
                return self.files.act(&directory, verb, effect.id, permit).await;
            }
            Verb::Libvirt {
                verb:
                    LibvirtVerb::Act {
                        run,
                        verb: DomainVerb::Shutdown,
                    },
                uri,
            } => {
                // A guest may not have listened: asking again under the same id asks it again.
                self.act_on_domain(&uri, run, DomainVerb::Shutdown).await?;
                return Ok(Value::Null);
            }
            Verb::Libvirt { uri, verb } => self.act_on_libvirt(&uri, verb, until).await?,
            Verb::LinkEnsure(spec) => json!(self.ensure_link(spec).await?),
            Verb::LinkRemove(network) => {
                self.links.remove(network).await?;
                Value::Null
            }
            Verb::SeedWrite { run, seed } => {
                let seeds = self.seeds.clone();
                let path = blocking(move || seeds.write(run, &seed)).await?;
                json!(path.display().to_string())
            }
            Verb::SeedRemove(run) => {
                let seeds = self.seeds.clone();
                blocking(move || seeds.remove(run)).await?;
                Value::Null
            }
            Verb::FillLayer { image, into } => {
                permit.is_long();
                self.fill(&image, &into).await?;
                Value::Null
            }
            _ => return Err(Fault::unchanged(code::INVALID, "this is no effect")),
        };
        permit.done(&answer).await?;
        Ok(answer)
    }

    /// The mover: gets the content of an image into a volume.
    async fn fill(&self, image: &str, into: &Attachment) -> Result<(), Fault> {
        let image = volume::image_path(image, &self.roots)?;
        if into.kind == registry::ATTACH_ISCSI {
            let (unit, secret) = (iscsi::unit_of(into)?, self.held.secret_of(into)?);
            let login = iscsi::Login {
                initiator: self.initiator(),
                unit: &unit,
                secret: secret.as_ref(),
            };
            return iscsi::fill(&self.tools, image, login, into).await;
        }
        let path = volume::file_of(into, &self.roots)?;
        files::fill(&self.tools, image, path, (into.format, into.size_bytes)).await
    }

    async fn act_on_libvirt(&self, uri: &str, verb: LibvirtVerb, until: Instant) -> Result<Value, Fault> {
        match verb {
            LibvirtVerb::Define { run, xml, order } => {
                let text = self.with_place(run.id, |place| order::domain(run, &xml, &order, place))?;
                self.libvirt
                    .with(uri, move |connect| libvirt::define(connect, run, &text))
                    .await?;
            }
            LibvirtVerb::Act { run, verb } => self.act_on_domain(uri, run, verb).await?,
            LibvirtVerb::AttachDevice {
                run,
                xml,
                live,
                order,
            } => {
                self.attach(uri, run, (&xml, &order), live).await?;
            }
            LibvirtVerb::DetachDevice { run, alias, live } => {
                self.detach(uri, run, alias, (live, until)).await?;
            }
            _ => return Err(Fault::unchanged(code::INVALID, "a question came as an effect")),
        }
        Ok(Value::Null)
    }

    async fn act_on_domain(&self, uri: &str, run: RunHandle, verb: DomainVerb) -> Result<(), Fault> {
        if verb == DomainVerb::Undefine {
            self.libvirt
                .with(uri, move |connect| libvirt::must_be_off(connect, run))
                .await?;
            // Before the domain: once that is gone nobody would ask for it again, and a log that is left stays.
            let consoles = self.consoles.clone();
            blocking(move || consoles.remove(run.id)).await?;
        }
        let held = self.held.clone();
        self.libvirt
            .with(uri, move |connect| libvirt::act(connect, run, verb, &held))
            .await
    }

    fn with_place<T>(
        &self,
        run: RunId,
        judge: impl FnOnce(Place<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (console_log, seed) = (self.consoles.log_path(run), self.seeds.path(run));
        let may_use = |path: &Path| self.roots.check(path);
        judge(Place {
            run,
            initiator: self.initiator(),
            console_log: &console_log,
            seed: &seed,
            may_use: &may_use,
        })
    }

    async fn attach(
        &self,
        uri: &str,
        run: RunHandle,
        (xml, order): (&str, &DeviceOrder),
        live: bool,
    ) -> Result<(), Fault> {
        let (alias, device) = self.with_place(run.id, |place| order::device(xml, order, place))?;
        let (source, held) = (order::source_of_device(&device).to_owned(), self.held.clone());
        self.libvirt
            .with(uri, move |connect| {
                libvirt::attach(connect, run, (&alias, &source, &device.write()), live, &held)
            })
            .await
    }

    async fn detach(
        &self,
        uri: &str,
        run: RunHandle,
        alias: String,
        (live, until): (bool, Instant),
    ) -> Result<(), Fault> {
        // The answer shall still reach the caller in its time.
        let enough = (Instant::now() + LETTING_GO).min(until - Duration::from_millis(500));
        loop {
            let name = alias.clone();
            let gone = self
                .libvirt
                .with(uri, move |connect| libvirt::detach(connect, run, &name, live))
                .await?;
            if gone {
                return Ok(());
            }
            if Instant::now() + ASKING > enough {
                return Err(Fault {
                    retry_after_ms: Some(1000),
                    ..Fault::new(code::BUSY, format!("the guest has not let {alias} go yet"))
                });
            }
            tokio::time::sleep(ASKING).await;
        }
    }
}
