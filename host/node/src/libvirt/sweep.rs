//! Definitions that came too late.
//!
//! libvirtd finishes what it was asked even when the node that asked has died. A definition can so come after the next
//! node found nothing to remove; nobody asks for it again. It cannot be started: the seed of its run is gone, and that
//! goes last of all that a run has.

use velum_model::{fault::Fault, id::RunId};
use virt::{connect::Connect, sys};

use super::{act::act, fault::faulted};
use crate::{
    held::Held,
    xml::{order::SEED_ALIAS, view},
};
use velum_connector::message::libvirt::DomainVerb;

/// Undefines those of our domains that are off and of which `is_late` says so, by run and path of the seed. Answers them.
///
/// # Errors
/// As libvirt says.
pub fn sweep(
    connect: &Connect,
    is_late: impl Fn(RunId, &str) -> bool,
    held: &Held,
) -> Result<Vec<RunId>, Fault> {
    let off = connect
        .list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_INACTIVE)
        .map_err(|e| faulted("listing the domains that are off", &e))?;
    let mut swept = Vec::new();
    for domain in off {
        // One that is being removed in this moment needs no sweeping.
        let Ok(text) = domain.get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE) else {
            continue;
        };
        let Some((found, seed)) = view::DomainView::read(&text).zip(view::device(&text, SEED_ALIAS)) else {
            continue;
        };
        if is_late(found.run.id, &seed.source) {
            act(connect, found.run, DomainVerb::Undefine, held)?;
            swept.push(found.run.id);
        }
    }
    Ok(swept)
}
