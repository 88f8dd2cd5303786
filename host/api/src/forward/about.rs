//! What a request is about, and so which shard it is for.

use axum::{
    extract::{MatchedPath, Request},
    http::{HeaderMap, Method, header},
};
use uuid::Uuid;
use velum_model::ShardId;
use velum_service::{ServiceError, Services};

/// Collections whose rows belong to a shard.
const OWNED: [&str; 13] = [
    "zones",
    "affinity-groups",
    "pods",
    "clusters",
    "compute-hosts",
    "storage-pools",
    "image-stores",
    "ip-ranges",
    "networks",
    "templates",
    "instances",
    "volumes",
    "operations",
];
/// Fields of a body that name what a new resource is in, with their collections.
const PARENTS: [(&str, &str); 4] = [
    ("zone_id", "zones"),
    ("pod_id", "pods"),
    ("cluster_id", "clusters"),
    ("network_id", "networks"),
];
/// What is looked at through the owner: it holds the connections to the compute hosts.
const LOOKED_AT: [&str; 2] = ["console", "console-log"];

/// Many new ones of a zone.
const MANY_INSTANCES: &str = "instances:batch";

/// What is done with a plugin in a zone that the body names.
const FOR_A_ZONE: [&str; 2] = ["activate", "rollback"];

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A resource of a collection.
    One {
        collection: &'static str,
        id: Uuid,
        /// An upload.
        is_large: bool,
    },
    /// A resource that is to be, or something that is done in a zone: its body says where.
    New,
}

impl About {
    /// None when any server can answer it.
    pub(super) fn of(request: &Request) -> Option<Self> {
        request.extensions().get::<MatchedPath>()?;
        of(request.method(), request.uri().path(), request.headers())
    }

    /// Whether its body is passed on and not kept.
    pub(super) const fn takes_large_body(&self) -> bool {
        matches!(self, Self::One { is_large: true, .. })
    }

    /// The shard; none when it is about nothing that there is.
    pub(super) async fn shard(
        &self,
        services: &Services,
        body: &[u8],
    ) -> Result<Option<ShardId>, ServiceError> {
        match self {
            Self::One { collection, id, .. } => services.shard_of(collection, *id).await,
            Self::New => match parent(body) {
                Some((collection, id)) => services.shard_of(collection, id).await,
                None => Ok(None),
            },
        }
    }
}

fn of(method: &Method, path: &str, headers: &HeaderMap) -> Option<About> {
    let mut parts = path.strip_prefix("/v1/")?.split('/');
    let name = parts.next()?;
    if name == "plugins" {
        // A plugin is everybody's; where it is to be active is in the body.
        let verb = parts.nth(1);
        let is_for_a_zone = *method == Method::POST
            && verb.is_some_and(|verb| FOR_A_ZONE.contains(&verb))
            && is_json(headers);
        return is_for_a_zone.then_some(About::New);
    }
    if name == MANY_INSTANCES {
        let is_new = *method == Method::POST && is_json(headers);
        return is_new.then_some(About::New);
    }
    let collection = OWNED.into_iter().find(|known| *known == name)?;
    let looks = [Method::GET, Method::HEAD].contains(method);
    let Some(id) = parts.next() else {
        // A zone brings its own shard; a body of another type is refused by any server.
        let is_new = *method == Method::POST && collection != "zones" && is_json(headers);
        return is_new.then_some(About::New);
    };
    let id = id.parse().ok()?;
    let verb = parts.next();
    if looks && !verb.is_some_and(|verb| LOOKED_AT.contains(&verb)) {
        return None;
    }
    Some(About::One {
        collection,
        id,
        is_large: verb == Some("upload"),
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| {
        kind.trim_start()
            .to_ascii_lowercase()
            .starts_with("application/json")
    })
}

/// What a body says that a new resource is in.
fn parent(body: &[u8]) -> Option<(&'static str, Uuid)> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    PARENTS.into_iter().find_map(|(field, collection)| {
        let id = body.get(field)?.as_str()?.parse().ok()?;
        Some((collection, id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Uuid = Uuid::from_u128(7);

    fn about(method: Method, path: &str) -> Option<About> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, "application/json".parse().expect("a type"));
        of(&method, path, &headers)
    }

    #[test]
    fn what_changes_a_zone_goes_to_its_owner_and_reads_stay() {
        let one = |collection, is_large| {
            Some(About::One {
                collection,
                id: ID,
                is_large,
            })
        };
        let at = |rest: &str| rest.replace("ID", &ID.to_string());
        let changes = [
            (Method::POST, "/v1/instances/ID/start", one("instances", false)),
            (Method::DELETE, "/v1/volumes/ID", one("volumes", false)),
            (Method::PATCH, "/v1/zones/ID", one("zones", false)),
            (Method::PUT, "/v1/templates/ID/upload", one("templates", true)),
            (Method::GET, "/v1/instances/ID/console", one("instances", false)),
            (Method::POST, "/v1/instances", Some(About::New)),
            (Method::POST, "/v1/instances:batch", Some(About::New)),
            (Method::POST, "/v1/plugins/ID/activate", Some(About::New)),
            (Method::POST, "/v1/plugins/ID/rollback", Some(About::New)),
        ];
        for (method, path, expected) in changes {
            assert_eq!(about(method, &at(path)), expected, "{path}");
        }
        let anybodys = [
            (Method::GET, "/v1/instances"),
            (Method::GET, "/v1/instances/ID"),
            (Method::GET, "/v1/instances/ID/decision"),
            (Method::POST, "/v1/zones"),
            (Method::POST, "/v1/policies"),
            (Method::POST, "/v1/plugins"),
            (Method::GET, "/v1/plugins/ID/stats"),
            (Method::PATCH, "/v1/compute-offerings/ID"),
            (Method::POST, "/v1/instances/x/start"),
            (Method::GET, "/metrics"),
        ];
        for (method, path) in anybodys {
            assert_eq!(about(method, &at(path)), None, "{path}");
        }
    }

    #[test]
    fn a_new_resource_is_where_its_body_says() {
        let body = format!(r#"{{"name":"a","cluster_id":"{ID}"}}"#);
        assert_eq!(parent(body.as_bytes()), Some(("clusters", ID)));
        for nowhere in [
            &b"{"[..],
            b"{}",
            br#"{"zone_id":7}"#,
            br#"{"zone_id":"x"}"#,
            b"[]",
        ] {
            assert_eq!(parent(nowhere), None);
        }
    }
}
