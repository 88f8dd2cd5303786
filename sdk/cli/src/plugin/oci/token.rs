//! How a registry lets somebody in: Basic, or a token from a realm that it names.

use anyhow::{Context as _, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use serde::Deserialize;

use super::{credentials::Login, http::send};
use crate::text::plain;

/// A token with what is said about it has 4 kB.
const TOKEN_BYTES: u64 = 64 << 10;

/// What is wanted of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// To read.
    Pull,
    /// To read and write.
    Push,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

/// The header that answers a challenge; none for who has no credentials and is asked for them.
pub async fn pass(
    challenge: &str,
    login: &Login,
    want: Want,
    repository: &str,
    scheme: &str,
) -> Result<Option<String>, anyhow::Error> {
    let basic = match login {
        Login::Basic(user, password) => {
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        Login::Anonymous | Login::Bearer(_) => None,
    };
    let Some(parameters) = strip(challenge, "Bearer ") else {
        if strip(challenge, "Basic ").is_none() {
            bail!("it asks for '{}', which is not known", plain(challenge));
        }
        return basic.map(Some).context(
            "it asks for a user and a password: docker login, or VELUM_REGISTRY_USER and VELUM_REGISTRY_PASSWORD",
        );
    };
    let realm = parameter(parameters, "realm").context("it asks for a token, and does not say from where")?;
    let actions = match want {
        Want::Pull => "pull",
        Want::Push => "pull,push",
    };
    let mut query = format!("scope={}", encoded(&format!("repository:{repository}:{actions}")));
    if let Some(service) = parameter(parameters, "service") {
        query.push_str(&format!("&service={}", encoded(service)));
    }
    let joint = if realm.contains('?') { '&' } else { '?' };
    let place: Uri = format!("{realm}{joint}{query}")
        .parse()
        .with_context(|| format!("it names '{}', which is no address", plain(realm)))?;
    // A password goes where the registry says, and never in the clear unless all of it does.
    if place.scheme_str() != Some("https") && scheme == "https" {
        bail!(
            "it wants a token from '{}', which is not behind TLS",
            plain(realm)
        );
    }
    let mut request = Request::get(place);
    if let Some(basic) = basic {
        request = request.header(header::AUTHORIZATION, basic);
    }
    let answer = send(request.body(Bytes::new())?, TOKEN_BYTES)
        .await
        .context("could not get a token")?;
    if answer.status != StatusCode::OK {
        bail!("it gave no token: {}", answer.status);
    }
    let token: Token = serde_json::from_slice(&answer.body).context("its token cannot be read")?;
    let token = token
        .token
        .or(token.access_token)
        .context("its answer has no token")?;
    Ok(Some(format!("Bearer {token}")))
}

/// What stands behind a scheme, whose case does not matter.
fn strip<'a>(challenge: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = challenge.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// A quoted parameter of a challenge.
fn parameter<'a>(parameters: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = parameters;
    loop {
        let (key, behind) = rest.split_once("=\"")?;
        let (value, behind) = behind.split_once('"')?;
        if key.trim_start_matches([',', ' ']).eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = behind;
    }
}

/// A text as a value of a query.
fn encoded(text: &str) -> String {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/,".contains(&b);
    text.bytes()
        .map(|b| {
            if fits(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let challenge = r#"bearer realm="https://auth.example/token",service="registry.example", scope="repository:a/b:pull""#;
        let parameters = strip(challenge, "Bearer ").unwrap();
        assert_eq!(parameter(parameters, "realm"), Some("https://auth.example/token"));
        assert_eq!(parameter(parameters, "service"), Some("registry.example"));
        assert_eq!(parameter(parameters, "scope"), Some("repository:a/b:pull"));
        assert_eq!(parameter(parameters, "error"), None);
        assert_eq!(parameter("realm=\"cut", "realm"), None);
        assert_eq!(encoded("a b&c=d:e/f"), "a%20b%26c%3Dd:e/f");
    }

    #[tokio::test]
    async fn a_password_is_not_sent_in_the_clear() {
        let login = Login::Basic("alice".to_owned(), "secret".to_owned());
        let challenge = "Bearer realm=\"http://127.0.0.1:1/token\"";
        let said = pass(challenge, &login, Want::Pull, "a", "https")
            .await
            .unwrap_err();
        assert!(said.to_string().contains("not behind TLS"), "{said}");
        let said = pass("Digest x", &login, Want::Pull, "a", "https")
            .await
            .unwrap_err();
        assert!(said.to_string().contains("not known"), "{said}");
    }
}
