//! The last line of a suite or bench: one JSON object, and an exit status that follows its `ok`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

/// The bound that a figure must hold.
#[derive(Clone, Copy, Debug)]
pub enum Aim {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
}

/// A figure with what is needed to believe it.
#[derive(Debug)]
pub struct Report {
    name: String,
    value: f64,
    unit: String,
    aim: Aim,
    is_ok: bool,
    more: Map<String, Value>,
}

impl Report {
    /// A figure against its bound.
    #[must_use]
    pub fn new(name: &str, value: f64, unit: &str, aim: Aim) -> Self {
        let is_ok = match aim {
            Aim::AtLeast(bound) => value >= bound,
            Aim::AtMost(bound) => value <= bound,
        };
        let mut more = Map::new();
        more.insert("commit".into(), json!(commit()));
        more.insert("machine".into(), json!(machine()));
        Self {
            name: name.into(),
            value,
            unit: unit.into(),
            aim,
            is_ok,
            more,
        }
    }

    /// Something beside it.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.into(), value.into());
        self
    }

    /// A second condition; the report is not ok when it fails.
    #[must_use]
    pub fn require(mut self, key: &str, holds: bool) -> Self {
        self.is_ok &= holds;
        self.more.insert(key.into(), json!(holds));
        self
    }

    /// Prints the line. Succeeds when every bound holds.
    #[must_use]
    pub fn print(self) -> ExitCode {
        let mut line = Map::new();
        line.insert("name".into(), json!(self.name));
        line.insert("value".into(), json!((self.value * 1000.0).round() / 1000.0));
        line.insert("unit".into(), json!(self.unit));
        match self.aim {
            Aim::AtLeast(bound) => line.insert("at_least".into(), json!(bound)),
            Aim::AtMost(bound) => line.insert("at_most".into(), json!(bound)),
        };
        line.insert(
            "aim".into(),
            json!(match self.aim {
                Aim::AtLeast(b) | Aim::AtMost(b) => b,
            }),
        );
        line.insert("ok".into(), json!(self.is_ok));
        line.extend(self.more);
        println!("{}", Value::Object(line));
        if self.is_ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

fn commit() -> String {
    std::process::Command::new("git")
        .args(["rev-parse", "--short", "HEAD"])
        .output()
        .ok()
        .and_then(|o| String::from_utf8(o.stdout).ok())
        .map_or_else(|| "unknown".into(), |text| text.trim().to_owned())
}

/// Processor, cores and memory: a figure without its machine is none.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("unknown processor", |l| l.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|l| l.strip_prefix("MemTotal:"))
        .and_then(|l| l.trim().trim_end_matches("kB").trim().parse().ok())
        .unwrap_or_default();
    format!("{model}, {cores} cores, {} GiB", kib >> 20)
}
