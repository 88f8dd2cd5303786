//! Generated from `wit/`. What is imported stands in one module; each interface that a plugin may export has a module of
//! its own, so that a plugin exports those that it implements and no others.

/// Everything that a plugin may import, and the types of all packages. What is not used is not in the component.
pub mod imports {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/connect", "../../wit/hypervisor", "../../wit/storage", "../../wit/placement"],
        inline: "
            package velum:guest@0.1.0;
            world imports {
                import velum:common/log@0.1.0;
                import velum:common/types@0.1.0;
                import velum:connect/http@0.1.0;
                import velum:connect/libvirt@0.1.0;
                import velum:connect/files@0.1.0;
                import velum:connect/state@0.1.0;
                import velum:connect/secrets@0.1.0;
                import velum:hypervisor/types@0.1.0;
                import velum:storage/types@0.1.0;
            }
        ",
        world: "velum:guest/imports@0.1.0",
        generate_all,
        additional_derives: [PartialEq, Eq],
        runtime_path: "::velum_guest::rt",
    });
}

/// `velum:placement/policy`, exported.
pub mod policy {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/placement"],
        inline: "
            package velum:guest@0.1.0;
            world policy { export velum:placement/policy@0.1.0; }
        ",
        world: "velum:guest/policy@0.1.0",
        additional_derives: [PartialEq, Eq],
        runtime_path: "::velum_guest::rt",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "::velum_guest::bindings::policy",
    });
}

/// `velum:hypervisor/driver`, exported.
pub mod driver {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/connect", "../../wit/hypervisor"],
        inline: "
            package velum:guest@0.1.0;
            world driver { export velum:hypervisor/driver@0.1.0; }
        ",
        world: "velum:guest/driver@0.1.0",
        with: {
            "velum:common/types@0.1.0": ::velum_guest::bindings::imports::velum::common::types,
            "velum:hypervisor/types@0.1.0": ::velum_guest::bindings::imports::velum::hypervisor::types,
        },
        runtime_path: "::velum_guest::rt",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "::velum_guest::bindings::driver",
    });
}

/// `velum:hypervisor/devices`, exported.
pub mod devices {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/connect", "../../wit/hypervisor"],
        inline: "
            package velum:guest@0.1.0;
            world devices { export velum:hypervisor/devices@0.1.0; }
        ",
        world: "velum:guest/devices@0.1.0",
        with: {
            "velum:common/types@0.1.0": ::velum_guest::bindings::imports::velum::common::types,
            "velum:hypervisor/types@0.1.0": ::velum_guest::bindings::imports::velum::hypervisor::types,
        },
        runtime_path: "::velum_guest::rt",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "::velum_guest::bindings::devices",
    });
}

/// `velum:hypervisor/console`, exported.
pub mod console {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/connect", "../../wit/hypervisor"],
        inline: "
            package velum:guest@0.1.0;
            world console { export velum:hypervisor/console@0.1.0; }
        ",
        world: "velum:guest/console@0.1.0",
        with: {
            "velum:common/types@0.1.0": ::velum_guest::bindings::imports::velum::common::types,
        },
        additional_derives: [PartialEq, Eq],
        runtime_path: "::velum_guest::rt",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "::velum_guest::bindings::console",
    });
}

/// `velum:storage/provider`, exported.
pub mod provider {
    wit_bindgen::generate!({
        path: ["../../wit/common", "../../wit/connect", "../../wit/storage"],
        inline: "
            package velum:guest@0.1.0;
            world provider { export velum:storage/provider@0.1.0; }
        ",
        world: "velum:guest/provider@0.1.0",
        with: {
            "velum:common/types@0.1.0": ::velum_guest::bindings::imports::velum::common::types,
            "velum:storage/types@0.1.0": ::velum_guest::bindings::imports::velum::storage::types,
        },
        runtime_path: "::velum_guest::rt",
        pub_export_macro: true,
        export_macro_name: "export",
        default_bindings_module: "::velum_guest::bindings::provider",
    });
}
