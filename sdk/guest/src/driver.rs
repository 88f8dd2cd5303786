//! Hypervisor drivers: implement [`Driver`], and [`Devices`] and [`Console`] where the far side can, for a type of your
//! own and export it with [`crate::export_driver`].

pub use crate::bindings::{
    console::exports::velum::hypervisor::console::{Guest as Console, Place},
    devices::exports::velum::hypervisor::devices::Guest as Devices,
    driver::exports::velum::hypervisor::driver::Guest as Driver,
    imports::velum::hypervisor::types::{Descriptor, Disk, GuestSpec, Inventory, Nic, NodeFacts, Observed},
};
pub use crate::codes::hypervisor as code;

/// Makes a component of a type that implements [`Driver`], and of the optional interfaces that are named:
/// `export_driver!(Mine)`, `export_driver!(Mine, devices)`, `export_driver!(Mine, devices, console)`.
#[macro_export]
macro_rules! export_driver {
    ($driver:ident $(, $optional:ident)* $(,)?) => {
        // The names of a component's exports are none that a native linker takes.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::bindings::driver::export!($driver with_types_in $crate::bindings::driver);
            $($crate::bindings::$optional::export!($driver with_types_in $crate::bindings::$optional);)*
        };
    };
}
