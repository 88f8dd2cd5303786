//! What a component is: which world its exports make it, and whether imports and types fit the contract.

use velum_model::{plugin::World, port::plugins::PluginRefused};
use wit_parser::{Interface, InterfaceId, Resolve, WorldItem, WorldKey, decoding::DecodedWasm};

use super::{
    contract::{CONTRACT, LINE, WorldContract},
    fit::{Comparison, Demand},
};

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its world.
    pub world: World,
    /// Interfaces that it imports, as it spells them.
    pub imports: Vec<String>,
    /// Interfaces and functions that it exports, as it spells them.
    pub exports: Vec<String>,
}

impl Shape {
    /// Connectors (`http`, `libvirt`, ...) that it imports.
    pub fn connectors(&self) -> impl Iterator<Item = &str> {
        self.imports
            .iter()
            .filter_map(|import| split(import).0.strip_prefix("velum:connect/"))
    }

    /// Optional interfaces that it exports beside its world's main one (`devices`, `console`).
    #[must_use]
    pub fn optional_interfaces(&self) -> Vec<String> {
        let contract = contract_of(self.world);
        let known = exports_of(contract);
        self.exports
            .iter()
            .map(|export| split(export).0)
            .filter(|name| *name != contract.main && known.iter().any(|(known, _)| known == name))
            .filter_map(|name| name.rsplit('/').next().map(str::to_owned))
            .collect()
    }
}

/// Looks at a component that [`super::admit`] found valid.
///
/// # Errors
/// [`PluginRefused`] names the import, export or field that does not fit.
pub fn shape(bytes: &[u8]) -> Result<Shape, PluginRefused> {
    let decoded = wit_parser::decoding::decode(bytes)
        .map_err(|error| PluginRefused::Invalid(format!("its interfaces cannot be read: {error:#}")))?;
    let DecodedWasm::Component(resolve, world) = decoded else {
        return Err(PluginRefused::Invalid(
            "it is a package of interfaces, not a component".to_owned(),
        ));
    };
    let named = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| -> Vec<(String, WorldItem)> {
        items
            .iter()
            .map(|(key, item)| (resolve.name_world_key(key), item.clone()))
            .collect()
    };
    let imports = named(&resolve.worlds[world].imports);
    let exports = named(&resolve.worlds[world].exports);
    let contract = recognize(&exports)?;
    check_imports(&resolve, contract, &imports)?;
    check_exports(&resolve, contract, &exports)?;
    let names = |items: Vec<(String, WorldItem)>| items.into_iter().map(|(name, _)| name).collect();
    Ok(Shape {
        world: contract.world,
        imports: names(
            imports
                .into_iter()
                .filter(|(_, item)| has_functions(&resolve, item))
                .collect(),
        ),
        exports: names(exports),
    })
}

/// The world whose main interface is among the exports.
fn recognize(exports: &[(String, WorldItem)]) -> Result<&'static WorldContract, PluginRefused> {
    let found: Vec<_> = CONTRACT
        .worlds
        .iter()
        .filter_map(|contract| {
            let export = exports.iter().find(|(name, _)| split(name).0 == contract.main)?;
            Some((contract, export.0.as_str()))
        })
        .collect();
    match found.as_slice() {
        [(contract, export)] => {
            fits_line(export).map_err(|problem| wrong(contract, export, problem))?;
            Ok(contract)
        }
        [] => {
            let names: Vec<_> = exports.iter().map(|(name, _)| name.as_str()).take(16).collect();
            Err(PluginRefused::UnknownWorld(if names.is_empty() {
                "nothing".to_owned()
            } else {
                names.join(", ")
            }))
        }
        [(first, _), (second, name), ..] => Err(wrong(
            first,
            name,
            format!(
                "a component is of one world, and this one is also a {}",
                second.world
            ),
        )),
    }
}

fn check_imports(
    resolve: &Resolve,
    contract: &WorldContract,
    imports: &[(String, WorldItem)],
) -> Result<(), PluginRefused> {
    let allowed = imports_of(contract);
    // Those with functions first: a refusal names what reaches out, not the types that it comes with.
    let (acting, naming): (Vec<_>, Vec<_>) =
        imports.iter().partition(|(_, item)| has_functions(resolve, item));
    for (name, item) in acting.into_iter().chain(naming) {
        let forbidden = || PluginRefused::ForbiddenImport {
            import: name.clone(),
            world: contract.world.as_str().to_owned(),
        };
        let (plain, _) = split(name);
        match item {
            WorldItem::Type { .. } => {}
            WorldItem::Function(_) => return Err(forbidden()),
            WorldItem::Interface { id, .. } => {
                let Some((_, ours)) = allowed.iter().find(|(allowed, _)| allowed == plain) else {
                    return Err(forbidden());
                };
                fits_line(name).map_err(|problem| wrong(contract, name, problem))?;
                compare(
                    contract,
                    name,
                    ours,
                    (resolve, &resolve.interfaces[*id]),
                    Demand::Subset,
                )?;
            }
        }
    }
    Ok(())
}

fn check_exports(
    resolve: &Resolve,
    contract: &WorldContract,
    exports: &[(String, WorldItem)],
) -> Result<(), PluginRefused> {
    for (plain, ours) in exports_of(contract) {
        let Some((name, item)) = exports.iter().find(|(name, _)| split(name).0 == plain) else {
            continue;
        };
        fits_line(name).map_err(|problem| wrong(contract, name, problem))?;
        let WorldItem::Interface { id, .. } = item else {
            return Err(wrong(contract, name, "it is not an interface".to_owned()));
        };
        compare(
            contract,
            name,
            ours,
            (resolve, &resolve.interfaces[*id]),
            Demand::All,
        )?;
    }
    Ok(())
}

fn compare(
    contract: &WorldContract,
    name: &str,
    ours: &Interface,
    (resolve, theirs): (&Resolve, &Interface),
    demand: Demand,
) -> Result<(), PluginRefused> {
    Comparison::new(&CONTRACT.resolve, resolve)
        .interface(ours, theirs, demand)
        .map_err(|difference| {
            wrong(
                contract,
                &format!("{name} {}", difference.field),
                difference.problem,
            )
        })
}

/// The interfaces that a world exports, required and optional, without their versions.
fn exports_of(contract: &WorldContract) -> Vec<(String, &'static Interface)> {
    interfaces(&CONTRACT.resolve.worlds[contract.id].exports)
}

fn imports_of(contract: &WorldContract) -> Vec<(String, &'static Interface)> {
    interfaces(&CONTRACT.resolve.worlds[contract.id].imports)
}

fn interfaces(
    items: &'static wit_parser::IndexMap<WorldKey, WorldItem>,
) -> Vec<(String, &'static Interface)> {
    items
        .iter()
        .filter_map(|(key, item)| match item {
            WorldItem::Interface { id, .. } => Some((CONTRACT.resolve.name_world_key(key), *id)),
            _ => None,
        })
        .map(|(name, id): (String, InterfaceId)| {
            (split(&name).0.to_owned(), &CONTRACT.resolve.interfaces[id])
        })
        .collect()
}

#[expect(
    clippy::expect_used,
    reason = "every case of World has a contract; a test asks for each"
)]
fn contract_of(world: World) -> &'static WorldContract {
    CONTRACT
        .worlds
        .iter()
        .find(|contract| contract.world == world)
        .expect("a contract of every world")
}

fn has_functions(resolve: &Resolve, item: &WorldItem) -> bool {
    match item {
        WorldItem::Interface { id, .. } => !resolve.interfaces[*id].functions.is_empty(),
        WorldItem::Function(_) => true,
        WorldItem::Type { .. } => false,
    }
}

/// `velum:placement/policy@0.1.0` as name and version.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

fn fits_line(name: &str) -> Result<(), String> {
    let (_, version) = split(name);
    let fits = version
        .strip_prefix(LINE)
        .is_some_and(|patch| patch.starts_with('.'));
    if fits {
        Ok(())
    } else {
        Err(format!("this server speaks version {LINE} of it"))
    }
}

fn wrong(contract: &WorldContract, field: &str, problem: String) -> PluginRefused {
    PluginRefused::WrongExport {
        field: field.to_owned(),
        world: contract.world.as_str().to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_world_has_its_contract_and_its_optional_interfaces() {
        for world in [
            World::PlacementPolicy,
            World::HypervisorDriver,
            World::StorageProvider,
        ] {
            let contract = contract_of(world);
            assert!(exports_of(contract).iter().any(|(name, _)| name == contract.main));
        }
        let shape = Shape {
            world: World::HypervisorDriver,
            imports: vec!["velum:connect/http@0.1.0".to_owned()],
            exports: vec![
                "velum:hypervisor/driver@0.1.0".to_owned(),
                "velum:hypervisor/console@0.1.0".to_owned(),
                "vendor:own/thing".to_owned(),
            ],
        };
        assert_eq!(shape.optional_interfaces(), ["console"]);
        assert_eq!(shape.connectors().collect::<Vec<_>>(), ["http"]);
    }
}
