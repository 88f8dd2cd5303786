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
    with: {
        "velum:common/types.target": crate::call::TargetHandle,
        "velum:common/types.run": crate::call::RunResource,
        "velum:connect/http.endpoint": crate::grant::http::Endpoint,
        "velum:connect/libvirt.connection": crate::grant::libvirt::Connection,
        "velum:connect/libvirt.domain": crate::grant::libvirt::Domain,
        "velum:connect/files.directory": crate::grant::files::Directory,
    },
});
