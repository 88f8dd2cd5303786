//! Tables: what a list shows of each resource, and how.

use std::io::IsTerminal as _;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table as Grid, presets::NOTHING};
use serde_json::Value;

use crate::{
    names::Names,
    text::{bytes, plain},
};

/// How a value is put in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As it is; lists with commas between, maps as `key=value`.
    Text,
    /// A number of bytes.
    Bytes,
    /// A number of MiB.
    Mib,
    /// An instant, to the second.
    Time,
    /// Where something is in its life: coloured on a terminal.
    State,
    /// The id of something in this collection, shown by its name.
    Of(&'static str),
    /// A digest, cut to what tells two apart.
    Digest,
    /// Thousandths, as a ratio.
    Permille,
    /// A map of what there is of each and how much of it is used.
    UsedOfTotal,
}

/// One column of a list.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// What stands above it.
    pub header: &'static str,
    /// Where the value is in the resource: field names with dots between; `used/limit` shows two.
    pub path: &'static str,
    /// How it is shown.
    pub kind: Kind,
}

/// A column of values shown as they are.
pub const fn text(header: &'static str, path: &'static str) -> Column {
    Column {
        header,
        path,
        kind: Kind::Text,
    }
}

/// A column of another kind.
pub const fn column(header: &'static str, path: &'static str, kind: Kind) -> Column {
    Column { header, path, kind }
}

/// The value at `path`; null when a part of the way is missing.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.')
        .try_fold(value, |v, field| v.get(field))
        .unwrap_or(&Value::Null)
}

/// The cells of one row, without anything that could drive a terminal.
pub fn cells(row: &Value, columns: &[Column], names: &Names) -> Vec<String> {
    columns.iter().map(|c| cell(row, c, names)).collect()
}

fn cell(row: &Value, column: &Column, names: &Names) -> String {
    let one = |path: &str| word(at(row, path), column.kind, names);
    match column.path.split_once('/') {
        Some((used, limit)) => format!("{} of {}", one(used), one(limit)),
        None => one(column.path),
    }
}

/// One value in words.
pub fn word(value: &Value, kind: Kind, names: &Names) -> String {
    let text = match (value, kind) {
        (Value::Null, _) => return "-".to_owned(),
        (Value::Number(n), Kind::Bytes) => n.as_u64().map_or_else(|| n.to_string(), bytes),
        (Value::Number(n), Kind::Mib) => n.as_u64().map_or_else(|| n.to_string(), |n| bytes(n << 20)),
        (Value::String(id), Kind::Of(collection)) => names.name(collection, id),
        (Value::String(at), Kind::Time) => instant(at),
        (Value::String(digest), Kind::Digest) => digest.chars().take(19).collect(),
        (Value::Number(n), Kind::Permille) => n
            .as_f64()
            .map_or_else(|| n.to_string(), |n| format!("{}", n / 1000.0)),
        (Value::Object(each), Kind::UsedOfTotal) if !each.is_empty() => used_of_total(each),
        (value, _) => flat(value),
    };
    plain(&text)
}

/// `gpu 1 of 4, hugepages-1g 0 of 16`
fn used_of_total(each: &serde_json::Map<String, Value>) -> String {
    let one = |(name, of): (&String, &Value)| {
        format!("{name} {} of {}", flat(at(of, "used")), flat(at(of, "total")))
    };
    each.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// `2026-11-22T15:47:07.123456Z` to the second.
fn instant(at: &str) -> String {
    match at.split_once('T') {
        Some((date, time)) => format!("{date} {}Z", time.get(..8).unwrap_or(time)),
        None => at.to_owned(),
    }
}

/// A value on one line.
fn flat(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".to_owned(),
        Value::Array(items) => items.iter().map(flat).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.is_empty() => "-".to_owned(),
        Value::Object(fields) => fields
            .iter()
            .map(|(k, v)| format!("{k}={}", flat(v)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

/// A list under its headers. `states` names the column whose words are coloured.
pub fn list(headers: &[&str], rows: Vec<Vec<String>>, states: Option<usize>) -> String {
    let mut grid = grid();
    grid.set_header(
        headers
            .iter()
            .map(|h| Cell::new(h).add_attribute(Attribute::Bold)),
    );
    for row in rows {
        grid.add_row(row.into_iter().enumerate().map(|(i, text)| {
            if Some(i) == states {
                state(text)
            } else {
                Cell::new(text)
            }
        }));
    }
    lines(&grid)
}

/// Names and values, one pair a line; further lines of a value stand under its first.
pub fn pairs(rows: &[(String, String)]) -> String {
    let mut grid = grid();
    for (name, value) in rows {
        grid.add_row(vec![
            Cell::new(name).add_attribute(Attribute::Bold),
            Cell::new(value),
        ]);
    }
    lines(&grid)
}

fn state(text: String) -> Cell {
    let color = match text.as_str() {
        "running" | "ready" | "up" | "enabled" | "done" | "active" => Some(Color::Green),
        "failed" | "parked" | "down" | "crashed" => Some(Color::Red),
        "undone" | "unknown" | "maintenance" | "disabled" | "draining" => Some(Color::Yellow),
        _ => None,
    };
    let cell = Cell::new(text);
    match color {
        Some(color) => cell.fg(color),
        None => cell,
    }
}

fn grid() -> Grid {
    let mut grid = Grid::new();
    grid.load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        grid.force_no_tty();
        // Off a terminal nothing is wrapped: a line is a record.
        grid.set_content_arrangement(ContentArrangement::Disabled);
    } else if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) {
        let width = grid.width();
        grid.force_no_tty();
        if let Some(width) = width {
            grid.set_width(width);
        }
    }
    grid
}

/// The table, its lines without the padding at their ends and beginnings.
fn lines(grid: &Grid) -> String {
    let mut out = String::new();
    for line in grid.lines() {
        let line = line.strip_prefix(' ').unwrap_or(&line);
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_by_their_kind() {
        let names = Names::fixed("zones", &[("1", "east")]);
        let row = json!({
            "name": "a\u{1b}[2Jb", "zone": "1", "at": "2026-11-22T15:47:07.123Z", "memory": 512, "size": 10u64 << 30,
            "tags": ["ssd", "gpu"], "attributes": {"power": 3}, "none": null, "run": {"host": "h"},
            "resources": {"gpu": {"total": 4, "used": 1}, "nic": {"total": 2, "used": 0}}, "nothing": {},
        });
        let columns = [
            text("NAME", "name"),
            column("ZONE", "zone", Kind::Of("zones")),
            column("AT", "at", Kind::Time),
            column("MEMORY", "memory", Kind::Mib),
            column("SIZE", "size", Kind::Bytes),
            text("TAGS", "tags"),
            text("ATTRIBUTES", "attributes"),
            text("NONE", "none"),
            text("HOST", "run.host"),
            text("GONE", "no.where"),
            column("RESOURCES", "resources", Kind::UsedOfTotal),
            column("NOTHING", "nothing", Kind::UsedOfTotal),
        ];
        let expected = [
            "ab",
            "east",
            "2026-11-22 15:47:07Z",
            "512 MiB",
            "10 GiB",
            "ssd, gpu",
            "power=3",
            "-",
            "h",
            "-",
            "gpu 1 of 4, nic 0 of 2",
            "-",
        ];
        assert_eq!(cells(&row, &columns, &names), expected);
    }

    #[test]
    fn a_table_off_a_terminal_is_lines_of_words() {
        let table = list(
            &["NAME", "STATE"],
            vec![vec!["web-1".into(), "running".into()]],
            Some(1),
        );
        assert_eq!(table, "NAME   STATE\nweb-1  running\n");
    }
}
