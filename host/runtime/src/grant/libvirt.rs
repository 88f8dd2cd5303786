//! `velum:connect/libvirt`: a connection on the target's node, bound to the run of the call.

use velum_connector::{
    LibvirtGrant, Warrant,
    message::libvirt::{DeviceOrder, DomainStats, DomainVerb, StatsPage},
};
use velum_model::{
    fault::{Fault, code},
    port::hypervisor::NodeFacts,
};
use wasmtime::component::Resource;

use crate::{
    call::{CallHost, Order, RunResource, TargetHandle, refused},
    world::{
        bindings::velum::{common::types as wit, connect::libvirt},
        convert,
    },
};

/// An opened connection: there is one, to the target's `uri`.
#[derive(Debug)]
pub struct Connection;
/// The domain of the call's run.
#[derive(Debug)]
pub struct Domain;

/// The longest text that a driver may define: the largest that libvirt's own tests have is 30 kB.
const MAX_XML_BYTES: usize = 256 * 1024;

impl CallHost {
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

impl libvirt::Host for CallHost {}

impl libvirt::HostConnection for CallHost {
    async fn open(
        &mut self,
        _: Resource<TargetHandle>,
    ) -> wasmtime::Result<Result<Resource<Connection>, wit::Fault>> {
        self.count()?;
        Ok(refused(self.libvirt().map(|_| Resource::new_own(1))))
    }

    async fn capabilities_xml(
        &mut self,
        _: Resource<Connection>,
    ) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.libvirt()?.capabilities_xml()).await };
        Ok(refused(answer.await))
    }

    async fn node_facts(
        &mut self,
        _: Resource<Connection>,
    ) -> wasmtime::Result<Result<libvirt::Facts, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.libvirt()?.node_facts()).await };
        Ok(refused(answer.await.map(facts)))
    }

    async fn stats(
        &mut self,
        _: Resource<Connection>,
        after: Option<String>,
    ) -> wasmtime::Result<Result<libvirt::StatsPage, wit::Fault>> {
        self.count()?;
        let answer = async { self.within(self.libvirt()?.stats(after.as_deref())).await };
        Ok(refused(answer.await.map(page)))
    }

    async fn domain(
        &mut self,
        _: Resource<Connection>,
        _: Resource<RunResource>,
    ) -> wasmtime::Result<Result<Option<Resource<Domain>>, wit::Fault>> {
        self.count()?;
        let answer = self.domain_stats().await;
        Ok(refused(answer.map(|found| found.map(|_| Resource::new_own(1)))))
    }

    async fn define(
        &mut self,
        _: Resource<Connection>,
        _: Resource<RunResource>,
        xml: String,
    ) -> wasmtime::Result<Result<Resource<Domain>, wit::Fault>> {
        self.count()?;
        let answer = Self::define(self, &xml).await;
        Ok(refused(answer.map(|()| Resource::new_own(1))))
    }

    async fn drop(&mut self, _: Resource<Connection>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl libvirt::HostDomain for CallHost {
    async fn xml(&mut self, _: Resource<Domain>) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.count()?;
        let answer = async {
            let (run, grant) = (self.run()?, self.libvirt()?);
            self.within(grant.domain_xml(run)).await
        };
        Ok(refused(answer.await))
    }

    async fn stats(
        &mut self,
        _: Resource<Domain>,
    ) -> wasmtime::Result<Result<libvirt::DomainStats, wit::Fault>> {
        self.count()?;
        let answer = self.domain_stats().await.and_then(|found| {
            found.ok_or_else(|| Fault::unchanged(code::NOT_FOUND, "the run has no domain any more"))
        });
        Ok(refused(answer.map(domain)))
    }

    async fn act(
        &mut self,
        _: Resource<Domain>,
        verb: u16,
        options: u32,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.count()?;
        Ok(refused(Self::act(self, verb, options).await))
    }

    async fn attach_device(
        &mut self,
        _: Resource<Domain>,
        xml: String,
        live: bool,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.count()?;
        Ok(refused(self.attach(&xml, live).await))
    }

    async fn detach_device(
        &mut self,
        _: Resource<Domain>,
        alias: String,
        live: bool,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.count()?;
        Ok(refused(self.detach(&alias, live).await))
    }

    async fn drop(&mut self, _: Resource<Domain>) -> wasmtime::Result<()> {
        Ok(())
    }
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
