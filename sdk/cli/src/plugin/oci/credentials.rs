//! What a registry is told about who asks: the environment, or what `docker login` wrote.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context as _, anyhow};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{failure::Failure, plugin::file};

/// Who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password.
    Basic(String, String),
    /// Whoever has this token.
    Bearer(String),
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Passwords and tokens are not printed.
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic(..) => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// A configuration of Docker with a hundred registries has 20 kB.
const CONFIG_BYTES: u64 = 1 << 20;

/// What is known of a registry: `VELUM_REGISTRY_TOKEN`; `VELUM_REGISTRY_USER` and `VELUM_REGISTRY_PASSWORD`; the entry of
/// `config.json` below `DOCKER_CONFIG` or `~/.docker`; nothing.
pub fn of(host: &str) -> Result<Login, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(token) = set("VELUM_REGISTRY_TOKEN") {
        return Ok(Login::Bearer(token));
    }
    match (set("VELUM_REGISTRY_USER"), set("VELUM_REGISTRY_PASSWORD")) {
        (Some(user), Some(password)) => return Ok(Login::Basic(user, password)),
        (None, None) => {}
        _ => {
            return Err(Failure::usage(
                "VELUM_REGISTRY_USER and VELUM_REGISTRY_PASSWORD go together",
            ));
        }
    }
    let folder = set("DOCKER_CONFIG")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".docker")));
    match folder.map(|folder| folder.join("config.json")) {
        Some(path) if path.is_file() => {
            let text = file::read(&path, CONFIG_BYTES)?;
            Ok(in_docker(&text, host).with_context(|| format!("could not use {}", path.display()))?)
        }
        _ => Ok(Login::Anonymous),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Docker {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

fn in_docker(text: &[u8], host: &str) -> Result<Login, anyhow::Error> {
    let docker: Docker = serde_json::from_slice(text).context("it does not parse")?;
    let login = [
        host.to_owned(),
        format!("https://{host}"),
        format!("https://{host}/v1/"),
    ]
    .iter()
    .find_map(|name| docker.auths.get(name));
    if let Some(Entry { auth: Some(auth), .. }) = login {
        let decoded = STANDARD
            .decode(auth)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| anyhow!("auths.{host}.auth is not USER:PASSWORD in base64"))?;
        return Ok(Login::Basic(user.to_owned(), password.to_owned()));
    }
    if let Some(Entry {
        username: Some(user),
        password: Some(password),
        ..
    }) = login
    {
        return Ok(Login::Basic(user.clone(), password.clone()));
    }
    // A helper is a program; which one runs with whose rights is not for a file to say.
    let helper = docker
        .cred_helpers
        .get(host)
        .or_else(|| docker.creds_store.as_ref().filter(|_| login.is_some()));
    match helper {
        Some(helper) => Err(anyhow!(
            "the credentials for {host} are in the helper '{helper}', which is not asked: set VELUM_REGISTRY_USER and \
             VELUM_REGISTRY_PASSWORD"
        )),
        None => Ok(Login::Anonymous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_login_wrote_is_read() {
        let basic = |user: &str, password: &str| Login::Basic(user.to_owned(), password.to_owned());
        let of = |text: &str| in_docker(text.as_bytes(), "r.example:5000");
        assert_eq!(
            of(r#"{"auths": {"r.example:5000": {"auth": "YWxpY2U6YTpi"}}}"#).unwrap(),
            basic("alice", "a:b")
        );
        assert_eq!(
            of(r#"{"auths": {"https://r.example:5000": {"username": "u", "password": "p"}}}"#).unwrap(),
            basic("u", "p")
        );
        assert_eq!(
            of(r#"{"auths": {"other": {"auth": "eDp5"}}}"#).unwrap(),
            Login::Anonymous
        );
        assert_eq!(of(r#"{"credsStore": "desktop"}"#).unwrap(), Login::Anonymous);
        for (odd, word) in [
            ("[]", "parse"),
            (r#"{"auths": {"r.example:5000": {"auth": "%"}}}"#, "base64"),
            (r#"{"credHelpers": {"r.example:5000": "gcloud"}}"#, "gcloud"),
            (
                r#"{"auths": {"r.example:5000": {}}, "credsStore": "pass"}"#,
                "pass",
            ),
        ] {
            let said = of(odd).unwrap_err().to_string();
            assert!(said.contains(word), "{odd} -> {said}");
        }
    }
}
