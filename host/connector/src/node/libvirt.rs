//! The `libvirt` connector: a connection on a node's machine.

use velum_model::{
    fault::Fault,
    port::hypervisor::{GuestSpec, NodeFacts, RunHandle},
};

use super::{NodeClient, QUESTION, Warrant};
use crate::message::{
    Verb,
    libvirt::{DeviceOrder, DomainStats, DomainVerb, LibvirtVerb, StatsPage},
};

/// libvirt on one machine. Every method can fail as [`Fault`] says: `UNREACHABLE` when the node or libvirtd is away,
/// `FENCED` when a newer owner or incarnation was there, `DENIED` when the node may not use that URI.
#[derive(Clone, Debug)]
pub struct LibvirtGrant {
    node: NodeClient,
    uri: String,
}

impl LibvirtGrant {
    pub(super) const fn new(node: NodeClient, uri: String) -> Self {
        Self { node, uri }
    }

    fn verb(&self, verb: LibvirtVerb) -> Verb {
        Verb::Libvirt {
            uri: self.uri.clone(),
            verb,
        }
    }

    /// libvirt's `<capabilities>`.
    ///
    /// # Errors
    /// See [`LibvirtGrant`].
    pub async fn capabilities_xml(&self) -> Result<String, Fault> {
        self.node
            .ask(self.verb(LibvirtVerb::CapabilitiesXml), QUESTION)
            .await
    }

    /// libvirt's `<domainCapabilities>` for a machine type and an architecture.
    ///
    /// # Errors
    /// See [`LibvirtGrant`].
    pub async fn domain_capabilities_xml(&self, machine: &str, arch: &str) -> Result<String, Fault> {
        let verb = LibvirtVerb::DomainCapabilitiesXml {
            machine: machine.to_owned(),
            arch: arch.to_owned(),
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }

    /// What the machine is.
    ///
    /// # Errors
    /// See [`LibvirtGrant`].
    pub async fn node_facts(&self) -> Result<NodeFacts, Fault> {
        self.node.ask(self.verb(LibvirtVerb::NodeFacts), QUESTION).await
    }

    /// A page of our domains.
    ///
    /// # Errors
    /// See [`LibvirtGrant`].
    pub async fn stats(&self, after: Option<&str>) -> Result<StatsPage, Fault> {
        let verb = LibvirtVerb::Stats {
            after: after.map(str::to_owned),
        };
        self.node.ask(self.verb(verb), QUESTION).await
    }

    /// The domain of a run, if it is defined.
    ///
    /// # Errors
    /// See [`LibvirtGrant`].
    pub async fn domain(&self, run: RunHandle) -> Result<Option<DomainStats>, Fault> {
        self.node
            .ask(self.verb(LibvirtVerb::Domain { run }), QUESTION)
            .await
    }

    /// The text of a run's domain.
    ///
    /// # Errors
    /// `NOT_FOUND`; see [`LibvirtGrant`].
    pub async fn domain_xml(&self, run: RunHandle) -> Result<String, Fault> {
        self.node
            .ask(self.verb(LibvirtVerb::DomainXml { run }), QUESTION)
            .await
    }

    /// Defines a run's domain from the driver's text, which must agree with `order`.
    ///
    /// # Errors
    /// `INVALID` names what does not agree or is not known; see [`LibvirtGrant`].
    pub async fn define(
        &self,
        warrant: Warrant<'_>,
        run: RunHandle,
        xml: &str,
        order: &GuestSpec,
    ) -> Result<(), Fault> {
        let verb = LibvirtVerb::Define {
            run,
            xml: xml.to_owned(),
            order: Box::new(order.clone()),
        };
        self.node.act(self.verb(verb), warrant).await
    }

    /// Does something to a run's domain.
    ///
    /// # Errors
    /// `NOT_FOUND`; see [`LibvirtGrant`].
    pub async fn act(&self, warrant: Warrant<'_>, run: RunHandle, verb: DomainVerb) -> Result<(), Fault> {
        self.node
            .act(self.verb(LibvirtVerb::Act { run, verb }), warrant)
            .await
    }

    /// Gives a run's domain a device, from the driver's text, which must agree with `order`; also the running guest,
    /// if it runs and `live` is set.
    ///
    /// # Errors
    /// `INVALID` names what does not agree; see [`LibvirtGrant`].
    pub async fn attach_device(
        &self,
        warrant: Warrant<'_>,
        run: RunHandle,
        (xml, live): (&str, bool),
        order: &DeviceOrder,
    ) -> Result<(), Fault> {
        let verb = LibvirtVerb::AttachDevice {
            run,
            xml: xml.to_owned(),
            live,
            order: order.clone(),
        };
        self.node.act(self.verb(verb), warrant).await
    }

    /// Takes a device away by its alias; done when guest and definition are without it.
    ///
    /// # Errors
    /// `BUSY` while the guest holds it; see [`LibvirtGrant`].
    pub async fn detach_device(
        &self,
        warrant: Warrant<'_>,
        run: RunHandle,
        alias: &str,
        live: bool,
    ) -> Result<(), Fault> {
        let verb = LibvirtVerb::DetachDevice {
            run,
            alias: alias.to_owned(),
            live,
        };
        self.node.act(self.verb(verb), warrant).await
    }
}
