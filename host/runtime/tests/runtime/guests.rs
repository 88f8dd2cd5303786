//! Components from text: a core module with the contract's names, made a component by the contract's types.

use std::{collections::BTreeMap, fs, path::Path};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

/// The contract with changes: what a guest of another version of it would be built from.
pub struct Dialect {
    /// Replacements in the texts of `wit/`.
    pub changes: Vec<(&'static str, &'static str)>,
    /// Another package, parsed last, and a world in it.
    pub package: Option<&'static str>,
    /// The world.
    pub world: &'static str,
}

impl Dialect {
    pub const fn of(world: &'static str) -> Self {
        Self {
            changes: Vec::new(),
            package: None,
            world,
        }
    }

    pub fn resolve(&self) -> Resolve {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut resolve = Resolve::new();
        for package in ["common", "connect", "hypervisor", "storage", "placement"] {
            let mut map = SourceMap::new();
            let mut files = BTreeMap::new();
            for entry in fs::read_dir(wit.join(package)).unwrap() {
                let path = entry.unwrap().path();
                files.insert(
                    path.file_name().unwrap().to_owned(),
                    fs::read_to_string(&path).unwrap(),
                );
            }
            for (name, text) in files {
                let text = self
                    .changes
                    .iter()
                    .fold(text, |text, (from, into)| text.replace(from, into));
                map.push_str(name.to_str().unwrap(), text);
            }
            let group = map.parse().map_err(|(_, error)| error).unwrap();
            resolve.push_group(group).unwrap();
        }
        if let Some(text) = self.package {
            resolve.push_source("extra.wit", text).unwrap();
        }
        resolve
    }

    /// The component of a core module's text.
    pub fn component(&self, core: &str) -> Vec<u8> {
        self.try_component(core).unwrap()
    }

    /// The same, for texts that may be none.
    pub fn try_component(&self, core: &str) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let resolve = self.resolve();
        let (_, world) = resolve
            .worlds
            .iter()
            .map(|(id, world)| (&world.name, id))
            .find(|(name, _)| name.as_str() == self.world)
            .unwrap();
        let mut module = wat::parse_str(core)?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        Ok(ComponentEncoder::default()
            .module(&module)?
            .validate(true)
            .encode()?)
    }
}

/// Memory with a zeroed answer at 4096 (most zeroed answers are "yes, nothing more"), and room for arguments behind it.
const MEMORY: &str = r#"
  (memory (export "memory") 4)
  (global $free (mut i32) (i32.const 16384))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    global.get $free local.set $at
    global.get $free local.get 3 i32.add i32.const 15 i32.add i32.const -16 i32.and global.set $free
    local.get $at)
  (data (i32.const 0) "under-test0.1.0")
"#;

/// A policy whose functions are these bodies; the rest answers as it should, the score of a row being its number.
#[derive(Clone, Copy)]
pub struct PolicyText {
    pub imports: &'static str,
    pub items: &'static str,
    pub describe: &'static str,
    pub configure: &'static str,
    pub load: &'static str,
    pub apply: &'static str,
    pub score: &'static str,
}

impl Default for PolicyText {
    fn default() -> Self {
        Self {
            imports: "",
            items: "",
            // `name` at 1024 is 10 bytes from 0; everything else is empty.
            describe: "i32.const 1028 i32.const 10 i32.store i32.const 1024",
            configure: "i32.const 4096",
            load: "i32.const 1",
            apply: "i32.const 1",
            // Answers the rows that it was given.
            score: "i32.const 1200 local.get $rows i32.store i32.const 1204 local.get $count i32.store i32.const 1200",
        }
    }
}

impl PolicyText {
    pub fn text(&self) -> String {
        let Self {
            imports,
            items,
            describe,
            configure,
            load,
            apply,
            score,
        } = self;
        format!(
            r#"(module {imports} {MEMORY} {items}
  (func (export "velum:placement/policy@0.1.0#describe") (result i32) {describe})
  (func (export "velum:placement/policy@0.1.0#configure") (param i32 i32) (result i32) {configure})
  (func (export "velum:placement/policy@0.1.0#load") (param i64 i32 i32 i32) (result i32) {load})
  (func (export "velum:placement/policy@0.1.0#apply") (param i64 i64 i32 i32 i32 i32) (result i32) {apply})
  (func (export "velum:placement/policy@0.1.0#score") (param i64 i32 i32 i32 i32 i32 i32 i64) (param $rows i32) (param $count i32) (result i32) {score})
)"#
        )
    }

    pub fn component(&self) -> Vec<u8> {
        Dialect::of("placement-policy").component(&self.text())
    }
}

/// What a driver may import, in the order in which a module needs it: before everything else.
const IMPORTS: &str = r#"
  (import "velum:common/types@0.1.0" "[resource-drop]target" (func $drop-target (param i32)))
  (import "velum:common/types@0.1.0" "[resource-drop]run" (func $drop-run (param i32)))
  (import "velum:common/log@0.1.0" "log" (func $log (param i32 i32 i32)))
  (import "velum:connect/http@0.1.0" "[static]endpoint.open" (func $open (param i32 i32 i32 i32)))
  (import "velum:connect/http@0.1.0" "[method]endpoint.send" (func $send (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (import "velum:connect/libvirt@0.1.0" "[static]connection.open" (func $connect (param i32 i32)))
  (import "velum:connect/libvirt@0.1.0" "[method]connection.domain" (func $domain (param i32 i32 i32)))
  (import "velum:connect/libvirt@0.1.0" "[method]domain.act" (func $act (param i32 i32 i32 i32)))
"#;

/// Texts, and what drivers under test do with them.
const DEEDS: &str = r#"
  (data (i32.const 64) "api")
  (data (i32.const 80) "GET")
  (data (i32.const 96) "/v1/thing")
  (data (i32.const 112) "POST")
  (data (i32.const 128) "/admin")
  ;; Sends a request to the target and answers the tag of the result: 0 a response, 1 a fault; the code of a fault is
  ;; at 2052, its "unchanged" at 2054, a status at 2052.
  (func $request (param $target i32) (param $method i32) (param $method-len i32) (param $path i32) (param $path-len i32) (result i32)
    local.get $target i32.const 64 i32.const 3 i32.const 2048 call $open
    i32.const 2048 i32.load8_u
    if (result i32)
      i32.const 1
    else
      i32.const 2052 i32.load
      local.get $method local.get $method-len local.get $path local.get $path-len
      i32.const 0 i32.const 0 i32.const 0 i32.const 0 i32.const 0 i32.const 0 i32.const 0
      i32.const 2048
      call $send
      i32.const 2048 i32.load8_u
    end)
  ;; Resets the domain of the run; answers the tag of the result, with a fault at 2052.
  (func $reset (param $target i32) (param $run i32) (result i32)
    local.get $target i32.const 2048 call $connect
    i32.const 2048 i32.load8_u
    if (result i32)
      i32.const 1
    else
      i32.const 2052 i32.load local.get $run i32.const 2048 call $domain
      i32.const 2048 i32.load8_u
      if (result i32)
        i32.const 1
      else
        i32.const 2056 i32.load i32.const 4 i32.const 0 i32.const 2048 call $act
        i32.const 2048 i32.load8_u
      end
    end)
  ;; Passes the fault at 2052 on as the answer at 5000, or, of a response, a fault with code 1000 + status.
  (func $tell (param $tag i32)
    i32.const 5000 i32.const 1 i32.store8
    i32.const 5004
    local.get $tag
    if (result i32) i32.const 2052 i32.load16_u else i32.const 2052 i32.load16_u i32.const 1000 i32.add end
    i32.store16
    i32.const 5006 i32.const 2054 i32.load8_u i32.store8)
"#;

/// The driver's functions: name, parameters behind the handles, number of handles (0: all arguments are in memory).
const DRIVER: [(&str, &str, u8); 11] = [
    ("probe", "", 1),
    ("ensure", "", 0),
    ("start", "", 0),
    ("shutdown", "i32 i32 i32 i32", 2),
    ("kill", "i32 i32 i32 i32", 2),
    ("reboot", "i32 i32 i32 i32 i32", 2),
    ("remove", "i32 i32 i32 i32", 2),
    ("observe", "i32 i32 i32", 1),
    ("observe-run", "", 2),
    ("poll", "i32 i32 i32 i32 i32 i32", 2),
    ("cancel", "i32 i32 i32 i32 i32 i32", 2),
];

/// Name and version from the memory's first bytes; everything else of the descriptor is empty.
const DESCRIBE: &str = "i32.const 1028 i32.const 10 i32.store i32.const 1032 i32.const 10 i32.store i32.const 1036 i32.const 5 i32.store i32.const 1024";

/// A driver whose every function does what its body says, drops its handles and answers the zeroed bytes, or what
/// `$tell` left.
pub fn driver(bodies: &[(&str, &str)]) -> Vec<u8> {
    Dialect::of("hypervisor-driver").component(&driver_text(bodies))
}

/// The text of its module.
pub fn driver_text(bodies: &[(&str, &str)]) -> String {
    let body = |name: &str| {
        bodies
            .iter()
            .find(|(function, _)| *function == name)
            .map_or("", |(_, body)| body)
    };
    let mut functions = String::new();
    for (name, rest, handles) in DRIVER {
        functions.push_str(&function(name, rest, handles, body(name)));
    }
    let describe = match body("describe") {
        "" => DESCRIBE,
        other => other,
    };
    format!(
        r#"(module {IMPORTS} {MEMORY} {DEEDS}
  (func (export "velum:hypervisor/driver@0.1.0#describe") (result i32) {describe})
  {functions})"#
    )
}

fn function(name: &str, rest: &str, handles: u8, body: &str) -> String {
    let (params, drops) = match handles {
        // More than 16 values: all arguments are in memory, the handles first.
        0 => (
            "(param $all i32)".to_owned(),
            "local.get $all i32.load call $drop-target local.get $all i32.load offset=4 call $drop-run",
        ),
        1 => (
            format!("(param $target i32) (param {rest})"),
            "local.get $target call $drop-target",
        ),
        _ => (
            format!("(param $target i32) (param $run i32) (param {rest})"),
            "local.get $target call $drop-target local.get $run call $drop-run",
        ),
    };
    let answer = if body.contains("call $tell") {
        "i32.const 5000"
    } else {
        "i32.const 4096"
    };
    format!(
        "(func (export \"velum:hypervisor/driver@0.1.0#{name}\") {params} (result i32) {body} {drops} {answer})\n"
    )
}
