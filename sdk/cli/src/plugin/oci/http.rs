//! One request to a registry and its answer: a connection of its own, TLS 1.3 with the machine's authorities, everything
//! bounded.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header, uri::PathAndQuery};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore, crypto::ring, pki_types::ServerName},
};

/// A connection within one continent takes a tenth of it.
const CONNECT: Duration = Duration::from_secs(10);
/// A registry that sends nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(30);
/// The largest blob through a line of 1 Mbit/s.
const ANSWER: Duration = Duration::from_secs(300);

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header as text.
    pub fn header(&self, name: &header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends a request with an absolute address, and reads at most so many bytes of the answer.
pub async fn send(mut request: Request<Bytes>, most: u64) -> Result<Answer, anyhow::Error> {
    let uri = request.uri().clone();
    let authority = uri.authority().context("the address names no host")?.clone();
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let tls = uri.scheme_str() == Some("https");
    let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
    // On the connection itself the host is a header.
    let path = uri
        .path_and_query()
        .cloned()
        .unwrap_or(PathAndQuery::from_static("/"));
    *request.uri_mut() = Uri::from(path);
    let named = HeaderValue::from_str(authority.as_str()).context("the host is no header")?;
    request.headers_mut().insert(header::HOST, named);
    let agent = HeaderValue::from_static(concat!("velum/", env!("CARGO_PKG_VERSION")));
    request.headers_mut().insert(header::USER_AGENT, agent);
    let connect = || format!("could not connect to {host}:{port}");
    let stream = timeout(CONNECT, TcpStream::connect((host.as_str(), port)))
        .await
        .map_err(|_| anyhow!("it does not answer"))
        .and_then(|stream| Ok(stream?))
        .with_context(connect)?;
    if !tls {
        return exchange(stream, request, most).await;
    }
    let name = ServerName::try_from(host.clone()).with_context(connect)?;
    let connector = TlsConnector::from(Arc::new(trust()?));
    let stream = timeout(CONNECT, connector.connect(name, stream))
        .await
        .map_err(|_| anyhow!("it does not answer"))
        .and_then(|stream| Ok(stream?))
        .with_context(connect)?;
    exchange(stream, request, most).await
}

/// The authorities of this machine.
fn trust() -> Result<ClientConfig, anyhow::Error> {
    let mut roots = RootCertStore::empty();
    let (known, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if known == 0 {
        bail!("this machine trusts no certificate authority; on Debian: apt install ca-certificates");
    }
    Ok(
        ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .context("could not prepare TLS")?
            .with_root_certificates(roots)
            .with_no_client_auth(),
    )
}

async fn exchange<S>(stream: S, request: Request<Bytes>, most: u64) -> Result<Answer, anyhow::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .context("could not speak HTTP")?;
    // It carries the exchange and ends with it.
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = timeout(ANSWER, sender.send_request(request.map(Full::new)))
            .await
            .map_err(|_| anyhow!("there was no answer"))??;
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        loop {
            let frame = timeout(SILENCE, body.frame())
                .await
                .map_err(|_| anyhow!("the answer stopped half-way"))?;
            let Some(frame) = frame else { break };
            if let Ok(data) = frame?.into_data() {
                bytes.extend_from_slice(&data);
            }
            if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most {
                bail!("the answer is longer than {most} bytes");
            }
        }
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body: bytes,
        })
    }
    .await;
    driver.abort();
    answer
}
