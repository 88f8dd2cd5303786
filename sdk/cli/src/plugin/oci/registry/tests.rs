//! Against a registry in this process: the paths of the distribution specification that a bundle needs.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use velum_bundle::{Name, Parts, SigningKey, TrustedKey};

use super::*;

/// What it keeps: blobs and manifests by repository and reference.
#[derive(Default)]
struct Kept {
    blobs: BTreeMap<String, Bytes>,
    manifests: BTreeMap<String, Bytes>,
    /// Who may enter; everybody, if nobody is named.
    user: Option<(&'static str, &'static str)>,
    /// Where tokens are to be fetched, if not with Basic alone.
    realm: Option<String>,
    /// Where blobs are to be fetched, if not here.
    store: Option<String>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Kept>>;

/// A registry on a port of its own; it ends with the test.
async fn registry(user: Option<(&'static str, &'static str)>) -> (SocketAddr, Shared) {
    let kept = Shared::default();
    kept.lock().unwrap().user = user;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new()
        .fallback(answer)
        .layer(DefaultBodyLimit::max(1 << 20))
        .with_state(Arc::clone(&kept));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, kept)
}

async fn answer(State(kept): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().to_owned();
    let mut kept = kept.lock().unwrap();
    kept.asked.push(format!("{} {path}", parts.method));
    if path == "/token" {
        return token(&kept, &parts.headers, parts.uri.query().unwrap_or_default());
    }
    if path.starts_with("/elsewhere/") {
        // A store behind the registry: it takes nobody's credentials.
        assert!(!parts.headers.contains_key(header::AUTHORIZATION));
        let bytes = kept.blobs.get(path.trim_start_matches("/elsewhere/"));
        return found(&parts.method, bytes, "BLOB_UNKNOWN");
    }
    if !may_enter(&kept, &parts.headers) {
        let challenge = match &kept.realm {
            None => "Basic realm=\"test\"".to_owned(),
            Some(realm) => format!("Bearer realm=\"{realm}\",service=\"test\""),
        };
        let challenge = [(header::WWW_AUTHENTICATE, challenge)];
        return (StatusCode::UNAUTHORIZED, challenge, "{\"errors\":[]}").into_response();
    }
    if path == "/v2/" {
        return StatusCode::OK.into_response();
    }
    if let (Some((_, digest)), Some(store), &Method::GET) =
        (path.split_once("/blobs/sha256:"), &kept.store, &parts.method)
    {
        let place = [(header::LOCATION, format!("{store}/elsewhere/{digest}"))];
        return (StatusCode::TEMPORARY_REDIRECT, place).into_response();
    }
    if let Some((_, digest)) = path.split_once("/blobs/sha256:") {
        return found(&parts.method, kept.blobs.get(digest), "BLOB_UNKNOWN");
    }
    if let Some((repository, upload)) = path.split_once("/blobs/uploads/") {
        return match parts.method {
            Method::POST => {
                let place = format!("{repository}/blobs/uploads/1");
                (StatusCode::ACCEPTED, [(header::LOCATION, place)]).into_response()
            }
            _ => {
                assert_eq!(upload, "1");
                let query = parts.uri.query().unwrap_or_default();
                let named = query.replace("%3A", ":").replace("digest=sha256:", "");
                let is = velum_bundle::digest(&body).hex().to_owned();
                if named != is {
                    return refused(StatusCode::BAD_REQUEST, "DIGEST_INVALID");
                }
                kept.blobs.insert(is.clone(), body);
                let place = format!("{repository}/blobs/sha256:{is}");
                (StatusCode::CREATED, [(header::LOCATION, place)]).into_response()
            }
        };
    }
    if path.contains("/manifests/") {
        if parts.method != Method::PUT {
            return found(&parts.method, kept.manifests.get(&path), "MANIFEST_UNKNOWN");
        }
        // By its tag and by its digest, as registries do.
        let (repository, _) = path.split_once("/manifests/").unwrap();
        let digest = velum_bundle::digest(&body);
        kept.manifests
            .insert(format!("{repository}/manifests/{digest}"), body.clone());
        kept.manifests.insert(path.clone(), body);
        return (StatusCode::CREATED, [(header::LOCATION, path)]).into_response();
    }
    refused(StatusCode::NOT_FOUND, "UNSUPPORTED")
}

fn basic(user: (&str, &str)) -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    format!("Basic {}", STANDARD.encode(format!("{}:{}", user.0, user.1)))
}

fn may_enter(kept: &Kept, headers: &HeaderMap) -> bool {
    let Some(user) = kept.user else {
        return true;
    };
    let wanted = if kept.realm.is_some() {
        "Bearer good".to_owned()
    } else {
        basic(user)
    };
    headers
        .get(header::AUTHORIZATION)
        .is_some_and(|given| given.as_bytes() == wanted.as_bytes())
}

/// Gives a token to the one user, for the one repository.
fn token(kept: &Kept, headers: &HeaderMap, query: &str) -> Response {
    assert!(
        query.contains("scope=repository:acme/a:pull") && query.contains("service=test"),
        "{query}"
    );
    let wanted = kept.user.map(basic).unwrap_or_default();
    let given = headers.get(header::AUTHORIZATION).map(|given| given.as_bytes());
    if given == Some(wanted.as_bytes()) {
        "{\"token\":\"good\"}".into_response()
    } else {
        StatusCode::UNAUTHORIZED.into_response()
    }
}

fn found(method: &Method, bytes: Option<&Bytes>, code: &str) -> Response {
    let Some(bytes) = bytes else {
        return refused(StatusCode::NOT_FOUND, code);
    };
    let kind = [(header::CONTENT_TYPE, media::IMAGE_MANIFEST)];
    let body = if *method == Method::HEAD {
        Body::empty()
    } else {
        Body::from(bytes.clone())
    };
    (kind, body).into_response()
}

fn refused(status: StatusCode, code: &str) -> Response {
    (
        status,
        format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"no\"}}]}}"),
    )
        .into_response()
}

fn bundle() -> Bundle {
    let mut bundle = Bundle::pack(Parts {
        component: b"\0asm and so on".to_vec(),
        manifest: "name = \"a\"\nversion = \"1.0.0\"\nworld = \"placement-policy\"\n".to_owned(),
        conformance: Some(b"{\"failed\":0}".to_vec()),
    })
    .unwrap();
    let key = SigningKey::from_seed([7; 32]).unwrap();
    bundle.sign(&key, &Name::new("acme").unwrap()).unwrap();
    bundle
}

fn open(address: SocketAddr, login: Login) -> Repository {
    Repository::of(&address.to_string(), "acme/a", &Options::default(), login)
}

async fn said(repository: &mut Repository, wanted: Wanted) -> String {
    match repository.get(&wanted).await {
        Err(error) => format!("{error:#}"),
        Ok(bundle) => panic!("it was taken: {bundle:?}"),
    }
}

#[tokio::test]
async fn a_bundle_comes_back_from_a_registry_with_its_signatures() {
    let (address, kept) = registry(None).await;
    let mut repository = open(address, Login::Anonymous);
    repository.put("1.0.0", &bundle()).await.unwrap();
    let back = repository.get(&Wanted::Tag("1.0.0".to_owned())).await.unwrap();
    assert_eq!(back, bundle());
    let trusted = TrustedKey {
        publisher: Name::new("acme").unwrap(),
        key: SigningKey::from_seed([7; 32]).unwrap().public(),
        revoked: false,
    };
    assert!(back.verify(&[trusted]).is_ok());
    let pinned = Wanted::Digest(bundle().digest().clone());
    assert_eq!(repository.get(&pinned).await.unwrap(), bundle());
    let signatures = format!("/v2/acme/a/manifests/{}", media::signature_tag(bundle().digest()));
    assert!(kept.lock().unwrap().manifests.contains_key(&signatures));
    // What is there is not sent again.
    repository.put("1.0.0", &bundle()).await.unwrap();
    let uploads = |asked: &Vec<String>| asked.iter().filter(|line| line.starts_with("POST")).count();
    assert_eq!(
        uploads(&kept.lock().unwrap().asked),
        bundle().blobs().len() + bundle().signature_blobs().len()
    );
}

#[tokio::test]
async fn an_unsigned_one_comes_back_unsigned_and_an_absent_one_is_absent() {
    let (address, _kept) = registry(None).await;
    let mut repository = open(address, Login::Anonymous);
    let unsigned = Bundle::pack(Parts {
        component: bundle().component().to_vec(),
        manifest: bundle().plugin_toml().to_owned(),
        conformance: None,
    })
    .unwrap();
    repository.put("1.0.0", &unsigned).await.unwrap();
    let back = repository.get(&Wanted::Tag("1.0.0".to_owned())).await.unwrap();
    assert!(back.key_ids().is_empty());
    let words = said(&mut repository, Wanted::Tag("2.0.0".to_owned())).await;
    assert!(words.contains("has nothing under 2.0.0"), "{words}");
}

#[tokio::test]
async fn a_registry_that_changes_what_it_keeps_is_not_believed() {
    let (address, kept) = registry(None).await;
    let mut repository = open(address, Login::Anonymous);
    repository.put("1.0.0", &bundle()).await.unwrap();
    let tag = Wanted::Tag("1.0.0".to_owned());
    let component = bundle().component_digest().hex().to_owned();
    let whole = kept.lock().unwrap().blobs[&component].clone();
    let mut other = whole.to_vec();
    other[5] ^= 1;
    kept.lock().unwrap().blobs.insert(component.clone(), other.into());
    let words = said(&mut repository, tag.clone()).await;
    assert!(words.contains("component is damaged"), "{words}");
    let longer = [&whole[..], &[0; 200 << 10]].concat();
    kept.lock()
        .unwrap()
        .blobs
        .insert(component.clone(), longer.into());
    let words = said(&mut repository, tag.clone()).await;
    assert!(words.contains("longer than"), "{words}");
    kept.lock().unwrap().blobs.insert(component, whole);
    // Another manifest under the digest that was asked for.
    let place = format!("/v2/acme/a/manifests/{}", bundle().digest());
    kept.lock()
        .unwrap()
        .manifests
        .insert(place, Bytes::from_static(b"{}"));
    let words = said(&mut repository, Wanted::Digest(bundle().digest().clone())).await;
    assert!(!words.is_empty());
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so_and_who_is_comes_in() {
    let login = |password: &str| Login::Basic("alice".to_owned(), password.to_owned());
    let tag = Wanted::Tag("1.0.0".to_owned());
    for with_token in [false, true] {
        let (address, kept) = registry(Some(("alice", "secret"))).await;
        if with_token {
            kept.lock().unwrap().realm = Some(format!("http://{address}/token"));
        }
        let mut repository = open(address, login("secret"));
        repository.put("1.0.0", &bundle()).await.unwrap();
        assert_eq!(repository.get(&tag).await.unwrap(), bundle());
        let words = said(&mut open(address, login("guess")), tag.clone()).await;
        assert!(words.contains("401"), "{words}");
        let words = said(&mut open(address, Login::Anonymous), tag.clone()).await;
        assert!(words.contains("401") || words.contains("docker login"), "{words}");
    }
}

#[tokio::test]
async fn blobs_are_fetched_from_where_the_registry_says_and_credentials_stay() {
    let (address, kept) = registry(Some(("alice", "secret"))).await;
    let mut repository = open(address, Login::Basic("alice".to_owned(), "secret".to_owned()));
    repository.put("1.0.0", &bundle()).await.unwrap();
    // The same registry under another name is another host.
    kept.lock().unwrap().store = Some(format!("http://localhost:{}", address.port()));
    let tag = Wanted::Tag("1.0.0".to_owned());
    assert_eq!(repository.get(&tag).await.unwrap(), bundle());
    let elsewhere = |asked: &Vec<String>| asked.iter().any(|line| line.starts_with("GET /elsewhere/"));
    assert!(elsewhere(&kept.lock().unwrap().asked));
    // Round and round.
    kept.lock().unwrap().store = Some(format!("http://{address}/v2/acme/a/blobs/sha256:"));
    let words = said(&mut repository, tag).await;
    assert!(words.contains("more than 3 times"), "{words}");
}

#[test]
fn only_this_machine_is_spoken_to_without_tls() {
    for here in [
        "localhost",
        "localhost:5000",
        "127.0.0.1:5000",
        "127.9.9.9",
        "[::1]:5000",
    ] {
        assert!(is_this_machine(here), "{here}");
    }
    for elsewhere in [
        "ghcr.io",
        "localhost.example",
        "10.0.0.1:5000",
        "[::2]:5000",
        "127.0.0.1.example",
    ] {
        assert!(!is_this_machine(elsewhere), "{elsewhere}");
    }
}
