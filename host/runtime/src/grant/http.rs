//! `velum:connect/http`: the target's origin, within the methods and path prefixes of `[capabilities.http]`.
//!
//! ```toml
//! [capabilities.http.api]        # the role; `[capabilities.http]` alone is the role `api`
//! methods = ["GET", "POST"]
//! paths = ["/v1/"]               # prefixes
//! ```

use serde_json::Value;
use velum_connector::{
    Warrant,
    credential::Credential,
    http::{HttpRequest, HttpResponse},
};
use velum_model::fault::{Fault, code};

use crate::{
    errand::{Errand, answered, millis},
    grant::secrets::spliced,
    sandbox::ask::{HttpAsk, Reply},
    world::bindings::velum::connect::http,
};

/// The role that a flat table stands for.
const FIRST_ROLE: &str = "api";
/// Methods that change nothing and need no effect.
const SAFE: [&str; 2] = ["GET", "HEAD"];

/// What one role may do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Role {
    name: String,
    methods: Vec<String>,
    paths: Vec<String>,
}

impl Role {
    fn of(name: &str, table: &Value) -> Self {
        let texts = |key: &str| -> Vec<String> {
            table
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|value| value.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            name: name.to_owned(),
            methods: texts("methods"),
            paths: texts("paths"),
        }
    }

    /// Why a request is outside of it.
    fn refuses(&self, method: &str, path: &str) -> Option<String> {
        if !self.methods.iter().any(|granted| granted == method) {
            return Some(format!(
                "the method {method} is not granted to the role {}",
                self.name
            ));
        }
        if !self.paths.iter().any(|prefix| is_below(path, prefix)) {
            return Some(format!(
                "the path {path} is not granted to the role {}",
                self.name
            ));
        }
        None
    }
}

/// `/v1/hosts` is below `/v1` and `/v1/`, `/v10` is not. A path that a far side could read as another one is below none.
fn is_below(path: &str, prefix: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let tricky =
        lower.contains("%2f") || lower.contains("%5c") || lower.contains("%2e") || path.contains("//");
    let Some(rest) = path.strip_prefix(prefix) else {
        return false;
    };
    !tricky && prefix.starts_with('/') && (prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// The roles of a grant, in the order of their names.
fn roles(grant: &Value) -> Vec<Role> {
    let Some(table) = grant.as_object() else {
        return Vec::new();
    };
    if table.contains_key("methods") || table.contains_key("paths") {
        return vec![Role::of(FIRST_ROLE, grant)];
    }
    table.iter().map(|(name, table)| Role::of(name, table)).collect()
}

/// Whether a grant can be read: each role has methods and paths.
///
/// # Errors
/// The field and what is wrong with it.
pub fn check_grant(grant: &Value) -> Result<(), (String, String)> {
    for role in roles(grant) {
        let field = format!("capabilities.http.{}", role.name);
        let methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
        if let Some(method) = role.methods.iter().find(|m| !methods.contains(&m.as_str())) {
            return Err((
                format!("{field}.methods"),
                format!("'{method}' is none of {}", methods.join(", ")),
            ));
        }
        if role.methods.is_empty() {
            return Err((format!("{field}.methods"), "is missing or empty".to_owned()));
        }
        if role.paths.is_empty() || role.paths.iter().any(|path| !path.starts_with('/')) {
            return Err((
                format!("{field}.paths"),
                "is a list of prefixes, each beginning with '/'".to_owned(),
            ));
        }
    }
    Ok(())
}

impl Errand {
    /// Answers what a guest asks of its target's origin.
    pub async fn http(&self, ask: HttpAsk) -> Reply {
        match ask {
            HttpAsk::Open { role } => answered(self.open_endpoint(&role)),
            HttpAsk::Send { endpoint, request } => {
                let response = self.exchange(endpoint, request).await;
                answered(response.map(|response| http::Response {
                    status: response.status,
                    headers: response.headers,
                    body: response.body,
                }))
            }
        }
    }

    fn role(&self, number: u32) -> Result<Role, Fault> {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        roles(self.granted("http")?)
            .into_iter()
            .nth(index)
            .ok_or_else(|| Fault::unchanged(code::INVALID, "no such endpoint"))
    }

    fn open_endpoint(&self, role: &str) -> Result<u32, Fault> {
        let number = roles(self.granted("http")?)
            .iter()
            .position(|granted| granted.name == role)
            .ok_or_else(|| self.denied(format!("the role {role} is not granted to this plugin")))?;
        if self.place.target.endpoint.is_none() {
            return Err(Fault::unchanged(code::NOT_FOUND, "the target has no endpoint"));
        }
        u32::try_from(number).map_err(|_| Fault::unchanged(code::INVALID, "no such endpoint"))
    }

    async fn exchange(&self, number: u32, request: http::Request) -> Result<HttpResponse, Fault> {
        let role = self.role(number)?;
        if let Some(why) = role.refuses(&request.method, &request.path) {
            return Err(self.denied(why));
        }
        let origin = self
            .place
            .target
            .endpoint
            .as_deref()
            .ok_or_else(|| Fault::unchanged(code::NOT_FOUND, "the target has no endpoint"))?;
        let warrant = if SAFE.contains(&request.method.as_str()) {
            self.place.warrant.clone()
        } else {
            Some(self.warrant()?)
        };
        let credential = match &self.place.target.secret {
            Some(reference) => Some(Credential::load(reference).await?),
            None => None,
        };
        let left = millis(self.left());
        let timeout_ms = match request.timeout_ms {
            0 => left,
            wanted => wanted.min(left),
        };
        let words = HttpRequest {
            method: request.method,
            path: request.path,
            query: request.query,
            headers: request.headers,
            body: self.body(request.body).await?,
            timeout_ms: timeout_ms.max(1),
        };
        let warrant = warrant.as_ref().map(|(fence, effect)| Warrant { fence, effect });
        self.within(self.ports.http.send(origin, credential.as_ref(), warrant, words))
            .await
    }

    async fn body(&self, parts: Vec<http::Part>) -> Result<Vec<u8>, Fault> {
        let mut body = Vec::new();
        for part in parts {
            match part {
                http::Part::Bytes(bytes) => body.extend_from_slice(&bytes),
                http::Part::Secret((name, encoding)) => {
                    let secret = self.secret(&name).await?;
                    body.extend_from_slice(&spliced(&secret, encoding)?);
                }
            }
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_role_allows_its_methods_below_its_prefixes_and_nothing_else() {
        let roles = roles(
            &json!({"api": {"methods": ["GET"], "paths": ["/v1/"]}, "bmc": {"methods": ["POST"], "paths": ["/redfish"]}}),
        );
        assert_eq!(roles[0].refuses("GET", "/v1/hosts"), None);
        assert!(roles[0].refuses("POST", "/v1/hosts").unwrap().contains("method"));
        for path in [
            "/v2/hosts",
            "/v1",
            "/v1/%2e%2e/admin",
            "/v1//x",
            "/v1/a%2Fb",
            "v1/",
        ] {
            assert!(roles[0].refuses("GET", path).is_some(), "{path}");
        }
        assert_eq!(roles[1].refuses("POST", "/redfish/v1"), None);
        assert!(roles[1].refuses("POST", "/redfishing").is_some());
    }

    #[test]
    fn a_flat_table_is_the_first_role_and_an_empty_one_grants_nothing() {
        let flat = roles(&json!({"methods": ["GET"], "paths": ["/"]}));
        assert_eq!(flat[0].name, "api");
        assert_eq!(flat[0].refuses("GET", "/anything"), None);
        assert!(roles(&json!({})).is_empty());
        assert!(check_grant(&json!({"api": {"methods": ["GET"], "paths": ["v1"]}})).is_err());
        assert!(check_grant(&json!({"api": {"methods": ["BREW"], "paths": ["/"]}})).is_err());
        assert!(check_grant(&json!({"api": {"methods": ["GET"]}})).is_err());
    }
}
