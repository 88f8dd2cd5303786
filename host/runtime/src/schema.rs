//! The JSON Schemas of a plugin's settings.

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::Value;
use velum_model::{
    plugin::Manifest,
    port::plugins::{ConfigPart, PluginRefused},
};

use crate::grant::log::clean;

/// Compiled schemas; none means that the plugin has no settings of that kind.
pub struct Schemas {
    policy: Option<Validator>,
    target: Option<Validator>,
}

impl Schemas {
    /// Compiles the schemas of a manifest.
    ///
    /// # Errors
    /// [`PluginRefused::Manifest`] when one is not a schema.
    pub fn new(manifest: &Manifest) -> Result<Self, PluginRefused> {
        Ok(Self {
            policy: compiled("config", manifest.config.as_ref())?,
            target: compiled("target", manifest.target.as_ref())?,
        })
    }

    /// Takes the schema that a policy itself describes, where its manifest has none. One that is no schema is ignored:
    /// the policy checks its configuration anyway.
    pub fn described(&mut self, schema: &str) {
        if self.policy.is_none() && !schema.is_empty() {
            self.policy = serde_json::from_str::<Value>(schema)
                .ok()
                .and_then(|schema| jsonschema::validator_for(&schema).ok());
        }
    }

    /// Checks settings.
    ///
    /// # Errors
    /// [`PluginRefused::Configuration`] names the value by its JSON pointer.
    pub fn check(&self, part: ConfigPart, config: &Value) -> Result<(), PluginRefused> {
        let validator = match part {
            ConfigPart::Policy => &self.policy,
            ConfigPart::Target => &self.target,
        };
        let refused = |pointer: String, problem: String| PluginRefused::Configuration {
            pointer: clean(&pointer, 200),
            problem: clean(&problem, 500),
        };
        let Some(validator) = validator else {
            return match config {
                Value::Null => Ok(()),
                Value::Object(fields) => match fields.keys().next() {
                    None => Ok(()),
                    Some(key) => Err(refused(
                        format!("/{key}"),
                        "this plugin has no settings".to_owned(),
                    )),
                },
                _ => Err(refused(String::new(), "this plugin has no settings".to_owned())),
            };
        };
        validator.validate(config).map_err(|error| {
            let place = error.instance_path().to_string();
            match unknown(config, &place, &error) {
                Some(key) => refused(
                    format!("{place}/{key}"),
                    "is no setting of this plugin".to_owned(),
                ),
                None => refused(place, error.to_string()),
            }
        })
    }
}

/// The field that a schema without any fields does not know: its validator tells the value and not the name.
fn unknown(config: &Value, place: &str, error: &ValidationError<'_>) -> Option<String> {
    let fields = config.pointer(place)?.as_object()?;
    let is_unknown = |value: &Value| match error.kind() {
        ValidationErrorKind::FalseSchema => value == error.instance().as_ref(),
        _ => false,
    };
    let (key, _) = fields.iter().find(|(_, value)| is_unknown(value))?;
    Some(key.replace('~', "~0").replace('/', "~1"))
}

fn compiled(field: &str, schema: Option<&Value>) -> Result<Option<Validator>, PluginRefused> {
    schema
        .map(|schema| {
            jsonschema::validator_for(schema).map_err(|error| PluginRefused::Manifest {
                field: field.to_owned(),
                problem: format!("is not a JSON Schema: {error}"),
            })
        })
        .transpose()
}
