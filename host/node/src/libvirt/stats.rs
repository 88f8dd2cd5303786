//! What is seen of our domains.

use velum_connector::message::libvirt::{DomainStats, value};
use velum_model::{
    fault::{Fault, code},
    port::hypervisor::{RunHandle, registry},
};
use virt::{connect::Connect, domain::Domain, error::ErrorNumber, sys};

use super::{existing, fault::faulted, lookup};
use crate::xml::view::DomainView;

/// Domains in one page: each costs two calls to libvirtd (half a millisecond) and 300 bytes of answer.
pub const PAGE: usize = 256;

/// A page of our domains, ordered by run id, and where the next begins. The second is whether all could be read.
///
/// # Errors
/// As libvirt says.
pub fn stats(
    connect: &Connect,
    after: Option<&str>,
) -> Result<(Vec<DomainStats>, Option<String>, bool), Fault> {
    let all = connect
        .list_all_domains(0)
        .map_err(|e| faulted("listing the domains", &e))?;
    let mut named: Vec<(String, Domain)> = Vec::with_capacity(all.len());
    let mut complete = true;
    for domain in all {
        match domain.get_uuid_string() {
            Ok(uuid) => named.push((uuid, domain)),
            Err(_) => complete = false,
        }
    }
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut page = Vec::new();
    let mut next = None;
    for (uuid, domain) in named {
        if after.is_some_and(|after| uuid.as_str() <= after) {
            continue;
        }
        if page.len() == PAGE {
            next = page.last().map(|last: &DomainStats| last.run.id.to_string());
            break;
        }
        match read(&domain) {
            Ok(Some(stats)) => page.push(stats),
            Ok(None) => {}
            Err(fault) if fault.code == code::UNREACHABLE => return Err(fault),
            Err(fault) => {
                tracing::warn!(%uuid, %fault, "a domain could not be read");
                complete = false;
            }
        }
    }
    Ok((page, next, complete))
}

/// The domain of a run.
///
/// # Errors
/// As libvirt says.
pub fn domain(connect: &Connect, run: RunHandle) -> Result<Option<DomainStats>, Fault> {
    match lookup(connect, run)? {
        None => Ok(None),
        Some((domain, _)) => read(&domain),
    }
}

/// The text of a run's definition.
///
/// # Errors
/// `NOT_FOUND` without the domain.
pub fn definition(connect: &Connect, run: RunHandle) -> Result<String, Fault> {
    let (domain, _) = existing(connect, run)?;
    domain
        .get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)
        .map_err(|e| faulted("reading the definition", &e))
}

/// Path of the terminal of the run's serial console.
///
/// # Errors
/// `NOT_FOUND` without the domain; `INVALID` while it does not run; `UNSUPPORTED` when it has none.
pub fn terminal(connect: &Connect, run: RunHandle) -> Result<String, Fault> {
    let (domain, text) = existing(connect, run)?;
    if !super::is_active(&domain)? {
        return Err(Fault::unchanged(
            code::INVALID,
            "the guest does not run: start it for a console",
        ));
    }
    DomainView::read(&text)
        .and_then(|view| view.terminal)
        .ok_or_else(|| {
            Fault::unchanged(
                code::UNSUPPORTED,
                "the domain has no serial console on a terminal",
            )
        })
}

fn read(domain: &Domain) -> Result<Option<DomainStats>, Fault> {
    // State first: a domain that ends in between is then reported a moment late, never as running without being there.
    let gone = |error: &virt::error::Error| error.code() == ErrorNumber::NoDomain;
    let (state, reason) = match domain.get_state() {
        Ok(state) => state,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(faulted("reading a domain's state", &error)),
    };
    let text = match domain.get_xml_desc(0) {
        Ok(text) => text,
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(faulted("reading a domain", &error)),
    };
    let Some(view) = DomainView::read(&text) else {
        return Ok(None);
    };
    Ok(Some(DomainStats {
        run: view.run,
        state: state_code(state),
        reason: u16::try_from(reason).unwrap_or(0),
        spec_digest: view.digest,
        disks: view.disks,
        values: vec![(value::VCPUS, view.vcpus), (value::MEMORY_MIB, view.memory_mib)],
    }))
}

fn state_code(state: sys::virDomainState) -> u16 {
    match state {
        sys::VIR_DOMAIN_RUNNING | sys::VIR_DOMAIN_BLOCKED => registry::STATE_RUNNING,
        sys::VIR_DOMAIN_PAUSED | sys::VIR_DOMAIN_PMSUSPENDED => registry::STATE_PAUSED,
        sys::VIR_DOMAIN_SHUTDOWN => registry::STATE_STOPPING,
        sys::VIR_DOMAIN_SHUTOFF => registry::STATE_OFF,
        sys::VIR_DOMAIN_CRASHED => registry::STATE_CRASHED,
        _ => registry::STATE_UNKNOWN,
    }
}
