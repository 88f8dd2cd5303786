//! What the machine is.

use roxmltree::Document;
use velum_model::{
    fault::{Fault, code},
    port::{
        hypervisor::{NodeFacts, registry},
        node::NodeHello,
        target::Attr,
    },
};
use virt::{connect::Connect, error::ErrorNumber, network::Network};

use super::fault::faulted;

/// The facts of this machine. Hardware virtualization is not claimed: that a guest boots under it is only known after
/// one did.
///
/// # Errors
/// As libvirt says.
pub fn node_facts(connect: &Connect, hello: &NodeHello) -> Result<NodeFacts, Fault> {
    let capabilities = connect
        .get_capabilities()
        .map_err(|e| faulted("reading the capabilities", &e))?;
    let (arch, model) = host_cpu(&capabilities);
    let info = connect
        .get_node_info()
        .map_err(|e| faulted("reading what the machine has", &e))?;
    let kind = connect
        .get_type()
        .map_err(|e| faulted("reading the hypervisor's type", &e))?;
    let version = connect.get_hyp_version().unwrap_or(0);
    let hypervisor = format!(
        "{kind} {}.{}.{}",
        version / 1_000_000,
        version / 1000 % 1000,
        version % 1000
    );
    Ok(NodeFacts {
        node: hello.hostname.clone(),
        boot_id: hello.boot_id.clone(),
        vcpus: info.cpus,
        memory_mib: info.memory / 1024,
        arch: match arch.as_str() {
            "aarch64" => registry::ARCH_AARCH64,
            // The test driver says i686 and runs nothing.
            _ => registry::ARCH_X86_64,
        },
        cpu_baseline: model,
        initiators: hello.initiators.clone(),
        attrs: vec![Attr::text(registry::FACT_HYPERVISOR, hypervisor)],
    })
}

/// Architecture and CPU model of `<host>` in libvirt's capabilities; empty if unknown.
fn host_cpu(capabilities: &str) -> (String, String) {
    let Ok(document) = Document::parse(capabilities) else {
        return (String::new(), String::new());
    };
    let text_of = |name: &str| {
        document
            .root_element()
            .children()
            .find(|n| n.has_tag_name("host"))
            .and_then(|host| host.children().find(|n| n.has_tag_name("cpu")))
            .and_then(|cpu| cpu.children().find(|n| n.has_tag_name(name)))
            .and_then(|n| n.text())
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    (text_of("arch"), text_of("model"))
}

/// libvirt's `<capabilities>`.
///
/// # Errors
/// As libvirt says.
pub fn capabilities(connect: &Connect) -> Result<String, Fault> {
    connect
        .get_capabilities()
        .map_err(|e| faulted("reading the capabilities", &e))
}

/// libvirt's `<domainCapabilities>`.
///
/// # Errors
/// As libvirt says.
pub fn domain_capabilities(connect: &Connect, machine: &str, arch: &str) -> Result<String, Fault> {
    // A zero byte would end the text on its way to libvirt.
    if machine.contains('\0') || arch.contains('\0') {
        return Err(Fault::unchanged(
            code::INVALID,
            "no machine type and architecture",
        ));
    }
    connect
        .get_domain_capabilities(None, Some(arch), Some(machine), None, 0)
        .map_err(|e| faulted("reading the domain capabilities", &e))
}

/// Whether a network of libvirt's is there and runs.
///
/// # Errors
/// `NOT_FOUND` and `INVALID` say what to do.
pub fn active_network(connect: &Connect, name: &str) -> Result<(), Fault> {
    crate::links::check_name(name)?;
    let network = Network::lookup_by_name(connect, name).map_err(|error| match error.code() {
        ErrorNumber::NoNetwork => Fault::unchanged(
            code::NOT_FOUND,
            format!("libvirt has no network {name}: define it (virsh net-define), or use another link"),
        ),
        _ => faulted("looking for the network", &error),
    })?;
    match network.is_active() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::unchanged(
            code::INVALID,
            format!("libvirt's network {name} does not run: virsh net-start {name}"),
        )),
        Err(error) => Err(faulted("asking whether the network runs", &error)),
    }
}
