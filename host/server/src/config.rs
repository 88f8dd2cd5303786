//! The configuration: `config/default.toml` with what a file says differently.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use serde::Deserialize;
use velum_runtime::Uids;

/// Every setting with its default, its unit and its reason.
const DEFAULTS: &str = include_str!("../../../config/default.toml");

/// The settings of `velumd`; see `config/default.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub data: PathBuf,
    pub listen: SocketAddr,
    pub advertise: String,
    pub database: String,
    pub plugins: Plugins,
    pub policies: Policies,
    pub decisions: Decisions,
    pub lease: Lease,
    pub log: Log,
    pub operations: Operations,
    pub observe: Observe,
    pub orphans: Orphans,
    pub books: Books,
    pub shutdown: Shutdown,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    pub directory: String,
    pub unsigned: Unsigned,
    pub first_uid: u32,
    pub memory_mib: u64,
    pub calls_in_flight: u64,
    pub fuel: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unsigned {
    Refuse,
    Allow,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policies {
    pub probation_ms: u64,
    pub probation_asks: u64,
    pub failures_permille: u64,
    pub refusals_permille: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    pub keep_ms: u64,
    pub history_mib: u64,
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
pub struct Orphans {
    pub every_ms: u64,
    pub grace_ms: u64,
    pub at_once: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Books {
    pub every_ms: u64,
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
        let named = || match file {
            Some(file) => format!("{} does not fit", file.display()),
            None => "the configuration does not fit".into(),
        };
        let config: Self = table.try_into().with_context(named)?;
        config.check().with_context(named)?;
        Ok(config)
    }

    /// Whether the values go together. Asked again when arguments have changed some.
    pub fn check(&self) -> anyhow::Result<()> {
        if let Err(error) = velum_store::shown(&self.database_url()) {
            anyhow::bail!("database: {error}");
        }
        anyhow::ensure!(
            (500..=600_000).contains(&self.lease.ms),
            "lease.ms must be between 500 and 600000"
        );
        anyhow::ensure!(
            self.database.is_empty() || !self.advertise.is_empty() || !self.listen.ip().is_unspecified(),
            "advertise must say at which address the other servers reach this one: {} is every address of this machine",
            self.listen
        );
        anyhow::ensure!(
            self.advertise.is_empty() || self.advertise.starts_with("http://"),
            "advertise must be an http:// address, such as http://10.0.0.1:7070"
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
        anyhow::ensure!(self.observe.at_once > 0, "observe.at_once must be at least 1");
        anyhow::ensure!(
            self.orphans.every_ms >= 100,
            "orphans.every_ms must be at least 100"
        );
        anyhow::ensure!(self.orphans.at_once > 0, "orphans.at_once must be at least 1");
        anyhow::ensure!(
            self.books.every_ms >= 60_000,
            "books.every_ms must be at least 60000"
        );
        anyhow::ensure!(
            (60_000..=315_360_000_000).contains(&self.decisions.keep_ms),
            "decisions.keep_ms must be between 60000 and 315360000000"
        );
        anyhow::ensure!(
            self.decisions.history_mib <= 16_777_216,
            "decisions.history_mib must be at most 16777216"
        );
        self.check_plugins()
    }

    fn check_plugins(&self) -> anyhow::Result<()> {
        let plugins = &self.plugins;
        anyhow::ensure!(
            (64..=4096).contains(&plugins.memory_mib),
            "plugins.memory_mib must be between 64 and 4096"
        );
        anyhow::ensure!(
            plugins.first_uid <= Uids::MAX_FIRST,
            "plugins.first_uid must be at most {}",
            Uids::MAX_FIRST
        );
        anyhow::ensure!(
            (32..=1024).contains(&plugins.calls_in_flight),
            "plugins.calls_in_flight must be between 32 and 1024"
        );
        anyhow::ensure!(
            (100_000_000..=50_000_000_000).contains(&plugins.fuel),
            "plugins.fuel must be between 100000000 and 50000000000"
        );
        let policies = &self.policies;
        anyhow::ensure!(
            policies.probation_ms <= 604_800_000,
            "policies.probation_ms must be at most 604800000"
        );
        anyhow::ensure!(
            (1..=1_000_000).contains(&policies.probation_asks),
            "policies.probation_asks must be between 1 and 1000000"
        );
        anyhow::ensure!(
            policies.failures_permille <= 1000,
            "policies.failures_permille must be at most 1000"
        );
        anyhow::ensure!(
            policies.refusals_permille <= 1000,
            "policies.refusals_permille must be at most 1000"
        );
        Ok(())
    }

    /// Where other servers reach this one's API.
    pub fn address(&self) -> String {
        if self.advertise.is_empty() {
            format!("http://{}", self.listen)
        } else {
            self.advertise.clone()
        }
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
    fn a_server_among_others_says_where_it_is_reached() {
        let of = |over: &str| {
            let mut table: toml::Table = DEFAULTS.parse().expect("the defaults parse");
            lay_over(&mut table, over.parse().expect("valid TOML"));
            let config: Config = table.try_into()?;
            config.check().map(|()| config.address())
        };
        let postgres = "database = \"postgres://velum@db/velum\"\nlisten = \"0.0.0.0:7070\"\n";
        let refused = of(postgres).expect_err("nobody reaches 0.0.0.0");
        assert!(refused.to_string().contains("advertise"), "{refused}");
        let told = of(&format!("{postgres}advertise = \"http://10.0.0.1:7070\""));
        assert_eq!(told.expect("it says where"), "http://10.0.0.1:7070");
        assert_eq!(of("").expect("the defaults"), "http://127.0.0.1:7070");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let mut table: toml::Table = DEFAULTS.parse().expect("the defaults parse");
        lay_over(&mut table, "[lease]\nmillis = 3".parse().expect("valid TOML"));
        let refused = Config::deserialize(table).expect_err("an unknown key");
        assert!(refused.to_string().contains("millis"), "{refused}");
    }

    /// The default with one setting changed, as a file would change it.
    fn with(table: &str, setting: &str, value: toml::Value) -> anyhow::Result<Config> {
        let mut all: toml::Table = DEFAULTS.parse().expect("the defaults parse");
        let over = toml::Table::from_iter([(setting.to_owned(), value)]);
        lay_over(
            &mut all,
            toml::Table::from_iter([(table.to_owned(), over.into())]),
        );
        let config: Config = all.try_into()?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn the_schema_has_the_bounds_of_the_code() {
        let schema: serde_json::Value =
            serde_json::from_str(include_str!("../../../config/velumd.schema.json")).expect("a schema");
        let tables = schema["properties"].as_object().expect("properties");
        let mut bounded = 0;
        for (table, of_table) in tables {
            for (setting, of_setting) in of_table["properties"].as_object().into_iter().flatten() {
                for word in of_setting["enum"].as_array().into_iter().flatten() {
                    let word = word.as_str().expect("a word").into();
                    assert!(with(table, setting, word).is_ok(), "{table}.{setting}");
                }
                if of_setting["type"] != "integer" {
                    continue;
                }
                let least = of_setting["minimum"].as_i64().expect("a minimum");
                assert!(with(table, setting, least.into()).is_ok(), "{table}.{setting}");
                assert!(
                    with(table, setting, (least - 1).into()).is_err(),
                    "{table}.{setting}"
                );
                let most = of_setting["maximum"].as_i64();
                assert!(
                    with(table, setting, most.unwrap_or(i64::MAX).into()).is_ok(),
                    "{table}.{setting}"
                );
                if let Some(most) = most {
                    assert!(
                        with(table, setting, (most + 1).into()).is_err(),
                        "{table}.{setting}"
                    );
                }
                bounded += 1;
            }
        }
        assert!(bounded >= 9, "{bounded} numbers");
    }
}
