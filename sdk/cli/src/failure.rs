//! What can go wrong, as an exit code and as lines on standard error.

use std::process::ExitCode;

use velum_client::ClientError;
use velum_wire::{FieldProblem, Problem, RefusalView};

use crate::{table, text::plain};

/// Why the command did not do what it was asked.
#[derive(Debug)]
pub enum Failure {
    /// The server refused, could not be reached, or answered what nobody understands.
    Client(ClientError),
    /// The command line says something that cannot be.
    Usage(String),
    /// An operation was accepted and then undone or parked.
    Operation(String),
    /// Nothing has room for what was only thought of.
    NoRoom,
    /// So many of several were refused, and whether that was for want of room.
    Refused(u32, bool),
    /// Something on this machine.
    Local(anyhow::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

/// The part of `velum --help` about exit codes; what [`Failure::code`] keeps.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  the server refused (the problem is printed), or something failed on this machine
  2  the command line is wrong
  3  the server cannot be reached
  4  an operation was accepted, but then undone or parked
  5  no capacity: no compute host, storage pool or address is left for the request";

impl Failure {
    /// A mistake in the command line.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// See [`EXIT_CODES`].
    pub fn code(&self) -> u8 {
        match self {
            Self::Client(ClientError::Problem(problem)) if lacks_room(problem) => 5,
            Self::Client(ClientError::Unreachable { .. }) => 3,
            Self::Client(ClientError::Server { .. } | ClientError::Token) | Self::Usage(_) => 2,
            Self::Client(_) | Self::Local(_) | Self::Refused(_, false) => 1,
            Self::Operation(_) => 4,
            Self::NoRoom | Self::Refused(_, true) => 5,
        }
    }

    /// Prints it to standard error and answers how the process ends.
    pub fn report(&self) -> ExitCode {
        eprint!("{}", self.render());
        ExitCode::from(self.code())
    }

    fn render(&self) -> String {
        match self {
            Self::Client(ClientError::Problem(problem)) => render_problem(problem),
            Self::Client(error @ ClientError::Unreachable { .. }) => format!(
                "error: {}\n  Is velumd running there? The address comes from --server or VELUM_SERVER.\n",
                chain(error)
            ),
            Self::Client(error) => format!("error: {}\n", chain(error)),
            Self::Usage(text) => format!("error: {}\n", plain(text)),
            Self::NoRoom => "error: nothing has room for it; the table says why\n".to_owned(),
            Self::Refused(1, _) => "error: one was refused; its line in the table says why\n".to_owned(),
            Self::Refused(count, _) => {
                format!("error: {count} were refused; their lines in the table say why\n")
            }
            Self::Operation(text) => format!("error: {}\n", plain(text)),
            Self::Local(error) => format!("error: {}\n", plain(&format!("{error:#}"))),
        }
    }
}

/// Kinds of problems that say that nothing is left for the request.
const NO_ROOM: [&str; 2] = ["no-capacity", "no-addresses"];

pub fn lacks_room(problem: &Problem) -> bool {
    problem
        .kind
        .rsplit('/')
        .next()
        .is_some_and(|kind| NO_ROOM.contains(&kind))
}

/// Title, detail, every field with what is wrong, refusals as a table, what to do.
fn render_problem(problem: &Problem) -> String {
    let mut text = format!("error: {} ({})\n", plain(&problem.title), problem.status);
    let mut line = |label: &str, words: &str| text.push_str(&format!("  {label}{}\n", plain(words)));
    let detail = problem.detail.as_deref().unwrap_or_default();
    // Of one of several that is refused (409) the detail says the same with its name. That fields do not read (422) is told of each.
    let is_named = |e: &FieldProblem| problem.status == 409 && detail.ends_with(&e.problem);
    let fields: Vec<String> = problem
        .errors
        .iter()
        .filter(|e| !is_named(e))
        .map(|e| format!("{}: {}", e.pointer, e.problem))
        .collect();
    // The detail often repeats the title, the only field, or what uses it: each is told once.
    if !detail.is_empty() && detail != problem.title && !fields.iter().any(|field| field == detail) {
        line("", detail);
    }
    fields.iter().for_each(|field| line("", field));
    if let Some(used_by) = problem
        .used_by
        .as_deref()
        .filter(|used_by| !detail.contains(*used_by))
    {
        line("used by: ", used_by);
    }
    if let Some(operation) = &problem.operation {
        line(
            "at work: ",
            &format!(
                "velum operation wait {}",
                operation.rsplit('/').next().unwrap_or(operation)
            ),
        );
    }
    if problem.status == 401 {
        line(
            "",
            "Give the token with --token-file, VELUM_TOKEN or VELUM_TOKEN_FILE; velumd keeps its own in <data>/admin.token.",
        );
    }
    if !problem.refusals.is_empty() {
        let table = refusals(&problem.refusals);
        table.lines().for_each(|l| text.push_str(&format!("  {l}\n")));
    }
    if let Some(request) = problem.request_id.as_deref().filter(|_| problem.status >= 500) {
        text.push_str(&format!("  request: {}\n", plain(request)));
    }
    text
}

/// How many were refused for which reason, as a table.
pub fn refusals(refusals: &[RefusalView]) -> String {
    let row = |r: &RefusalView| vec![r.hosts.to_string(), plain(&r.reason), plain(&r.words)];
    table::list(
        &["HOSTS", "REASON", "WHY"],
        refusals.iter().map(row).collect(),
        None,
    )
}

/// The error with its causes, each once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = plain(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = plain(&error.to_string());
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use velum_wire::{FieldProblem, RefusalView};

    use super::*;

    fn problem(kind: &str) -> Problem {
        Problem {
            kind: format!("/problems/{kind}"),
            title: "No room".into(),
            status: 409,
            detail: Some("no compute host\u{1b}[31m has room".into()),
            errors: vec![FieldProblem {
                pointer: "/name".into(),
                problem: "is empty".into(),
            }],
            operation: None,
            refusals: vec![RefusalView {
                reason: "memory".into(),
                words: "not enough memory free".into(),
                hosts: 12,
            }],
            used_by: None,
            digest: None,
            asks: Vec::new(),
            grant: None,
            request_id: None,
        }
    }

    #[test]
    fn a_problem_is_told_whole_and_without_its_escapes() {
        let text = render_problem(&problem("no-capacity"));
        let expected = "error: No room (409)\n  no compute host has room\n  /name: is empty\n  HOSTS  REASON  WHY\n  12     \
                        memory  not enough memory free\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn lack_of_room_and_refusal_end_differently() {
        let code = |kind: &str| Failure::Client(ClientError::Problem(Box::new(problem(kind)))).code();
        assert_eq!((code("no-capacity"), code("invalid")), (5, 1));
        assert_eq!(
            (Failure::usage("x").code(), Failure::Operation("x".into()).code()),
            (2, 4)
        );
    }
}
