//! The configuration: `config/default.toml` with what a file says differently.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;

/// Every setting with its default, its unit and its reason.
const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// The settings of `velumd`; see `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub database: String,
    pub plugins: String,
    pub lease: Lease,
    pub log: Log,
    pub operations: Operations,
    pub observe: Observe,
    pub shutdown: Shutdown,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    pub ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operations {
    pub in_flight: usize,
    pub loaded: usize,
    pub attempts_before_pivot: u16,
    pub attempts_after_pivot: u16,
    pub elsewhere: usize,
    pub backoff_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observe {
    pub every_ms: u64,
    pub at_once: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    pub grace_ms: u64,
}

impl Config {
    /// Reads the defaults and, over them, `file`.
    pub fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        let mut table: toml::Table = DEFAULTS.parse().context("the built-in defaults do not parse")?;
        if let Some(file) = file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("could not read the configuration file {}", file.display()))?;
            let over: toml::Table = text
                .parse()
                .with_context(|| format!("{} is not valid TOML", file.display()))?;
            lay_over(&mut table, over);
        }
        let config: Self = table.try_into().context("the configuration does not fit")?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            (500..=600_000).contains(&self.lease.ms),
            "lease.ms must be between 500 and 600000"
        );
        anyhow::ensure!(
            self.operations.in_flight > 0,
            "operations.in_flight must be at least 1"
        );
        anyhow::ensure!(
            self.operations.loaded >= 100,
            "operations.loaded must be at least 100"
        );
        anyhow::ensure!(
            self.observe.every_ms >= 100,
            "observe.every_ms must be at least 100"
        );
        Ok(())
    }

    /// The database's URL: SQLite in the data directory unless another is set.
    pub fn database_url(&self) -> String {
        if self.database.is_empty() {
            format!("sqlite:{}", self.data.join("velum.db").display())
        } else {
            self.database.clone()
        }
    }
}

/// Tables are merged, anything else is replaced.
fn lay_over(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_configuration() {
        let config = Config::read(None).expect("the defaults read");
        assert!(config.listen.ip().is_loopback());
        assert!(config.database_url().starts_with("sqlite:"));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let mut table: toml::Table = DEFAULTS.parse().expect("the defaults parse");
        lay_over(&mut table, "[lease]\nmillis = 3".parse().expect("valid TOML"));
        let refused = Config::deserialize(table).expect_err("an unknown key");
        assert!(refused.to_string().contains("millis"), "{refused}");
    }
}
