//! The rules of `wit/README.md` on versions, as a comparison of two texts of a contract: what was released never changes, and
//! what is added is added where components that were built before do not notice it.

use std::collections::{BTreeMap, BTreeSet};

use wit_parser::{
    Function, FunctionKind, Handle, Interface, Resolve, Type, TypeDefKind, TypeId, UnresolvedPackageGroup,
    WorldItem,
};

use crate::files::root;

/// The packages, each after those that it uses.
const PACKAGES: [&str; 5] = ["common", "connect", "hypervisor", "storage", "placement"];

/// What a set of packages promises: each item by its name, in one line of text.
#[derive(Debug, Default)]
struct Promise {
    items: BTreeMap<String, String>,
    /// Interfaces that components export: the server calls them, and can call no function that is not there.
    exported: BTreeSet<String>,
}

impl Promise {
    fn of(resolve: &Resolve) -> Self {
        let mut promise = Self::default();
        for (_, world) in resolve.worlds.iter() {
            let name = format!("world {}", world.name);
            promise.items.insert(name.clone(), String::new());
            for (way, items) in [("imports", &world.imports), ("exports", &world.exports)] {
                for (key, item) in items {
                    let interface = resolve.name_world_key(key);
                    promise
                        .items
                        .insert(format!("{name} {way} {interface}"), String::new());
                    if way == "exports" && matches!(item, WorldItem::Interface { .. }) {
                        promise.exported.insert(interface);
                    }
                }
            }
        }
        for (id, interface) in resolve.interfaces.iter() {
            let Some(name) = resolve.id_of(id) else { continue };
            promise.items.insert(format!("interface {name}"), String::new());
            promise.interface(resolve, &name, interface);
        }
        promise
    }

    fn interface(&mut self, resolve: &Resolve, name: &str, interface: &Interface) {
        for (type_name, id) in &interface.types {
            self.items
                .insert(format!("{name} type {type_name}"), definition(resolve, *id));
        }
        for function in interface.functions.values() {
            self.items.insert(
                format!("{name} func {}", function.name),
                signature(resolve, function),
            );
        }
    }
}

/// What a component that was built from `old` would stumble over in a server that has `new`.
fn breaking(old: &Promise, new: &Promise) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in &old.items {
        match new.items.get(name) {
            None => found.push(format!("{name} is gone")),
            Some(now) if now != text => found.push(format!("{name} was `{text}` and is `{now}`")),
            Some(_) => {}
        }
    }
    for name in new.items.keys().filter(|name| !old.items.contains_key(*name)) {
        let of_interface = name.split(" func ").next().unwrap_or_default();
        if name.contains(" func ") && old.exported.contains(of_interface) {
            found.push(format!(
                "{name} is new in an exported interface: make it an optional interface of its own"
            ));
        }
        let world = name.split(" exports ").next().unwrap_or_default();
        if name.contains(" exports ") && old.items.contains_key(world) {
            found.push(format!("{name} is new in a world that components were built for"));
        }
    }
    found
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let kind = match &function.kind {
        FunctionKind::Freestanding => "func",
        FunctionKind::AsyncFreestanding => "async func",
        FunctionKind::Method(_) => "method",
        FunctionKind::AsyncMethod(_) => "async method",
        FunctionKind::Static(_) => "static func",
        FunctionKind::AsyncStatic(_) => "async static func",
        FunctionKind::Constructor(_) => "constructor",
    };
    let parameters: Vec<_> = function
        .params
        .iter()
        .map(|param| format!("{}: {}", param.name, named(resolve, &param.ty)))
        .collect();
    let result = function
        .result
        .as_ref()
        .map_or_else(String::new, |result| format!(" -> {}", named(resolve, result)));
    format!("{kind}({}){result}", parameters.join(", "))
}

/// The inside of a type that has a name.
fn definition(resolve: &Resolve, id: TypeId) -> String {
    let fields = |fields: Vec<String>| fields.join(", ");
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let each = record.fields.iter();
            let each = each.map(|field| format!("{}: {}", field.name, named(resolve, &field.ty)));
            format!("record {{ {} }}", fields(each.collect()))
        }
        TypeDefKind::Variant(variant) => {
            let each = variant.cases.iter().map(|case| match &case.ty {
                Some(ty) => format!("{}({})", case.name, named(resolve, ty)),
                None => case.name.clone(),
            });
            format!("variant {{ {} }}", fields(each.collect()))
        }
        TypeDefKind::Enum(cases) => {
            format!(
                "enum {{ {} }}",
                fields(cases.cases.iter().map(|case| case.name.clone()).collect())
            )
        }
        TypeDefKind::Flags(flags) => {
            format!(
                "flags {{ {} }}",
                fields(flags.flags.iter().map(|flag| flag.name.clone()).collect())
            )
        }
        TypeDefKind::Resource => "resource".to_owned(),
        _ => shape(resolve, id),
    }
}

/// A type where it is used: by its name and where that is from, or by its shape.
fn named(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let definition = &resolve.types[*id];
    match (&definition.name, &definition.kind) {
        // `use` gives a type another place, not another meaning.
        (Some(_), TypeDefKind::Type(Type::Id(from))) => named(resolve, &Type::Id(*from)),
        (Some(name), _) => name.clone(),
        (None, _) => shape(resolve, *id),
    }
}

fn shape(resolve: &Resolve, id: TypeId) -> String {
    let of = |ty: &Type| named(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".to_owned(), of);
    match &resolve.types[id].kind {
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", maybe(&result.ok), maybe(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            format!(
                "tuple<{}>",
                tuple.types.iter().map(of).collect::<Vec<_>>().join(", ")
            )
        }
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", named(resolve, &Type::Id(*id))),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", named(resolve, &Type::Id(*id))),
        TypeDefKind::Type(ty) => format!("= {}", of(ty)),
        other => format!("{other:?}"),
    }
}

/// The packages as they stand, with a change in their texts.
fn contracts(change: impl Fn(&str) -> String) -> Promise {
    let mut resolve = Resolve::default();
    for name in PACKAGES {
        let mut texts: Vec<_> = std::fs::read_dir(root().join("wit").join(name))
            .expect("a package's folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "wit"))
            .collect();
        texts.sort();
        let mut map = wit_parser::SourceMap::new();
        for path in texts {
            let text = std::fs::read_to_string(&path).expect("a text");
            map.push(&path, change(&text));
        }
        let group = map.parse().map_err(|(_, error)| error).expect("a package");
        resolve.push_group(group).expect("a package");
    }
    Promise::of(&resolve)
}

fn frozen() -> BTreeMap<String, std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(root().join("wit/frozen")) else {
        return BTreeMap::new();
    };
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect()
}

/// Releases of a version line, and what stands in `wit/` under that line: nothing that a component could have been built from
/// is gone or changed. A package whose line is raised is a new package, and the old one is the adapters' affair.
#[test]
fn what_was_released_does_not_change() {
    let now = contracts(str::to_owned);
    let mut resolve = Resolve::default();
    let frozen = frozen();
    let mut lines = 0;
    // In the order of their uses; the folder's name says the version.
    for package in PACKAGES {
        let Some((_, path)) = frozen
            .iter()
            .rfind(|(name, _)| name.split('@').next() == Some(package))
        else {
            continue;
        };
        let group = UnresolvedPackageGroup::parse_dir(path).expect("a frozen package");
        resolve.push_group(group).expect("a frozen package");
        lines += 1;
    }
    if lines == 0 {
        return;
    }
    let problems = breaking(&Promise::of(&resolve), &now);
    assert!(
        problems.is_empty(),
        "components that were built from wit/frozen would not work any more (wit/README.md, versions):\n{}",
        problems.join("\n")
    );
}

/// A change by its name: what stands in the text, and what stands there afterwards.
type Edit = (&'static str, &'static str, &'static str);

const BREAKING: &[Edit] = &[
    ("a field that is gone", "    boot-id: string,\n", ""),
    (
        "a field that is new",
        "    boot-id: string,\n",
        "    boot-id: string,\n    extra: u32,\n",
    ),
    (
        "a field of another type",
        "refusals: list<tuple<u16, string>>",
        "refusals: list<tuple<u32, string>>",
    ),
    ("a case that is new", "flag(bool),", "flag(bool),\n    real(f64),"),
    ("a field's order", "demand: list<u32>,", "demand: list<s32>,"),
    (
        "a parameter that is new",
        "apply: func(before: u64,",
        "apply: func(why: u32, before: u64,",
    ),
    (
        "a parameter's name",
        "configure: func(json: string)",
        "configure: func(text: string)",
    ),
    (
        "a result",
        "kill: func(node: borrow<target>, run: borrow<run>, effect: effect) -> result<outcome, fault>",
        "kill: func(node: borrow<target>, run: borrow<run>, effect: effect) -> result<_, fault>",
    ),
    ("a function that is gone", "  describe: func() -> descriptor;", ""),
    (
        "a function that is new in an exported interface",
        "  configure: func(json",
        "  extra: func();\n  configure: func(json",
    ),
    (
        "an import of a world that is gone",
        "  import velum:connect/state@0.1.0;\n",
        "",
    ),
    (
        "an export of a world that is new",
        "  export provider;",
        "  export provider;\n  export types;",
    ),
    ("async", "  probe: func(pool", "  probe: async func(pool"),
];

const HARMLESS: &[Edit] = &[
    ("other words", "/// Our id", "/// Ours, an id"),
    (
        "a function that is new in an imported interface",
        "  /// Forgets it if `version`",
        "  /// New.\n  keys: func() -> list<string>;\n  /// Forgets it if `version`",
    ),
    (
        "a new interface",
        "package velum:connect@0.1.0;\n\n/// Small durable",
        "package velum:connect@0.1.0;\n\n/// New.\ninterface extra {\n  /// New.\n  ask: func();\n}\n\n/// Small durable",
    ),
    (
        "a new type",
        "  /// A value and its version.\n  record entry",
        "  /// New.\n  record other { a: u8 }\n  /// A value and its version.\n  record entry",
    ),
    (
        "an import of a world that is new",
        "  export provider;",
        "  import velum:connect/libvirt@0.1.0;\n  export provider;",
    ),
];

/// What a change breaks.
fn broken_by((what, from, into): &Edit) -> Vec<String> {
    let hits = std::cell::Cell::new(0);
    let new = contracts(|text| {
        hits.set(hits.get() + text.matches(from).count());
        text.replace(from, into)
    });
    assert!(
        hits.get() > 0,
        "{what}: `{from}` stands nowhere, so nothing was changed"
    );
    breaking(&contracts(str::to_owned), &new)
}

#[test]
fn what_breaks_components_is_found() {
    for edit in BREAKING {
        assert!(!broken_by(edit).is_empty(), "{} was not found", edit.0);
    }
}

#[test]
fn what_components_do_not_notice_is_let_through() {
    for edit in HARMLESS {
        let problems = broken_by(edit);
        assert!(problems.is_empty(), "{}: {problems:?}", edit.0);
    }
}
