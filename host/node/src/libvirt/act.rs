//! What can be done to a domain. What is already so is done.

use velum_connector::message::libvirt::DomainVerb;
use velum_model::{
    fault::{Fault, code},
    port::hypervisor::RunHandle,
};
use virt::{
    connect::Connect,
    domain::Domain,
    error::{Error, ErrorNumber},
    sys,
};

use super::{existing, fault::faulted, is_active, lookup, secrets::with_secrets};
use crate::{held::Held, xml::view};

/// Does `verb` to the run's domain.
///
/// # Errors
/// `NOT_FOUND` when nothing is defined and the verb needs it; `INVALID` when its state does not allow it; `UNAVAILABLE`
/// when the secret of a disk was not handed over.
pub fn act(connect: &Connect, run: RunHandle, verb: DomainVerb, held: &Held) -> Result<(), Fault> {
    match verb {
        DomainVerb::Start => start(connect, run, held),
        DomainVerb::Shutdown => when_running(
            connect,
            run,
            |domain| domain.shutdown().map(drop),
            "asking the guest to power off",
        ),
        DomainVerb::Destroy => when_running(connect, run, Domain::destroy, "switching the domain off"),
        DomainVerb::Reset => {
            let (domain, _) = existing(connect, run)?;
            must_run(&domain)?;
            domain
                .reset()
                .map(drop)
                .map_err(|e| faulted("resetting the domain", &e))
        }
        DomainVerb::Reboot => {
            let (domain, _) = existing(connect, run)?;
            must_run(&domain)?;
            domain
                .reboot(sys::VIR_DOMAIN_REBOOT_DEFAULT)
                .map_err(|e| faulted("asking the guest to restart", &e))
        }
        DomainVerb::Suspend => pause(connect, run, true),
        DomainVerb::Resume => pause(connect, run, false),
        DomainVerb::Undefine => undefine(connect, run),
    }
}

fn start(connect: &Connect, run: RunHandle, held: &Held) -> Result<(), Fault> {
    let (domain, text) = existing(connect, run)?;
    let (state, _) = domain
        .get_state()
        .map_err(|e| faulted("reading the domain's state", &e))?;
    if state == sys::VIR_DOMAIN_RUNNING {
        return Ok(());
    }
    // An active domain that does not run yet may be on its way up for a node that died: libvirt lets one start wait for
    // the other, and only then is it known how that ended.
    with_secrets(connect, &view::secrets(&text), held, || match domain.create() {
        Ok(_) => Ok(()),
        Err(error) if error.code() == ErrorNumber::OperationInvalid && is_active(&domain)? => Ok(()),
        Err(error) => Err(faulted("starting the domain", &error)),
    })
}

fn when_running(
    connect: &Connect,
    run: RunHandle,
    work: impl FnOnce(&Domain) -> Result<(), Error>,
    doing: &str,
) -> Result<(), Fault> {
    let Some((domain, _)) = lookup(connect, run)? else {
        return Ok(());
    };
    if !is_active(&domain)? {
        return Ok(());
    }
    match work(&domain) {
        // It went off by itself in between.
        Err(error) if error.code() == ErrorNumber::OperationInvalid && !is_active(&domain)? => Ok(()),
        other => other.map_err(|e| faulted(doing, &e)),
    }
}

fn must_run(domain: &Domain) -> Result<(), Fault> {
    if is_active(domain)? {
        Ok(())
    } else {
        Err(Fault::unchanged(code::INVALID, "the domain does not run"))
    }
}

fn pause(connect: &Connect, run: RunHandle, paused: bool) -> Result<(), Fault> {
    let (domain, _) = existing(connect, run)?;
    must_run(&domain)?;
    let (state, _) = domain
        .get_state()
        .map_err(|e| faulted("reading the domain's state", &e))?;
    if (state == sys::VIR_DOMAIN_PAUSED) == paused {
        return Ok(());
    }
    let done = if paused { domain.suspend() } else { domain.resume() };
    done.map(drop)
        .map_err(|e| faulted("pausing or resuming the domain", &e))
}

/// Refuses what only an absent or switched-off domain can have done to it.
///
/// # Errors
/// `INVALID` while it runs.
pub fn must_be_off(connect: &Connect, run: RunHandle) -> Result<(), Fault> {
    match lookup(connect, run)? {
        Some((domain, _)) if is_active(&domain)? => Err(Fault::unchanged(
            code::INVALID,
            "the domain runs: destroy it before undefining it",
        )),
        _ => Ok(()),
    }
}

fn undefine(connect: &Connect, run: RunHandle) -> Result<(), Fault> {
    must_be_off(connect, run)?;
    let Some((domain, _)) = lookup(connect, run)? else {
        return Ok(());
    };
    let with_all = sys::VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | sys::VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | sys::VIR_DOMAIN_UNDEFINE_NVRAM
        | sys::VIR_DOMAIN_UNDEFINE_TPM;
    let undefined = match domain.undefine_flags(with_all) {
        // Drivers without firmware (the test driver) know none of these flags.
        Err(error) if matches!(error.code(), ErrorNumber::InvalidArg | ErrorNumber::NoSupport) => {
            domain.undefine()
        }
        other => other,
    };
    match undefined {
        Err(error) if error.code() == ErrorNumber::NoDomain => Ok(()),
        other => other.map_err(|e| faulted("undefining the domain", &e)),
    }
}
