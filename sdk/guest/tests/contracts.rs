//! The contracts parse, and their code spaces are the same in three places: the server's model, this crate, the tables
//! in the documentation of `wit/`.
#![expect(clippy::panic, reason = "what a test's set-up cannot do is a failed test")]

use std::path::Path;

use velum_guest::codes;
use velum_model::{
    fault::code as fault,
    port::{
        hypervisor::registry as hypervisor, placement::registry as placement, storage::registry as storage,
    },
};
use wit_parser::Resolve;

const PACKAGES: [&str; 5] = ["common", "connect", "hypervisor", "storage", "placement"];

fn contracts() -> Resolve {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        resolve
            .push_dir(root.join(package))
            .unwrap_or_else(|error| panic!("{package}: {error:#}"));
    }
    resolve
}

#[test]
fn every_function_type_and_field_is_documented() {
    let resolve = contracts();
    let mut silent = Vec::new();
    for (_, interface) in &resolve.interfaces {
        let name = interface.name.clone().unwrap_or_default();
        if interface.docs.contents.is_none() {
            silent.push(name.clone());
        }
        for (function, item) in &interface.functions {
            if item.docs.contents.is_none() {
                silent.push(format!("{name}.{function}"));
            }
        }
        for (kind, id) in &interface.types {
            let item = &resolve.types[*id];
            let fields: Vec<(&String, bool)> = match &item.kind {
                wit_parser::TypeDefKind::Record(record) => record
                    .fields
                    .iter()
                    .map(|field| (&field.name, field.docs.contents.is_some()))
                    .collect(),
                wit_parser::TypeDefKind::Variant(variant) => variant
                    .cases
                    .iter()
                    .map(|case| (&case.name, case.docs.contents.is_some()))
                    .collect(),
                // A `use` of another interface's type.
                wit_parser::TypeDefKind::Type(wit_parser::Type::Id(_)) => continue,
                _ => Vec::new(),
            };
            if item.docs.contents.is_none() {
                silent.push(format!("{name}.{kind}"));
            }
            silent.extend(
                fields
                    .into_iter()
                    .filter(|(_, said)| !said)
                    .map(|(field, _)| format!("{name}.{kind}.{field}")),
            );
        }
    }
    for (_, world) in &resolve.worlds {
        if world.docs.contents.is_none() {
            silent.push(world.name.clone());
        }
    }
    assert_eq!(silent, Vec::<String>::new());
}

#[test]
fn every_package_has_the_version_of_the_others() {
    let resolve = contracts();
    for (_, package) in &resolve.packages {
        assert_eq!(
            package.name.version.as_ref().map(ToString::to_string).as_deref(),
            Some("0.1.0")
        );
    }
}

#[test]
fn worlds_are_those_that_the_server_knows() {
    let resolve = contracts();
    let mut worlds: Vec<&str> = resolve
        .worlds
        .iter()
        .map(|(_, world)| world.name.as_str())
        .collect();
    worlds.sort_unstable();
    assert_eq!(
        worlds,
        [
            "hypervisor-driver",
            "hypervisor-driver-all",
            "placement-policy",
            "storage-provider"
        ]
    );
}

/// The model's and the SDK's constant of one name.
macro_rules! same {
    ($model:ident, $sdk:ident: $($name:ident)*) => {
        $(assert_eq!($model::$name, codes::$sdk::$name, stringify!($name));)*
    };
}

#[test]
fn codes_equal_those_of_the_server() {
    same!(fault, fault: UNSUPPORTED NOT_FOUND EXISTS_DIFFERENT EXHAUSTED BUSY DENIED FENCED UNREACHABLE CANCELLED INVALID
        DEADLINE TRAPPED NONSENSE UNAVAILABLE FAILED BAD_IMAGE);
    same!(hypervisor, hypervisor: ARCH_X86_64 ARCH_AARCH64 BUS_VIRTIO NIC_BRIDGE NIC_LIBVIRT_NETWORK NIC_SIMULATED
        CONSOLE_SERIAL CONSOLE_VNC GUEST_HOST_NAME GUEST_USER_DATA GUEST_ADDRESS GUEST_NAME GUEST_SEED STATE_UNKNOWN
        STATE_OFF STATE_RUNNING STATE_PAUSED STATE_STOPPING STATE_CRASHED FACT_HYPERVISOR FACT_KVM);
    same!(storage, storage: ATTACH_FILE ATTACH_BLOCK ATTACH_NFS ATTACH_ISCSI ATTACH_NBD ATTACH_RBD ATTACH_SIMULATED
        FORMAT_RAW FORMAT_QCOW2 PARAM_PATH PARAM_PORTAL PARAM_TARGET PARAM_LUN PARAM_USER INITIATOR_IQN SOURCE_BLANK SOURCE_SNAPSHOT SOURCE_VOLUME SOURCE_LAYER SOURCE_IMAGE MODE_RW
        MODE_RO MODE_RW_MOVING MODE_MOVER FEATURE_THIN FEATURE_CLONE_INDEPENDENT FEATURE_FILLS_LAYERS SPEC_IMAGE_REF
        STATE_UNKNOWN STATE_READY STATE_CREATING DONE_BACKEND_ID);
    same!(placement, placement: ROW_COMPUTE_HOST ROW_STORAGE_POOL COLUMN_ATTRIBUTE COLUMN_FREE_VCPUS
        COLUMN_FREE_MEMORY_MIB COLUMN_TOTAL_VCPUS COLUMN_TOTAL_MEMORY_MIB COLUMN_RUNS COLUMN_FREE_GIB COLUMN_TOTAL_GIB
        COLUMN_POD COLUMN_CLUSTER COLUMN_LATEST_END COLUMN_FREE_RESOURCE COLUMN_TOTAL_RESOURCE DEMAND_RESOURCES DEMAND_RESOURCES_LAST DEMAND_ATTRS DEMAND_ATTRS_LAST ATTR_NOW ATTR_EXPECTED_END NO_END DEMAND_VCPUS DEMAND_MEMORY_MIB DEMAND_GIB FACT_TEMPLATE_CACHED FACT_PREVIOUS_HOST
        FACT_SAME_PROJECT FACT_KIN FACT_SAME_PROJECT_IN_POD REFUSE);
}

#[test]
fn the_table_of_faults_names_what_the_server_names() {
    let resolve = contracts();
    let docs = resolve
        .types
        .iter()
        .filter(|(_, item)| item.name.as_deref() == Some("fault"))
        .find_map(|(_, item)| match &item.kind {
            wit_parser::TypeDefKind::Record(record) => record.fields[0].docs.contents.clone(),
            _ => None,
        })
        .unwrap();
    for code in fault::UNSUPPORTED..=fault::BAD_IMAGE {
        let row = format!("| {code} | {} |", velum_model::fault::name_of(code));
        assert!(docs.contains(&row), "{row} is not in the table");
    }
}
