//! The contracts that this server speaks, as they are written in `wit/`.

use std::sync::LazyLock;

use velum_model::plugin::World;
use wit_parser::{Resolve, UnresolvedPackageGroup, WorldId};

/// The minor line of the packages: `0.1` is what a component's `@0.1.x` must match.
pub const LINE: &str = "0.1";

/// A package as its files: name and text, in the order in which packages name each other.
const PACKAGES: [&[(&str, &str)]; 5] = [
    &[
        ("log.wit", include_str!("../../../../wit/common/log.wit")),
        ("types.wit", include_str!("../../../../wit/common/types.wit")),
    ],
    &[
        ("files.wit", include_str!("../../../../wit/connect/files.wit")),
        ("http.wit", include_str!("../../../../wit/connect/http.wit")),
        ("libvirt.wit", include_str!("../../../../wit/connect/libvirt.wit")),
        ("secrets.wit", include_str!("../../../../wit/connect/secrets.wit")),
        ("state.wit", include_str!("../../../../wit/connect/state.wit")),
    ],
    &[
        (
            "console.wit",
            include_str!("../../../../wit/hypervisor/console.wit"),
        ),
        (
            "devices.wit",
            include_str!("../../../../wit/hypervisor/devices.wit"),
        ),
        (
            "driver.wit",
            include_str!("../../../../wit/hypervisor/driver.wit"),
        ),
        ("types.wit", include_str!("../../../../wit/hypervisor/types.wit")),
        (
            "worlds.wit",
            include_str!("../../../../wit/hypervisor/worlds.wit"),
        ),
    ],
    &[
        (
            "provider.wit",
            include_str!("../../../../wit/storage/provider.wit"),
        ),
        ("types.wit", include_str!("../../../../wit/storage/types.wit")),
        ("worlds.wit", include_str!("../../../../wit/storage/worlds.wit")),
    ],
    &[
        ("policy.wit", include_str!("../../../../wit/placement/policy.wit")),
        ("worlds.wit", include_str!("../../../../wit/placement/worlds.wit")),
    ],
];

/// A world of the contract: every interface that it may import and export.
#[derive(Clone, Copy, Debug)]
pub struct WorldContract {
    /// Which.
    pub world: World,
    /// The interface that makes a component one of this world, without its version.
    pub main: &'static str,
    /// The world in [`Contract::resolve`] with all its optional exports.
    pub id: WorldId,
}

/// All contracts, parsed once.
pub struct Contract {
    /// Types and interfaces.
    pub resolve: Resolve,
    /// The worlds.
    pub worlds: [WorldContract; 3],
}

/// The contracts.
pub static CONTRACT: LazyLock<Contract> = LazyLock::new(parse);

#[expect(
    clippy::expect_used,
    reason = "the texts are part of the program; a test parses them"
)]
fn parse() -> Contract {
    let mut resolve = Resolve::new();
    for files in PACKAGES {
        let mut map = wit_parser::SourceMap::new();
        for (name, text) in files {
            map.push_str(name, *text);
        }
        let group: UnresolvedPackageGroup = map.parse().map_err(|(_, e)| e).expect("the contract parses");
        resolve.push_group(group).expect("the contract resolves");
    }
    let id = |package: &str, name: &str| {
        resolve
            .worlds
            .iter()
            .find(|(_, world)| {
                world.name == name
                    && world
                        .package
                        .is_some_and(|id| resolve.packages[id].name.name == package)
            })
            .map(|(id, _)| id)
            .expect("the contract has its worlds")
    };
    let worlds = [
        WorldContract {
            world: World::PlacementPolicy,
            main: "velum:placement/policy",
            id: id("placement", "placement-policy"),
        },
        WorldContract {
            world: World::HypervisorDriver,
            main: "velum:hypervisor/driver",
            id: id("hypervisor", "hypervisor-driver-all"),
        },
        WorldContract {
            world: World::StorageProvider,
            main: "velum:storage/provider",
            id: id("storage", "storage-provider"),
        },
    ];
    Contract { resolve, worlds }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_parses_and_is_of_the_line_that_is_spoken() {
        let contract = &*CONTRACT;
        for package in contract.resolve.packages.iter() {
            let version = package.1.name.version.as_ref().unwrap().to_string();
            assert!(version.starts_with(LINE), "{}: {version}", package.1.name);
        }
    }
}
