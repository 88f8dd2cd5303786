//! What must not be written.

use crate::files::texts;

/// Lines of source files, comments included, that satisfy a condition: `path:line: text`.
fn lines(endings: &[&str], wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in texts(endings) {
        // This crate names what it forbids.
        if path.starts_with("tests/house/") {
            continue;
        }
        let hits = text.lines().enumerate().filter(|(_, line)| wrong(line));
        found.extend(hits.map(|(n, line)| format!("{path}:{}: {}", n + 1, line.trim())));
    }
    found
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn a_lint_is_expected_with_a_reason_and_never_allowed() {
    assert_none(
        "write #[expect(..., reason = \"...\")] instead",
        &lines(&[".rs"], |line| {
            line.contains("#[allow(") || line.contains("#![allow(")
        }),
    );
}

/// Whether a line puts something off without saying where it is kept.
fn puts_off(line: &str) -> bool {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let marked = words
        .clone()
        .any(|word| matches!(word, "TODO" | "FIXME" | "XXX" | "HACK"));
    let has_number = line
        .split('#')
        .skip(1)
        .any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    marked && !has_number
}

#[test]
fn what_is_put_off_has_an_issue_number() {
    let endings = [
        ".rs", ".sh", ".toml", ".wit", ".md", ".ts", ".tsx", ".py", ".awk", ".sql",
    ];
    assert_none(
        "give these an issue number (#123), or do them",
        &lines(&endings, puts_off),
    );
    assert!(
        puts_off("// TODO: later") && !puts_off("// TODO(#12): later") && !puts_off("mktemp /tmp/x.XXXXXX")
    );
}

#[test]
fn nothing_is_called_manager_helper_or_util() {
    let wrong = |line: &str| {
        let mut words = line
            .split_whitespace()
            .skip_while(|word| !matches!(*word, "struct" | "enum" | "trait" | "mod" | "type"));
        let name = words.nth(1).unwrap_or_default();
        let name: String = name
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let is_code = !line.trim_start().starts_with("//");
        let ends_badly = ["Manager", "Helper", "Util", "Processor"]
            .iter()
            .any(|word| name.ends_with(word));
        is_code && (ends_badly || matches!(name.as_str(), "util" | "utils" | "helper" | "helpers"))
    };
    assert_none("name these for what they are", &lines(&[".rs"], wrong));
}

#[test]
fn every_setting_has_a_comment_above_it() {
    let text = std::fs::read_to_string(crate::files::root().join("config/default.toml")).unwrap();
    text.parse::<toml::Table>().expect("config/default.toml parses");
    let mut above = "";
    for line in text.lines() {
        let is_setting = line.contains('=') && !line.starts_with('#');
        assert!(
            !is_setting || above.starts_with('#'),
            "say what it is, its unit and its reason above: {line}"
        );
        above = line;
    }
}

#[test]
fn shell_scripts_stop_at_the_first_error() {
    for (path, text) in texts(&[".sh"]) {
        let is_program = text.starts_with("#!/usr/bin/env bash");
        assert!(
            !is_program || text.contains("\nset -euo pipefail\n"),
            "{path} goes on after an error"
        );
    }
}
