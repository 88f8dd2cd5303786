//! `conformance.json`: how a suite came out, as it travels in a bundle. The bundle's signature covers it: what is signed
//! lists every part by its digest.

use serde::{Deserialize, Serialize};
use velum_model::{
    plugin::{Digest, World},
    port::plugins::Inspected,
    time::Timestamp,
};

use crate::{
    case::SUITE_VERSION,
    suite::{Outcome, Verdict},
};

/// The version of the contracts that the suites are about (`wit/`).
pub const CONTRACT_VERSION: &str = "0.1.0";
/// Cases of a result: the suites have some forty each, and a reader of foreign results must end.
const CASES_MAX: usize = 1_000;

/// How a suite came out for one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConformanceResult {
    /// The form of this document: 1.
    pub format: u32,
    /// The plugin's name, of plugin.toml.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its world.
    pub world: World,
    /// The component that was tested, byte for byte.
    pub component: Digest,
    /// The version of the suite.
    pub suite: String,
    /// The version of the contracts.
    pub contract: String,
    /// The version of the testkit: that of the server whose runtime it was.
    pub testkit: String,
    /// When it ended, RFC 3339.
    pub at: String,
    /// Cases that passed.
    pub passed: usize,
    /// Cases that failed.
    pub failed: usize,
    /// Cases that are not about this plugin or could not be shown on its far side.
    pub left_out: usize,
    /// Each case, by name.
    pub cases: Vec<CaseResult>,
}

/// How one case came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseResult {
    /// Its name.
    pub case: String,
    /// How it came out.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// Why a document is no result of this component.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResultError {
    /// It does not read.
    #[error("conformance.json does not read: {0}")]
    Parse(String),
    /// It is about something else.
    #[error("conformance.json: {field}: it says {says}; this is {is}")]
    Other {
        /// Which field.
        field: &'static str,
        /// What it says.
        says: String,
        /// What it would have to say.
        is: String,
    },
}

impl ConformanceResult {
    /// Of outcomes.
    #[must_use]
    pub fn new(inspected: &Inspected, outcomes: &[Outcome], at: Timestamp) -> Self {
        let count = |wanted: fn(&Verdict) -> bool| outcomes.iter().filter(|o| wanted(&o.verdict)).count();
        let cases = outcomes.iter().map(|outcome| CaseResult {
            case: outcome.case.name.clone(),
            verdict: outcome.verdict.clone(),
            took_ms: outcome.took_ms,
        });
        Self {
            format: 1,
            name: inspected.manifest.name.to_string(),
            version: inspected.manifest.version.clone(),
            world: inspected.world,
            component: inspected.digest.clone(),
            suite: SUITE_VERSION.to_owned(),
            contract: CONTRACT_VERSION.to_owned(),
            testkit: env!("CARGO_PKG_VERSION").to_owned(),
            at: at.to_string(),
            passed: count(|verdict| *verdict == Verdict::Passed),
            failed: count(|verdict| matches!(verdict, Verdict::Failed(_))),
            left_out: count(|verdict| matches!(verdict, Verdict::LeftOut { .. })),
            cases: cases.collect(),
        }
    }

    /// As it lies in a bundle.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text.into_bytes()
    }

    /// Reads a result, which must be about this component.
    ///
    /// # Errors
    /// [`ResultError`] names the field.
    pub fn read(bytes: &[u8], component: &Digest) -> Result<Self, ResultError> {
        let reader = &mut serde_json::Deserializer::from_slice(bytes);
        let result: Self = serde_path_to_error::deserialize(reader)
            .map_err(|error| ResultError::Parse(format!("{}: {}", error.path(), error.inner())))?;
        let other = |field, says: String, is: String| ResultError::Other { field, says, is };
        if result.format != 1 {
            return Err(other("format", result.format.to_string(), "1".to_owned()));
        }
        if result.component != *component {
            let says = result.component.to_string();
            return Err(other("component", says, component.to_string()));
        }
        if result.cases.len() > CASES_MAX {
            let says = format!("{} cases", result.cases.len());
            return Err(other("cases", says, format!("at most {CASES_MAX}")));
        }
        let failed = result
            .cases
            .iter()
            .filter(|case| matches!(case.verdict, Verdict::Failed(_)));
        let failed = failed.count();
        if failed != result.failed {
            return Err(other("failed", result.failed.to_string(), failed.to_string()));
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::Failure;

    fn result() -> ConformanceResult {
        let verdicts = [
            Verdict::Passed,
            Verdict::Failed(Failure {
                step: 2,
                asked: "find".to_owned(),
                expected: "some".to_owned(),
                came: "none".to_owned(),
            }),
            Verdict::LeftOut {
                reason: "not for everywhere".to_owned(),
            },
        ];
        ConformanceResult {
            format: 1,
            name: "a".to_owned(),
            version: "1.0.0".to_owned(),
            world: World::StorageProvider,
            component: Digest::from_hex(&"ab".repeat(32)).unwrap(),
            suite: SUITE_VERSION.to_owned(),
            contract: CONTRACT_VERSION.to_owned(),
            testkit: "0".to_owned(),
            at: "2026-01-01T00:00:00Z".to_owned(),
            passed: 1,
            failed: 1,
            left_out: 1,
            cases: verdicts
                .into_iter()
                .map(|verdict| CaseResult {
                    case: "x".to_owned(),
                    verdict,
                    took_ms: 1,
                })
                .collect(),
        }
    }

    #[test]
    fn a_result_is_read_back_and_only_for_its_component() {
        let result = result();
        let bytes = result.to_bytes();
        assert_eq!(
            ConformanceResult::read(&bytes, &result.component),
            Ok(result.clone())
        );
        let other = Digest::from_hex(&"cd".repeat(32)).unwrap();
        let refused = ConformanceResult::read(&bytes, &other).unwrap_err();
        assert!(refused.to_string().contains("component"), "{refused}");
        let text = String::from_utf8(bytes).unwrap();
        let lied = text.replace("\"failed\": 1", "\"failed\": 0");
        assert!(ConformanceResult::read(lied.as_bytes(), &result.component).is_err());
    }

    #[test]
    fn the_contract_is_the_one_of_the_wit_packages() {
        for text in [
            include_str!("../../../wit/placement/policy.wit"),
            include_str!("../../../wit/hypervisor/driver.wit"),
            include_str!("../../../wit/storage/provider.wit"),
        ] {
            let first = text.lines().next().unwrap();
            assert!(first.ends_with(&format!("@{CONTRACT_VERSION};")), "{first}");
        }
    }
}
