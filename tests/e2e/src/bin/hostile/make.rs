//! Components of the cases.

use std::fmt::Write as _;

use anyhow::Context as _;

use crate::{
    case::{Case, Grant, Guest, Make},
    guests::{Dialect, PolicyText, driver_text},
};

/// A component and its manifest.
pub struct Made {
    /// Its bytes.
    pub component: Vec<u8>,
    /// Its manifest.
    pub manifest: Option<String>,
}

/// Makes the component of a case.
///
/// # Errors
/// Its text does not parse, or a program that it needs fails.
pub fn make(case: &Case) -> anyhow::Result<Made> {
    match case.guest {
        Guest::Policy => {
            let component = component_of("placement-policy", policy_text(case), case)?;
            Ok(Made {
                component,
                manifest: Some(policy_manifest(&case.name)),
            })
        }
        Guest::Driver | Guest::Process => {
            let bodies: Vec<_> = case
                .bodies
                .iter()
                .map(|(name, body)| (name.as_str(), body.as_str()))
                .collect();
            let component = component_of("hypervisor-driver", driver_text(&bodies), case)?;
            Ok(Made {
                component,
                manifest: Some(driver_manifest(&case.name, case.grant)),
            })
        }
        Guest::Raw => raw(case),
    }
}

fn component_of(world: &'static str, mut text: String, case: &Case) -> anyhow::Result<Vec<u8>> {
    for (from, into) in &case.replace {
        anyhow::ensure!(
            text.contains(from.as_str()),
            "`{from}` stands nowhere in the template"
        );
        text = text.replace(from.as_str(), into);
    }
    of_text(world, &text).with_context(|| format!("the text of {} is no component", case.name))
}

fn of_text(world: &'static str, text: &str) -> anyhow::Result<Vec<u8>> {
    Dialect::of(world)
        .try_component(text)
        .map_err(|error| anyhow::anyhow!("{error}"))
}

fn policy_text(case: &Case) -> String {
    let leak = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let mut text = PolicyText {
        imports: leak(&case.imports),
        ..PolicyText::default()
    };
    for (name, body) in &case.bodies {
        let slot = match name.as_str() {
            "items" => &mut text.items,
            "describe" => &mut text.describe,
            "configure" => &mut text.configure,
            "load" => &mut text.load,
            "apply" => &mut text.apply,
            _ => &mut text.score,
        };
        *slot = leak(body);
    }
    text.text()
}

fn policy_manifest(name: &str) -> String {
    format!("name = \"{name}\"\nversion = \"0.1.0\"\nworld = \"placement-policy\"\n")
}

fn driver_manifest(name: &str, grant: Grant) -> String {
    let head = format!("name = \"{name}\"\nversion = \"0.1.0\"\nworld = \"hypervisor-driver\"\n");
    match grant {
        Grant::Some => format!(
            "{head}[capabilities.http.api]\nmethods = [\"GET\", \"POST\"]\npaths = [\"/v1/\"]\n[capabilities.libvirt]\n"
        ),
        Grant::None => format!("{head}[capabilities.http]\n[capabilities.libvirt]\n"),
    }
}

fn good() -> Vec<u8> {
    PolicyText::default().component()
}

fn raw(case: &Case) -> anyhow::Result<Made> {
    let component = raw_component(case)?;
    let manifest = match (&case.manifest, case.make) {
        (Some(text), _) => {
            let mut text = text.clone();
            let _ = write!(text, "{}", "# padding\n".repeat(case.pad / 10));
            Some(text)
        }
        (None, Some(Make::Padded | Make::Data)) => Some(policy_manifest(&case.name)),
        _ => None,
    };
    Ok(Made { component, manifest })
}

fn raw_component(case: &Case) -> anyhow::Result<Vec<u8>> {
    let count = case.count;
    Ok(match case.make.context("a raw component is made somehow")? {
        Make::Empty => Vec::new(),
        Make::Noise => (0..65536_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect(),
        Make::Text => b"#!/bin/sh\necho velum\n".to_vec(),
        Make::Module => wat::parse_str("(module)")?,
        Make::Truncated => {
            let whole = good();
            whole[..whole.len() / 2].to_vec()
        }
        Make::Wat => wat::parse_str(&case.wat)?,
        Make::Padded => padded(good(), case.bytes),
        Make::Functions => module(&"(func)".repeat(count))?,
        Make::Blocks => {
            let blocks = format!("(func {} {})", "block ".repeat(count), "end ".repeat(count));
            module(&blocks)?
        }
        Make::Locals => module(&format!("(func (local {}))", "i64 ".repeat(49_000)).repeat(count))?,
        Make::Branches => {
            let table = format!("(func (param i32) local.get 0 br_table {})", "0 ".repeat(60_000));
            module(&table.repeat(count))?
        }
        Make::Data => {
            let pages = case.bytes.div_ceil(65536) + 4;
            let items = format!("(data (i32.const 262144) \"{}\")", "x".repeat(case.bytes));
            let text = PolicyText::default().text().replace(
                "(memory (export \"memory\") 4)",
                &format!("(memory (export \"memory\") {pages}) {items}"),
            );
            of_text("placement-policy", &text)?
        }
        Make::Nested => (0..count).fold(HEADER.to_vec(), |inner, _| {
            // A section of the kind "component" with the other one in it; texts may not be nested so deep.
            let mut outer = HEADER.to_vec();
            section(&mut outer, 4, &inner);
            outer
        }),
        Make::Instances => {
            let mut text = String::from("(component (core module $m)");
            for _ in 0..count {
                text.push_str("(core instance (instantiate $m))");
            }
            text.push(')');
            wat::parse_str(text)?
        }
        Make::Import => {
            let text = PolicyText {
                imports: r#"(import "wasi:clocks/wall@0.1.0" "now" (func (result i64)))"#,
                ..PolicyText::default()
            };
            let sneaky = Dialect {
                package: Some(
                    "package test:worlds; world sneaky { import wasi:clocks/wall@0.1.0; export velum:placement/policy@0.1.0; }
                     package wasi:clocks@0.1.0 { interface wall { now: func() -> u64; } }",
                ),
                ..Dialect::of("sneaky")
            };
            sneaky.component(&text.text())
        }
        Make::Dialect => Dialect {
            changes: vec![("scale: s8", "scale: s16")],
            ..Dialect::of("placement-policy")
        }
        .component(&PolicyText::default().text()),
        Make::Manifest => good(),
        Make::Compiled => b"\x7fELF\x02\x01\x01\x00 compiled by somebody else".to_vec(),
    })
}

/// A component around a core module.
fn module(items: &str) -> anyhow::Result<Vec<u8>> {
    Ok(wat::parse_str(format!("(component (core module {items}))"))?)
}

/// What every component begins with.
const HEADER: [u8; 8] = *b"\0asm\x0d\0\x01\0";

/// A component with a custom section at its end.
fn padded(mut component: Vec<u8>, bytes: usize) -> Vec<u8> {
    let name = b"padding";
    let mut content = vec![u8::try_from(name.len()).unwrap_or_default()];
    content.extend_from_slice(name);
    content.resize(bytes, 0);
    section(&mut component, 0, &content);
    component
}

/// Appends a section: its kind, its length in groups of seven bits, its content.
fn section(component: &mut Vec<u8>, kind: u8, content: &[u8]) {
    component.push(kind);
    let mut length = content.len();
    loop {
        let low = (length & 0x7f) as u8;
        length >>= 7;
        if length == 0 {
            component.push(low);
            break;
        }
        component.push(low | 0x80);
    }
    component.extend_from_slice(content);
}
