//! Definitions and devices: only our own text goes to libvirt.

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

use super::{existing, fault::faulted, is_active, leftovers, lookup, secrets::with_secrets};
use crate::{held::Held, xml::view};

/// Defines the run's domain or brings its definition to `text`.
///
/// # Errors
/// `EXISTS_DIFFERENT` when that uuid is not ours; `INVALID` and `UNSUPPORTED` when libvirt refuses the text.
pub fn define(connect: &Connect, run: RunHandle, text: &str) -> Result<(), Fault> {
    lookup(connect, run)?;
    Domain::define_xml(connect, text)
        .map(drop)
        .map_err(|e| faulted("defining the domain", &e))
}

/// Live and lasting state of a domain's devices.
struct Devices {
    domain: Domain,
    /// The text of what runs, if it does.
    live: Option<String>,
    /// The text of the definition.
    lasting: String,
}

fn devices(connect: &Connect, run: RunHandle) -> Result<Devices, Fault> {
    let (domain, now) = existing(connect, run)?;
    let active = is_active(&domain)?;
    let lasting = domain
        .get_xml_desc(sys::VIR_DOMAIN_XML_INACTIVE)
        .map_err(|e| faulted("reading the definition", &e))?;
    Ok(Devices {
        domain,
        live: active.then_some(now),
        lasting,
    })
}

/// Gives the domain the device of this text.
///
/// # Errors
/// `NOT_FOUND` without the domain; `EXISTS_DIFFERENT` when another device has the alias; `UNAVAILABLE` when the secret of
/// the disk was not handed over.
pub fn attach(
    connect: &Connect,
    run: RunHandle,
    (alias, source, text): (&str, &str, &str),
    live: bool,
    held: &Held,
) -> Result<(), Fault> {
    let devices = devices(connect, run)?;
    let has = |xml: &str| match view::device(xml, alias) {
        None => Ok(false),
        Some(device) if device.source == source => Ok(true),
        Some(device) => Err(Fault::unchanged(
            code::EXISTS_DIFFERENT,
            format!("the alias {alias} is that of {}", device.source),
        )),
    };
    let mut flags = 0;
    if !has(&devices.lasting)? {
        flags |= sys::VIR_DOMAIN_AFFECT_CONFIG;
    }
    if let Some(now) = devices.live.filter(|_| live)
        && !has(&now)?
    {
        flags |= sys::VIR_DOMAIN_AFFECT_LIVE;
    }
    if flags == 0 {
        return Ok(());
    }
    let domain = devices.domain;
    // What does not run opens nothing.
    let wanted = match flags & sys::VIR_DOMAIN_AFFECT_LIVE {
        0 => Vec::new(),
        _ => view::secrets(text),
    };
    with_secrets(connect, &wanted, held, || {
        match domain.attach_device_flags(text, flags) {
            Err(error) if flags & sys::VIR_DOMAIN_AFFECT_LIVE != 0 => {
                attach_all_the_same(&domain, (alias, source, text), flags, error)
            }
            attached => attached.map(drop),
        }
        .map_err(|e| faulted("attaching the device", &e))
    })
}

/// An attach to a running guest that failed, perhaps because an earlier libvirtd died in the middle of one and forgot it.
fn attach_all_the_same(
    domain: &Domain,
    (alias, source, text): (&str, &str, &str),
    flags: u32,
    error: Error,
) -> Result<(), Error> {
    let lasting = |domain: &Domain| match flags & !sys::VIR_DOMAIN_AFFECT_LIVE {
        0 => Ok(()),
        lasting => domain.attach_device_flags(text, lasting).map(drop),
    };
    if leftovers::file_of(domain, alias).is_ok_and(|file| file.as_deref() == Some(source)) {
        tracing::warn!(%error, source, "the guest has the disk from an attach that libvirtd did not survive; libvirt shows it from the next start on");
        return lasting(domain);
    }
    if has_leftovers(domain, source) {
        tracing::warn!(%error, source, "QEMU still held the disk of an attach that libvirtd did not survive; trying again");
        return domain.attach_device_flags(text, flags).map(drop);
    }
    // Such a disk has a slot that libvirt takes for free.
    if error.message().contains("PCI: slot")
        && let Ok(Some(slot)) = leftovers::free_slot(domain)
        && let Some(placed) = at_slot(text, slot)
    {
        tracing::warn!(%error, source, slot, "another disk has the slot that libvirt chose; taking another");
        domain.attach_device_flags(&placed, sys::VIR_DOMAIN_AFFECT_LIVE)?;
        return lasting(domain);
    }
    Err(error)
}

/// The disk at a slot of its own; none when it has an address already.
fn at_slot(text: &str, slot: u64) -> Option<String> {
    let (inside, _) = text.rsplit_once("</disk>")?;
    (!inside.contains("<address")).then(|| {
        format!(
            "{inside}<address type='pci' domain='0x0000' bus='0x00' slot='{slot:#04x}' function='0x0'/></disk>"
        )
    })
}

/// Whether something that nobody knew of kept a disk busy, and went.
fn has_leftovers(domain: &Domain, source: &str) -> bool {
    leftovers::remove(domain, |file| file == source).is_ok_and(|removal| removal.removed > 0)
}

/// An attach that libvirtd did not survive may be taken back instead of tried again: what QEMU holds of files that no disk
/// of the running guest has goes, or the volume could not be given to anybody as long as that guest runs. Answers whether
/// all of it went.
fn let_go(domain: &Domain, now: &str) -> bool {
    let removal = leftovers::files_in_use(domain).and_then(|in_use| {
        let known = view::disk_sources(now);
        // Only files have a lock that keeps them from others; of a unit QEMU tells no name that libvirt would know.
        leftovers::remove(domain, |file| {
            file.starts_with('/') && !known.contains(file) && !in_use.contains(file)
        })
    });
    match removal {
        Ok(leftovers::Removal { removed, left }) => {
            if removed > 0 {
                tracing::warn!(
                    removed,
                    "QEMU still held a disk of an attach that libvirtd did not survive"
                );
            }
            left == 0
        }
        // Not every driver of libvirt has a QEMU behind it.
        Err(error) => {
            tracing::debug!(%error, "could not ask QEMU what it holds");
            true
        }
    }
}

/// Takes the device with this alias away; whether guest and definition are without it now. Asks the guest at each call
/// that finds it there still.
///
/// # Errors
/// `NOT_FOUND` without the domain.
pub fn detach(connect: &Connect, run: RunHandle, alias: &str, live: bool) -> Result<bool, Fault> {
    let devices = devices(connect, run)?;
    if let Some(known) = &devices.live {
        let known = view::device(known, alias);
        // What libvirt does not know of, QEMU may have: see `leftovers`.
        let has = |domain: &Domain| leftovers::file_of(domain, alias).is_ok_and(|file| file.is_some());
        if !live && (known.is_some() || has(&devices.domain)) {
            return Err(Fault::unchanged(
                code::BUSY,
                format!("the running guest has {alias}: detach it live, or stop the guest"),
            ));
        }
        match known {
            Some(device) => ask_off(&devices.domain, &device.xml, sys::VIR_DOMAIN_AFFECT_LIVE)?,
            None if has(&devices.domain) => leftovers::unplug(&devices.domain, alias)?,
            None => {}
        }
        let (domain, now) = existing(connect, run)?;
        if view::device(&now, alias).is_some() || has(&domain) || !let_go(&domain, &now) {
            return Ok(false);
        }
    }
    if let Some(device) = view::device(&devices.lasting, alias) {
        ask_off(&devices.domain, &device.xml, sys::VIR_DOMAIN_AFFECT_CONFIG)?;
    }
    Ok(true)
}

fn ask_off(domain: &Domain, text: &str, flags: u32) -> Result<(), Fault> {
    match domain.detach_device_flags(text, flags) {
        Ok(_) => Ok(()),
        // It went in between, or the guest was asked before and has not answered yet.
        Err(error)
            if matches!(
                error.code(),
                ErrorNumber::DeviceMissing | ErrorNumber::OperationFailed | ErrorNumber::OperationTimeout
            ) =>
        {
            tracing::debug!(%error, "a device does not go at once");
            Ok(())
        }
        Err(error) => Err(faulted("detaching the device", &error)),
    }
}
