//! Turns a core module, as a compiler leaves it, into a component: the contracts that the bindings embedded say which
//! exports and imports it has. No adapters: a module that imports WASI is refused, with the import named.

use wit_component::ComponentEncoder;

/// Why a module does not become a component. Each says what to change.
#[derive(Debug, thiserror::Error)]
pub enum ComponentizeError {
    /// The bytes are a component already, or no WebAssembly.
    #[error("the input is {0}, not a core module as `cargo build --target wasm32-unknown-unknown` leaves it")]
    NotAModule(&'static str),
    /// The module imports what no contract provides.
    #[error(
        "the module imports {module}/{field}, which no contract provides; build for wasm32-unknown-unknown, and use no crate that expects WASI or JavaScript"
    )]
    ForeignImport {
        /// Module of the import.
        module: String,
        /// Name in it.
        field: String,
    },
    /// The module cannot be read or encoded.
    #[error("the module cannot be made a component: {0}")]
    Encode(String),
    /// The result is not valid: a fault of this tool or of the bindings.
    #[error("the component made of the module is not valid: {0}")]
    Validate(String),
}

/// Makes a component of a core module, and validates it.
///
/// # Errors
/// [`ComponentizeError`]; nothing is written anywhere.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>, ComponentizeError> {
    check_module(module)?;
    let component = ComponentEncoder::default()
        .validate(false)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| ComponentizeError::Encode(format!("{error:#}")))?;
    wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::default())
        .validate_all(&component)
        .map_err(|error| ComponentizeError::Validate(error.to_string()))?;
    Ok(component)
}

/// Refuses what is no core module, and imports that are neither of a contract (`namespace:package/interface`) nor the
/// bindings' own.
fn check_module(module: &[u8]) -> Result<(), ComponentizeError> {
    if wasmparser::Parser::is_component(module) {
        return Err(ComponentizeError::NotAModule("a component already"));
    }
    if !wasmparser::Parser::is_core_wasm(module) {
        return Err(ComponentizeError::NotAModule("no WebAssembly"));
    }
    for payload in wasmparser::Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|error| ComponentizeError::Encode(error.to_string()))?;
        let wasmparser::Payload::ImportSection(imports) = payload else {
            continue;
        };
        for import in imports.into_imports() {
            let import = import.map_err(|error| ComponentizeError::Encode(error.to_string()))?;
            let contract = import.module.contains(':') && import.module.contains('/');
            let exported_resource = import.module.starts_with("[export]");
            if !contract && !exported_resource {
                return Err(ComponentizeError::ForeignImport {
                    module: import.module.to_owned(),
                    field: import.name.to_owned(),
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_is_refused() {
        assert!(matches!(
            componentize(b"MZ"),
            Err(ComponentizeError::NotAModule("no WebAssembly"))
        ));
        let component = wat::parse_str("(component)").unwrap();
        assert!(matches!(
            componentize(&component),
            Err(ComponentizeError::NotAModule("a component already"))
        ));
    }

    #[test]
    fn a_foreign_import_is_named() {
        let module = wat::parse_str(r#"(module (import "env" "now" (func)))"#).unwrap();
        let refused = componentize(&module).unwrap_err().to_string();
        assert!(refused.contains("env/now"), "{refused}");
    }

    #[test]
    fn a_damaged_module_is_refused() {
        let mut module = wat::parse_str(r#"(module (func (export "f")))"#).unwrap();
        module.truncate(module.len() - 3);
        assert!(matches!(componentize(&module), Err(ComponentizeError::Encode(_))));
    }

    #[test]
    fn a_module_without_contracts_becomes_an_empty_component() {
        let module = wat::parse_str("(module)").unwrap();
        let component = componentize(&module).unwrap();
        assert!(wasmparser::Parser::is_component(&component));
    }
}
