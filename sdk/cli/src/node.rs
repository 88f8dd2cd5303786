//! `velum node`: machines that join as nodes of their own.

use clap::{Args, Subcommand};

use crate::{failure::Failure, session::Session};

/// Machines that join the cloud, each with a velum-node of its own.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Makes a token that one machine can join with, once: `velum-node enroll --server URL --token TOKEN` there.
    ///
    /// The token is shown this once. It says also which cloud the machine is to expect, so that it joins no other.
    Token(Token),
}

/// What the token is to be.
#[derive(Args, Debug)]
pub struct Token {
    /// For how long it is good, like 30min, 1h, 2d; at most a week.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    pub valid: u32,
}

/// Runs `velum node`.
pub async fn run(session: &Session, command: Command) -> Result<(), Failure> {
    let Command::Token(token) = command;
    let made = session.client.node_token(Some(token.valid)).await?;
    session.print(&made, || format!("{}\n", made.token))?;
    session.say(&format!(
        "One machine can join with it until {}.",
        made.expires_at
    ));
    Ok(())
}

/// Reads a time in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let units = [("min", 60), ("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];
    let read = units.into_iter().find_map(|(unit, seconds)| {
        let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
        number.checked_mul(seconds)
    });
    read.ok_or_else(|| "give a time like 90s, 30min, 1h or 2d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_in_seconds() {
        let read = ["90s", "30min", "5m", "1h", "7d"].map(|text| seconds(text).expect("a time"));
        assert_eq!(read, [90, 1800, 300, 3600, 604_800]);
        for bad in [
            "",
            "1",
            "h",
            "1.5h",
            "-1h",
            "1 h",
            "1w",
            "99999999999s",
            "999999d",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }
}
