//! What the bindings generator makes of the contracts of drivers and providers, version 0.1: one set, so that both share
//! types and connectors. Which exports a component really has is found by looking at it.

wasmtime::component::bindgen!({
    inline: "
        package velum:server@0.1.0;
        world drivers {
            import velum:common/log@0.1.0;
            import velum:connect/http@0.1.0;
            import velum:connect/libvirt@0.1.0;
            import velum:connect/files@0.1.0;
            import velum:connect/state@0.1.0;
            import velum:connect/secrets@0.1.0;
            export velum:hypervisor/driver@0.1.0;
            export velum:hypervisor/devices@0.1.0;
            export velum:hypervisor/console@0.1.0;
            export velum:storage/provider@0.1.0;
        }
    ",
    path: ["../../wit/common", "../../wit/connect", "../../wit/hypervisor", "../../wit/storage"],
    world: "velum:server/drivers",
    imports: { default: async | trappable },
    exports: { default: async },
    // What a guest is asked and answers travels between the server and the plugin's process.
    additional_derives: [serde::Serialize, serde::Deserialize],
    with: {
        "velum:common/types.target": crate::sandbox::host::TargetHandle,
        "velum:common/types.run": crate::sandbox::host::RunResource,
        "velum:connect/http.endpoint": crate::sandbox::host::Endpoint,
        "velum:connect/libvirt.connection": crate::sandbox::host::Connection,
        "velum:connect/libvirt.domain": crate::sandbox::host::Domain,
        "velum:connect/files.directory": crate::sandbox::host::Directory,
    },
});
