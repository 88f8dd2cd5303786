//! One adapter for each world and version: bindings, conversions, checks of what comes back.

pub mod bindings;
pub mod convert;
pub mod hypervisor;
pub mod placement;
pub mod storage;

use wasmtime::component::{HasSelf, Linker};

use crate::sandbox::host::CallHost;

/// The linker of drivers and providers: everything that their worlds may import. What a component may really use was
/// found when it was admitted, and each host call checks the grant.
///
/// # Errors
/// When a name is defined twice.
pub fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<CallHost>> {
    use bindings::velum::{common, connect};
    let mut linker = Linker::new(engine);
    common::log::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    common::types::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    connect::http::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    connect::libvirt::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    connect::files::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    connect::state::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    connect::secrets::add_to_linker::<_, HasSelf<_>>(&mut linker, |host| host)?;
    Ok(linker)
}
