//! Storage providers: implement [`Provider`] for a type of your own and export it with [`crate::export_provider`].

pub use crate::bindings::{
    imports::velum::storage::types::{
        Consumer, Descriptor, Source, Space, Volume, VolumeInfo, VolumePage, VolumeSpec,
    },
    provider::exports::velum::storage::provider::Guest as Provider,
};
pub use crate::codes::storage as code;

/// Makes a component of a type that implements [`Provider`].
#[macro_export]
macro_rules! export_provider {
    ($provider:ident) => {
        // The names of a component's exports are none that a native linker takes.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
    $crate::bindings::provider::export!($provider with_types_in $crate::bindings::provider);
        };
    };
}
