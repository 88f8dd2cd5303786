//! `velum:connect/libvirt`: a connection on the target's node, bound to the run of the call.

use velum_connector::{
    LibvirtGrant, Warrant,
    message::libvirt::{DeviceOrder, DomainStats, DomainVerb, StatsPage},
};
use velum_model::{
    fault::{Fault, code},
    port::hypervisor::NodeFacts,
};

use crate::{
    errand::{Errand, Order, answered},
    sandbox::ask::{LibvirtAsk, Reply},
    world::{bindings::velum::connect::libvirt, convert},
};

/// The longest text that a driver may define: the largest that libvirt's own tests have is 30 kB.
const MAX_XML_BYTES: usize = 256 * 1024;

impl Errand {
    /// Answers what a guest asks of libvirt.
    pub async fn libvirt_ask(&self, ask: LibvirtAsk) -> Reply {
        match ask {
            LibvirtAsk::Open => answered(self.libvirt().map(drop)),
            LibvirtAsk::Capabilities => {
                let text = async { self.within(self.libvirt()?.capabilities_xml()).await };
                answered(text.await)
            }
            LibvirtAsk::Facts => {
                let found = async { self.within(self.libvirt()?.node_facts()).await };
                answered(found.await.map(facts))
            }
            LibvirtAsk::Stats { after } => {
                let found = async { self.within(self.libvirt()?.stats(after.as_deref())).await };
                answered(found.await.map(page))
            }
            LibvirtAsk::Domain => answered(self.domain_stats().await.map(|found| found.map(domain))),
            LibvirtAsk::Define { xml } => answered(self.define(&xml).await),
            LibvirtAsk::DomainXml => answered(self.domain_xml().await),
            LibvirtAsk::Act { verb, options } => answered(self.act(verb, options).await),
            LibvirtAsk::Attach { xml, live } => answered(self.attach(&xml, live).await),
            LibvirtAsk::Detach { alias, live } => answered(self.detach(&alias, live).await),
        }
    }

    async fn domain_xml(&self) -> Result<String, Fault> {
        let (run, grant) = (self.run()?, self.libvirt()?);
        self.within(grant.domain_xml(run)).await
    }

    fn libvirt(&self) -> Result<LibvirtGrant, Fault> {
        self.granted("libvirt")?;
        let uri = self.setting("uri")?.to_owned();
        Ok(self.node()?.libvirt(uri))
    }

    async fn define(&self, xml: &str) -> Result<(), Fault> {
        check_xml(xml)?;
        let Order::Guest(order) = &self.place.order else {
            return Err(self.denied("this call orders no guest"));
        };
        let (run, grant) = (self.run()?, self.libvirt()?);
        let (fence, effect) = self.warrant()?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        self.within(grant.define(warrant, run, xml, order)).await
    }

    async fn act(&self, verb: u16, options: u32) -> Result<(), Fault> {
        if options != 0 {
            return Err(Fault::unchanged(
                code::INVALID,
                "no option is registered yet; pass 0",
            ));
        }
        let verb = DomainVerb::from_code(verb)
            .ok_or_else(|| Fault::unchanged(code::INVALID, format!("domain.act has no verb {verb}")))?;
        let (run, grant) = (self.run()?, self.libvirt()?);
        let (fence, effect) = self.warrant()?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        self.within(grant.act(warrant, run, verb)).await
    }

    async fn attach(&self, xml: &str, live: bool) -> Result<(), Fault> {
        check_xml(xml)?;
        let Order::Disk(disk) = &self.place.order else {
            return Err(self.denied("this call orders no device"));
        };
        let (run, grant) = (self.run()?, self.libvirt()?);
        let (fence, effect) = self.warrant()?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        let order = DeviceOrder::Disk(disk.clone());
        self.within(grant.attach_device(warrant, run, (xml, live), &order))
            .await
    }

    async fn detach(&self, alias: &str, live: bool) -> Result<(), Fault> {
        let fits = alias.len() <= 64
            && alias
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        if !fits {
            return Err(Fault::unchanged(code::INVALID, "that is no alias of a device"));
        }
        let (run, grant) = (self.run()?, self.libvirt()?);
        let (fence, effect) = self.warrant()?;
        let warrant = Warrant {
            fence: &fence,
            effect: &effect,
        };
        self.within(grant.detach_device(warrant, run, alias, live)).await
    }

    async fn domain_stats(&self) -> Result<Option<DomainStats>, Fault> {
        let (run, grant) = (self.run()?, self.libvirt()?);
        self.within(grant.domain(run)).await
    }
}

fn check_xml(xml: &str) -> Result<(), Fault> {
    if xml.len() > MAX_XML_BYTES {
        return Err(Fault::unchanged(
            code::INVALID,
            format!("the text has {} bytes; {MAX_XML_BYTES} are allowed", xml.len()),
        ));
    }
    Ok(())
}

fn facts(facts: NodeFacts) -> libvirt::Facts {
    libvirt::Facts {
        hostname: facts.node,
        boot_id: facts.boot_id,
        vcpus: facts.vcpus,
        memory_mib: facts.memory_mib,
        arch: facts.arch,
        cpu_baseline: facts.cpu_baseline,
        initiators: facts.initiators.iter().map(convert::initiator_to_guest).collect(),
        attrs: convert::attrs_to_guest(&facts.attrs),
    }
}

fn page(page: StatsPage) -> libvirt::StatsPage {
    libvirt::StatsPage {
        boot_id: page.boot_id,
        sequence: page.sequence,
        complete: page.complete,
        next: page.next,
        domains: page.domains.into_iter().map(domain).collect(),
    }
}

fn domain(stats: DomainStats) -> libvirt::DomainStats {
    libvirt::DomainStats {
        run_id: stats.run.id.to_string(),
        state: stats.state,
        reason: stats.reason,
        generation: stats.run.generation,
        spec_digest: stats.spec_digest,
        disks: stats.disks,
        values: stats.values,
    }
}
