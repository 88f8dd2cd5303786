//! `velum:connect/libvirt`.

use wasmtime::component::Resource;

use crate::{
    sandbox::{
        ask::{Ask, LibvirtAsk},
        host::{CallHost, Connection, Domain, RunResource, TargetHandle},
    },
    world::bindings::velum::{common::types as wit, connect::libvirt},
};

impl libvirt::Host for CallHost {}

impl libvirt::HostConnection for CallHost {
    async fn open(
        &mut self,
        _: Resource<TargetHandle>,
    ) -> wasmtime::Result<Result<Resource<Connection>, wit::Fault>> {
        let opened: Result<(), wit::Fault> = self.ask(Ask::Libvirt(LibvirtAsk::Open)).await?;
        Ok(opened.map(|()| Resource::new_own(1)))
    }

    async fn capabilities_xml(
        &mut self,
        _: Resource<Connection>,
    ) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::Capabilities)).await
    }

    async fn node_facts(
        &mut self,
        _: Resource<Connection>,
    ) -> wasmtime::Result<Result<libvirt::Facts, wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::Facts)).await
    }

    async fn stats(
        &mut self,
        _: Resource<Connection>,
        after: Option<String>,
    ) -> wasmtime::Result<Result<libvirt::StatsPage, wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::Stats { after })).await
    }

    async fn domain(
        &mut self,
        _: Resource<Connection>,
        _: Resource<RunResource>,
    ) -> wasmtime::Result<Result<Option<Resource<Domain>>, wit::Fault>> {
        let found: Result<Option<libvirt::DomainStats>, wit::Fault> =
            self.ask(Ask::Libvirt(LibvirtAsk::Domain)).await?;
        Ok(found.map(|found| found.map(|_| Resource::new_own(1))))
    }

    async fn define(
        &mut self,
        _: Resource<Connection>,
        _: Resource<RunResource>,
        xml: String,
    ) -> wasmtime::Result<Result<Resource<Domain>, wit::Fault>> {
        let defined: Result<(), wit::Fault> = self.ask(Ask::Libvirt(LibvirtAsk::Define { xml })).await?;
        Ok(defined.map(|()| Resource::new_own(1)))
    }

    async fn drop(&mut self, _: Resource<Connection>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl libvirt::HostDomain for CallHost {
    async fn xml(&mut self, _: Resource<Domain>) -> wasmtime::Result<Result<String, wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::DomainXml)).await
    }

    async fn stats(
        &mut self,
        _: Resource<Domain>,
    ) -> wasmtime::Result<Result<libvirt::DomainStats, wit::Fault>> {
        let found: Result<Option<libvirt::DomainStats>, wit::Fault> =
            self.ask(Ask::Libvirt(LibvirtAsk::Domain)).await?;
        Ok(found.and_then(|found| found.ok_or_else(gone)))
    }

    async fn act(
        &mut self,
        _: Resource<Domain>,
        verb: u16,
        options: u32,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::Act { verb, options })).await
    }

    async fn attach_device(
        &mut self,
        _: Resource<Domain>,
        xml: String,
        live: bool,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::Attach { xml, live })).await
    }

    async fn detach_device(
        &mut self,
        _: Resource<Domain>,
        alias: String,
        live: bool,
    ) -> wasmtime::Result<Result<(), wit::Fault>> {
        self.ask(Ask::Libvirt(LibvirtAsk::Detach { alias, live })).await
    }

    async fn drop(&mut self, _: Resource<Domain>) -> wasmtime::Result<()> {
        Ok(())
    }
}

fn gone() -> wit::Fault {
    wit::Fault {
        code: velum_model::fault::code::NOT_FOUND,
        unchanged: true,
        retry_after_ms: None,
        detail: "the run has no domain any more".to_owned(),
        attrs: Vec::new(),
    }
}
