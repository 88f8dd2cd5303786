//! The first look at a component's bytes: valid, in the features that are allowed, and of a size that can be compiled.

use velum_model::port::plugins::PluginRefused;
use wasmparser::{Parser, Payload, Validator};

use crate::engine;

/// Functions of all modules of a component: CPython with its standard library has 15,000, StarlingMonkey 22,000.
const MAX_FUNCTIONS: u64 = 60_000;
/// Locals of one function: register allocation is more than linear in them; the largest known interpreter loop has 2,000.
const MAX_LOCALS: u64 = 10_000;
/// Bytes of one function, for the same reason; the largest known has 300 kB.
const MAX_BODY_BYTES: u64 = 1 << 20;
/// Core modules: a componentized guest with stubs has 6; Python's dynamic libraries 12.
const MAX_MODULES: u64 = 64;
/// Core and component instances: each costs memory before any code runs.
const MAX_INSTANCES: u64 = 256;
/// Components inside components.
const MAX_DEPTH: u64 = 4;
/// Memories and tables of one module; the features allow one memory, dynamic libraries share one table.
const MAX_TABLES: u64 = 8;

/// Counts what a component is made of.
#[derive(Debug, Default)]
struct Census {
    functions: u64,
    modules: u64,
    instances: u64,
    depth: u64,
}

/// Checks the bytes. What passes is a valid component in [`engine::features`].
///
/// # Errors
/// [`PluginRefused::Invalid`] says what is wrong, with the offset where there is one.
pub fn admit(bytes: &[u8]) -> Result<(), PluginRefused> {
    if bytes.is_empty() {
        return Err(invalid("it is empty"));
    }
    if !Parser::is_component(bytes) {
        return Err(if Parser::is_core_wasm(bytes) {
            invalid(
                "it is a core module; make it a component (velum plugin build, or wasm-tools component new)",
            )
        } else {
            invalid("it does not begin like WebAssembly")
        });
    }
    census(bytes)?;
    let mut validator = Validator::new_with_features(engine::features());
    validator.validate_all(bytes).map_err(|error| {
        PluginRefused::Invalid(format!("{} (at byte {})", error.message(), error.offset()))
    })?;
    Ok(())
}

/// Counts without validating: cheap, so that what is too large is refused before anything is spent on it.
fn census(bytes: &[u8]) -> Result<(), PluginRefused> {
    let mut census = Census::default();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(|error| {
            PluginRefused::Invalid(format!("{} (at byte {})", error.message(), error.offset()))
        })?;
        count(&mut census, &payload)?;
    }
    Ok(())
}

fn count(census: &mut Census, payload: &Payload<'_>) -> Result<(), PluginRefused> {
    match payload {
        Payload::ModuleSection { .. } => {
            census.modules += 1;
            census.depth += 1;
            within("core modules", census.modules, MAX_MODULES)
        }
        Payload::ComponentSection { .. } => {
            census.modules += 1;
            census.depth += 1;
            within("modules and components", census.modules, MAX_MODULES)?;
            within("nested components", census.depth, MAX_DEPTH)
        }
        Payload::End(_) => {
            census.depth = census.depth.saturating_sub(1);
            Ok(())
        }
        Payload::InstanceSection(section) => {
            census.instances += u64::from(section.count());
            within("instances", census.instances, MAX_INSTANCES)
        }
        Payload::ComponentInstanceSection(section) => {
            census.instances += u64::from(section.count());
            within("instances", census.instances, MAX_INSTANCES)
        }
        Payload::FunctionSection(section) => {
            census.functions += u64::from(section.count());
            within("functions", census.functions, MAX_FUNCTIONS)
        }
        Payload::TableSection(section) => within("tables of a module", section.count().into(), MAX_TABLES),
        Payload::CodeSectionEntry(body) => {
            let range = body.range();
            within(
                "bytes of a function",
                u64::try_from(range.end - range.start).unwrap_or(u64::MAX),
                MAX_BODY_BYTES,
            )?;
            let mut locals = 0u64;
            let reader = body.get_locals_reader().map_err(|e| invalid(e.message()))?;
            for local in reader {
                let (count, _) = local.map_err(|e| invalid(e.message()))?;
                locals += u64::from(count);
            }
            within("locals of a function", locals, MAX_LOCALS)
        }
        _ => Ok(()),
    }
}

fn within(what: &str, got: u64, max: u64) -> Result<(), PluginRefused> {
    if got > max {
        return Err(PluginRefused::Invalid(format!("it has more than {max} {what}")));
    }
    Ok(())
}

fn invalid(problem: &str) -> PluginRefused {
    PluginRefused::Invalid(problem.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn problem_of(text: &str) -> String {
        match admit(&wat::parse_str(text).unwrap()) {
            Err(PluginRefused::Invalid(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn garbage_truncation_and_modules_are_refused_as_what_they_are() {
        assert!(matches!(admit(b""), Err(PluginRefused::Invalid(p)) if p.contains("empty")));
        assert!(matches!(admit(b"\x7fELF...."), Err(PluginRefused::Invalid(p)) if p.contains("WebAssembly")));
        assert!(problem_of("(module)").contains("core module"));
        let whole = wat::parse_str("(component (core module (func (export \"a\"))))").unwrap();
        assert!(admit(&whole).is_ok());
        for cut in 9..whole.len() {
            // A cut at a section's end is a smaller component, valid by itself; nothing may be worse than refused.
            let _ = admit(&whole[..cut]);
        }
        assert!(admit(&whole[..whole.len() - 1]).is_err());
    }

    #[test]
    fn features_beyond_the_allowed_ones_are_refused() {
        for text in [
            "(component (core module (memory i64 1)))",
            "(component (core module (memory 1 1 shared)))",
            "(component (core module (memory 1) (memory 1)))",
            "(component (core module (tag)))",
            "(component (core module (type (struct))))",
            "(component (core module (func (param externref))))",
            "(component (core module (func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle)))",
        ] {
            assert!(admit(&wat::parse_str(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_to_compile_is_refused_by_count() {
        let many = format!("(component (core module {}))", "(func)".repeat(60_001));
        assert!(problem_of(&many).contains("functions"));
        let mut locals = String::from("(component (core module (func ");
        for _ in 0..10_001 {
            locals.push_str("(local i32) ");
        }
        locals.push_str(")))");
        assert!(problem_of(&locals).contains("locals"));
        let mut modules = String::from("(component ");
        for _ in 0..65 {
            modules.push_str("(core module) ");
        }
        modules.push(')');
        assert!(problem_of(&modules).contains("modules"));
        let mut instances = String::from("(component (core module $m) ");
        for i in 0..257 {
            let _ = write!(instances, "(core instance $i{i} (instantiate $m)) ");
        }
        instances.push(')');
        assert!(problem_of(&instances).contains("instances"));
    }
}
