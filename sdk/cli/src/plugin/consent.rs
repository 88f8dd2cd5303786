//! What an operator says to a plugin that is to be installed: what it gets, and that it may come unsigned.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
};

use clap::Args;
use serde_json::Value;
use velum_client::{Answered, ClientError};
use velum_testkit::beyond;
use velum_wire::{InstallPluginBody, PluginView, Problem};

use crate::{args::json, failure::Failure, session::Session, table, text::plain};

/// What the operator says.
#[derive(Args, Clone, Debug, Default)]
pub struct Consent {
    /// Grant all that the plugin asks for, without a question.
    #[arg(long)]
    pub grant: bool,
    /// Grant just this of it, in the form of [capabilities] of plugin.toml.
    #[arg(long, value_name = "JSON|@FILE", conflicts_with = "grant")]
    pub grant_only: Option<String>,
    /// Install it although nobody signed it: this very component, by its digest.
    #[arg(long)]
    pub allow_unsigned: bool,
}

/// What the manifest of a plugin asks for: `[capabilities]`. Nothing where it does not read; the server says what is wrong.
pub fn wishes(manifest: &str) -> BTreeMap<String, Value> {
    let table: Option<toml::Table> = manifest.parse().ok();
    let asked = table.and_then(|table| table.get("capabilities").cloned());
    asked.and_then(|asked| asked.try_into().ok()).unwrap_or_default()
}

/// Installs as the operator says; asks on a terminal what was not said. `digest` is the component's, `wishes` what it asks for.
pub async fn install(
    session: &Session,
    mut body: InstallPluginBody,
    (digest, wishes): (String, BTreeMap<String, Value>),
    consent: &Consent,
) -> Result<Answered<PluginView>, Failure> {
    if consent.allow_unsigned {
        body.allow_unsigned = Some(digest);
    }
    if let Some(text) = &consent.grant_only {
        let grant = json(text)?;
        let wrong = |_| Failure::usage("--grant-only takes an object, as in [capabilities] of plugin.toml");
        body.grant = Some(serde_json::from_value(grant).map_err(wrong)?);
    }
    if consent.grant {
        body.grant = Some(wishes);
    }
    let plugins = session.client.plugins();
    let refused = match plugins.install_as(&body).await {
        Ok(answer) => {
            let plugin = &answer.value;
            if consent.grant_only.is_none() && !beyond(&plugin.capabilities, &plugin.granted).is_empty() {
                session
                    .say("it is granted less than it asks for, as the version before it; --grant grants all");
            }
            return Ok(answer);
        }
        Err(refused) => refused,
    };
    let Some(asked) = asked(&refused) else {
        return Err(refused.into());
    };
    if !confirmed(session, asked)? {
        return Err(refused.into());
    }
    let grant = asked.grant.clone().unwrap_or_default();
    let unread = |_| Failure::Local(anyhow::anyhow!("could not read what the plugin asks for"));
    body.grant = Some(serde_json::from_value(grant).map_err(unread)?);
    Ok(plugins.install_as(&body).await?)
}

/// The problem, if it is that nobody granted what the plugin asks for.
fn asked(error: &ClientError) -> Option<&Problem> {
    error.problem().filter(|_| error.is("grant-needed"))
}

/// Shows what is asked and waits for a word, where there is somebody to give it.
fn confirmed(session: &Session, problem: &Problem) -> Result<bool, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    session.say(&question(problem));
    eprint!("Grant this? [y/N] ");
    let read = || -> std::io::Result<String> {
        std::io::stderr().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(answer)
    };
    let answer = read().map_err(|error| anyhow::Error::new(error).context("could not read the answer"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn question(problem: &Problem) -> String {
    let rows = problem
        .asks
        .iter()
        .map(|ask| {
            let role = ask.role.as_deref().unwrap_or("-");
            vec![plain(&ask.connector), plain(role), plain(&ask.words)]
        })
        .collect();
    let digest = plain(problem.digest.as_deref().unwrap_or_default());
    format!(
        "{digest} asks for:\n\n{}",
        table::list(&["CONNECTOR", "ROLE", "WHAT IT LETS IT DO"], rows, None)
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_plugin_asks_for_is_a_table() {
        let problem: Problem = serde_json::from_value(json!({
            "type": "/problems/grant-needed", "title": "t", "status": 422, "digest": "sha256:ab",
            "asks": [
                {"connector": "http", "role": "api", "words": "HTTP requests below /v1/"},
                {"connector": "state", "words": "a little state"}
            ],
            "grant": {"http": {}, "state": {}}
        }))
        .expect("a problem");
        let text = question(&problem);
        assert!(text.starts_with("sha256:ab asks for:"), "{text}");
        assert!(
            text.contains("http       api   HTTP requests below /v1/"),
            "{text}"
        );
        assert!(text.contains("state      -     a little state"), "{text}");
    }
}
