//! The files of the repository, and how long they may be.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::exceptions;

/// Production lines of a file: more, and it holds two nouns or two verbs.
const FILE_LINES_MAX: usize = 500;

/// What may stand at the top of the repository.
const TOP: [&str; 17] = [
    ".cargo",
    ".ci",
    ".clippy.toml",
    ".config",
    ".deny.toml",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "config",
    "host",
    "plugins",
    "sdk",
    "tests",
    "wit",
];

/// The top of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors()
        .nth(2)
        .expect("the crate lies two below the top")
        .to_owned()
}

/// Files that git knows, as paths from the top, that are there.
pub fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .arg("-C")
        .arg(root())
        .args(["ls-files", "-z"])
        .output();
    let output = output.expect("git runs");
    assert!(
        output.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let paths = text.split('\0').filter(|path| !path.is_empty());
    paths
        .filter(|path| root().join(path).is_file())
        .map(str::to_owned)
        .collect()
}

/// Tracked files with one of these endings, and their text.
pub fn texts(endings: &[&str]) -> Vec<(String, String)> {
    let wanted = |path: &String| endings.iter().any(|ending| path.ends_with(ending));
    let read = |path: String| {
        let text = std::fs::read_to_string(root().join(&path)).unwrap_or_else(|why| panic!("{path}: {why}"));
        (path, text)
    };
    tracked().into_iter().filter(wanted).map(read).collect()
}

/// Whether a path is a test's: its crate is one, or it lies in a crate's `tests/`.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("tests.rs")
}

/// Lines before the unit tests at the end of a file.
fn production_lines(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    let begins_tests = |pair: &[&str]| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ") && pair[1].ends_with('{')
    };
    lines.windows(2).position(begins_tests).unwrap_or(lines.len())
}

#[test]
fn a_file_holds_one_noun_or_verb_and_at_most_five_hundred_lines() {
    let exceptions = exceptions::read().long_file;
    let mut too_long = Vec::new();
    let mut needless: Vec<&str> = exceptions
        .iter()
        .map(|exception| exception.path.as_str())
        .collect();
    for (path, text) in texts(&[".rs", ".ts", ".tsx", ".sh"]) {
        let lines = production_lines(&text);
        if is_test(&path) || lines <= FILE_LINES_MAX {
            continue;
        }
        needless.retain(|excepted| *excepted != path);
        let allowed = exceptions
            .iter()
            .find(|exception| exception.path == path)
            .map_or(0, |exception| exception.lines);
        if lines > allowed {
            too_long.push(format!("{path}: {lines}"));
        }
    }
    assert!(
        too_long.is_empty(),
        "split these, or except them with a reason:\n{}",
        too_long.join("\n")
    );
    assert!(
        needless.is_empty(),
        "these exceptions are not needed any more: {needless:?}"
    );
}

#[test]
fn the_top_of_the_repository_is_short() {
    let mut tops: Vec<String> = tracked()
        .iter()
        .filter_map(|path| path.split('/').next().map(str::to_owned))
        .collect();
    tops.dedup();
    let strangers: Vec<&String> = tops.iter().filter(|top| !TOP.contains(&top.as_str())).collect();
    assert!(
        strangers.is_empty(),
        "these have no place at the top: {strangers:?}"
    );
    let missing: Vec<&&str> = TOP
        .iter()
        .filter(|wanted| !tops.iter().any(|top| top == **wanted))
        .collect();
    assert!(missing.is_empty(), "these are missing at the top: {missing:?}");
}

#[test]
fn tests_at_the_end_of_a_file_do_not_count() {
    assert_eq!(production_lines("fn a() {}\n\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(production_lines("#[cfg(test)]\nmod tests;\nfn a() {}\n"), 3);
}
