//! The `http` connector: requests to one origin that the operator named, done in the server.
//!
//! The plugin chooses method, path, query, body and harmless headers. The server adds the credential and the fence,
//! follows no redirect, uses no proxy, and connects to no address that cannot be an origin's.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use reqwest::{
    Client, Method, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use velum_model::fault::{Fault, code};

use crate::{credential::Credential, node::Warrant};

/// The longest body of a response: a page of a far side's inventory is a few hundred KiB, and each is in memory twice.
pub const MAX_RESPONSE: usize = 4 << 20;
/// The longest body of a request: one chunk of an image.
pub const MAX_REQUEST: usize = 4 << 20;
/// The most headers each way; more is an attack on memory, not a protocol.
const MAX_HEADERS: usize = 64;
/// The longest wait for an answer; longer work has a token to be polled.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// Headers by which a far side with a gate of its own refuses an older owner or incarnation.
pub mod stamp {
    /// The shard (UUID).
    pub const SHARD: &str = "velum-shard";
    /// Its epoch (decimal).
    pub const EPOCH: &str = "velum-epoch";
    /// The object (UUID).
    pub const OBJECT: &str = "velum-object";
    /// Its generation (decimal).
    pub const GENERATION: &str = "velum-generation";
    /// The effect (UUID).
    pub const EFFECT: &str = "velum-effect";
}

/// Headers that are the server's alone, in both directions.
const RESERVED: [&str; 17] = [
    "host",
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "www-authenticate",
    "cookie",
    "set-cookie",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "forwarded",
    "keep-alive",
    "proxy-connection",
];

/// A request as a plugin words it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// `GET`, `POST`, ….
    pub method: String,
    /// Absolute path below the origin, percent-encoded where need be, without query.
    pub path: String,
    /// Query parameters, not yet encoded.
    pub query: Vec<(String, String)>,
    /// Headers; those that are the server's own are refused.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_REQUEST`] bytes.
    pub body: Vec<u8>,
    /// At most [`MAX_TIMEOUT`]; 0 = that.
    pub timeout_ms: u32,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status.
    pub status: u16,
    /// Headers, without those that are the server's own.
    pub headers: Vec<(String, String)>,
    /// At most [`MAX_RESPONSE`] bytes.
    pub body: Vec<u8>,
}

/// Sends requests to origins. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct HttpConnector {
    client: Client,
}

impl HttpConnector {
    /// A connector with no connection yet.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the HTTP client cannot be made.
    pub fn new() -> Result<Self, Fault> {
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(Duration::from_secs(5))
            .dns_resolver(Arc::new(CheckedResolver))
            .build()
            .map_err(|e| Fault::unchanged(code::UNAVAILABLE, format!("no HTTP client: {e}")))?;
        Ok(Self { client })
    }

    /// Sends one request to `origin` (a base path in it is kept). `warrant` stamps the fence of an effect.
    ///
    /// # Errors
    /// `INVALID` and `DENIED` name what is wrong with the request, nothing was sent; `UNSUPPORTED` for a scheme that
    /// is not there; `UNREACHABLE`, `DEADLINE`; `EXHAUSTED` when the answer is longer than [`MAX_RESPONSE`].
    pub async fn send(
        &self,
        origin: &str,
        credential: Option<&Credential>,
        warrant: Option<Warrant<'_>>,
        request: HttpRequest,
    ) -> Result<HttpResponse, Fault> {
        if request.body.len() > MAX_REQUEST {
            return Err(Fault::unchanged(
                code::INVALID,
                format!(
                    "the body has {} bytes; {MAX_REQUEST} are allowed",
                    request.body.len()
                ),
            ));
        }
        let url = url_below(origin, &request.path, &request.query)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|m| *m != Method::CONNECT && *m != Method::TRACE)
            .ok_or_else(|| Fault::unchanged(code::INVALID, format!("no method {:?}", request.method)))?;
        let safe = method.is_safe();
        let mut headers = plugin_headers(&request.headers)?;
        if let Some(warrant) = warrant {
            stamp_fence(&mut headers, warrant);
        }
        let timeout = match request.timeout_ms {
            0 => MAX_TIMEOUT,
            ms => Duration::from_millis(u64::from(ms)).min(MAX_TIMEOUT),
        };
        let mut building = self.client.request(method, url).headers(headers).timeout(timeout);
        building = match credential {
            None => building,
            Some(Credential::Bearer(token)) => building.bearer_auth(token),
            Some(Credential::Basic { user, password }) => building.basic_auth(user, Some(password)),
            Some(Credential::Header { name, value }) => building.header(name, value),
        };
        if !request.body.is_empty() {
            building = building.body(request.body);
        }
        let response = building
            .send()
            .await
            .map_err(|e| far_side_fault(origin, &e, safe))?;
        read_response(origin, response, safe).await
    }
}

fn stamp_fence(headers: &mut HeaderMap, warrant: Warrant<'_>) {
    let fence = warrant.fence;
    let stamps = [
        (stamp::SHARD, fence.shard.to_string()),
        (stamp::EPOCH, fence.epoch.to_string()),
        (stamp::OBJECT, fence.object.to_string()),
        (stamp::GENERATION, fence.generation.to_string()),
        (stamp::EFFECT, warrant.effect.id.to_string()),
    ];
    for (name, value) in stamps {
        // Digits, hex and hyphens are always a header's value.
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The URL of `path` below `origin`, and nowhere else.
fn url_below(origin: &str, path: &str, query: &[(String, String)]) -> Result<Url, Fault> {
    let invalid = |what: String| Fault::unchanged(code::INVALID, what);
    let mut url = Url::parse(origin).map_err(|e| invalid(format!("{origin:?} is no origin: {e}")))?;
    match url.scheme() {
        "http" => {}
        "https" => {
            return Err(Fault::unchanged(
                code::UNSUPPORTED,
                format!("{origin}: this build has no TLS; put a local proxy in front and name it by http://"),
            ));
        }
        other => {
            return Err(invalid(format!(
                "{origin}: {other} is no scheme that the connector speaks"
            )));
        }
    }
    if !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(invalid("an origin has no user, query or fragment".to_owned()));
    }
    check_address(&url)?;
    let plain = path.starts_with('/')
        && path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'\\'))
        && path.split('/').all(|segment| !is_dots(segment));
    if !plain {
        return Err(invalid(format!(
            "{path:?} is no absolute path in ASCII without query, fragment and dot segments"
        )));
    }
    let whole = format!("{}{path}", url.path().trim_end_matches('/'));
    url.set_path(&whole);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

/// `.` and `..` in each spelling that URL parsers take for them.
fn is_dots(segment: &str) -> bool {
    matches!(
        segment.to_ascii_lowercase().replace("%2e", ".").as_str(),
        "." | ".."
    )
}

/// A literal address does not pass the resolver, so it is checked here.
fn check_address(url: &Url) -> Result<(), Fault> {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(address) if !may_connect(address) => Err(Fault::unchanged(
            code::DENIED,
            format!(
                "{address} cannot be an origin: unspecified, link-local and multicast addresses are refused"
            ),
        )),
        _ => Ok(()),
    }
}

/// Whether an origin can be there. Private and loopback addresses are where arrays and the simulated far side are;
/// link-local ones are where clouds keep their metadata services.
fn may_connect(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => may_connect(IpAddr::V4(v4)),
            None => !(v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local()),
        },
    }
}

/// Resolves names to the addresses that an origin may have, so that what was checked is what is connected to.
struct CheckedResolver;

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0))
                .await?
                .filter(|address| may_connect(address.ip()))
                .collect();
            if found.is_empty() {
                return Err(format!("{} has no address that an origin may have", name.as_str()).into());
            }
            let addresses: Addrs = Box::new(found.into_iter());
            Ok(addresses)
        })
    }
}

fn plugin_headers(given: &[(String, String)]) -> Result<HeaderMap, Fault> {
    let invalid = |what: String| Fault::unchanged(code::INVALID, what);
    if given.len() > MAX_HEADERS {
        return Err(invalid(format!(
            "{} headers; {MAX_HEADERS} are allowed",
            given.len()
        )));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| invalid(format!("{name:?} is no name of a header")))?;
        if RESERVED.contains(&name.as_str()) || name.as_str().starts_with("velum-") {
            return Err(Fault::unchanged(
                code::DENIED,
                format!("the header {name} is the server's own: leave it out"),
            ));
        }
        let value = HeaderValue::from_str(value)
            .map_err(|_| invalid(format!("the value of the header {name} has forbidden characters")))?;
        headers.append(name, value);
    }
    Ok(headers)
}

async fn read_response(
    origin: &str,
    mut response: reqwest::Response,
    safe: bool,
) -> Result<HttpResponse, Fault> {
    let status = response.status();
    if status.is_redirection() && status.as_u16() != 304 {
        return Err(Fault {
            unchanged: safe,
            ..Fault::new(
                code::DENIED,
                format!("{origin} redirects ({status}); redirects are not followed"),
            )
        });
    }
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| !RESERVED.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .take(MAX_HEADERS)
        .collect();
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|e| far_side_fault(origin, &e, safe))?
    {
        if body.len() + chunk.len() > MAX_RESPONSE {
            return Err(Fault {
                unchanged: safe,
                ..Fault::new(
                    code::EXHAUSTED,
                    format!("{origin} answered more than {MAX_RESPONSE} bytes: ask for smaller pages"),
                )
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse {
        status: status.as_u16(),
        headers,
        body,
    })
}

/// What a failure of the HTTP client means. A safe method changes nothing; nor does what never connected.
fn far_side_fault(origin: &str, error: &reqwest::Error, safe: bool) -> Fault {
    let (code, what) = if error.is_timeout() {
        (code::DEADLINE, "did not answer in time")
    } else if error.is_connect() {
        (code::UNREACHABLE, "cannot be connected to")
    } else {
        (code::UNREACHABLE, "broke off")
    };
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Fault {
        code,
        unchanged: safe || error.is_connect(),
        retry_after_ms: None,
        detail: format!("{origin} {what}: {cause}"),
    }
}

#[cfg(test)]
mod tests;
