//! libvirt, on threads of its own: its calls block, and it may go away and come back at any time.

mod act;
mod define;
mod facts;
mod fault;
mod leftovers;
mod pool;
mod secrets;
mod stats;
mod sweep;

pub use self::{
    act::{act, must_be_off},
    define::{attach, define, detach},
    facts::{active_network, capabilities, domain_capabilities, node_facts},
    pool::Libvirt,
    secrets::{sweep as sweep_secrets, usage},
    stats::{definition, domain, stats, terminal},
    sweep::sweep,
};

use velum_model::{
    fault::{Fault, code},
    port::hypervisor::RunHandle,
};
use virt::{connect::Connect, domain::Domain, error::ErrorNumber};

use self::fault::faulted;
use crate::xml::view::DomainView;

/// The domain of a run with its text as it is now; none when nothing is defined under that uuid.
///
/// # Errors
/// `EXISTS_DIFFERENT` when that uuid has a domain without our tag.
fn lookup(connect: &Connect, run: RunHandle) -> Result<Option<(Domain, String)>, Fault> {
    let found = match Domain::lookup_by_uuid(connect, run.id.uuid()) {
        Ok(domain) => domain,
        Err(error) if error.code() == ErrorNumber::NoDomain => return Ok(None),
        Err(error) => return Err(faulted("looking for the domain", &error)),
    };
    let text = match found.get_xml_desc(0) {
        Ok(text) => text,
        // It was undefined between the two calls.
        Err(error) if error.code() == ErrorNumber::NoDomain => return Ok(None),
        Err(error) => return Err(faulted("reading the domain", &error)),
    };
    match DomainView::read(&text) {
        Some(view) if view.run.id == run.id => Ok(Some((found, text))),
        _ => Err(Fault::unchanged(
            code::EXISTS_DIFFERENT,
            format!("a domain with the uuid {} is there and is not ours", run.id),
        )),
    }
}

/// The same, when it must be there.
fn existing(connect: &Connect, run: RunHandle) -> Result<(Domain, String), Fault> {
    lookup(connect, run)?.ok_or_else(|| {
        Fault::unchanged(
            code::NOT_FOUND,
            format!("no domain of run {} is defined here", run.id),
        )
    })
}

fn is_active(domain: &Domain) -> Result<bool, Fault> {
    domain
        .is_active()
        .map_err(|e| faulted("asking whether the domain runs", &e))
}
