//! Image stores: a directory of a node, and an HTTP endpoint.

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::Instant;
use uuid::Uuid;
use velum_model::{
    fault::{Fault, code},
    port::image::{ImageStore, InspectedImage},
};

use crate::{
    http::{HttpConnector, HttpRequest, HttpResponse},
    message::{Verb, frame::MAX_BODY, image::ImageVerb},
    node::{NodeClient, QUESTION},
};

/// How long one ask for the end of an upload waits before it is asked again.
const FINISH_ASK: Duration = Duration::from_secs(60);
/// How long hashing and converting an image may take altogether: 100 GiB at 100 MB/s read twice is 36 minutes.
const FINISH: Duration = Duration::from_secs(60 * 60);
/// How long a chunk may take to be on disk.
const WRITE: Duration = Duration::from_secs(30);

/// An image store in a directory of a node.
#[derive(Clone, Debug)]
pub struct DirectoryStore {
    node: NodeClient,
    directory: String,
}

impl DirectoryStore {
    /// The store in `directory` of `node`.
    #[must_use]
    pub fn new(node: NodeClient, directory: impl Into<String>) -> Self {
        Self {
            node,
            directory: directory.into(),
        }
    }

    fn verb(&self, verb: ImageVerb) -> Verb {
        Verb::Image {
            directory: self.directory.clone(),
            verb,
        }
    }
}

#[async_trait]
impl ImageStore for DirectoryStore {
    async fn probe(&self) -> Result<u64, Fault> {
        self.node.ask(self.verb(ImageVerb::Probe), QUESTION).await
    }

    async fn received(&self, image: Uuid) -> Result<u64, Fault> {
        self.node
            .ask(self.verb(ImageVerb::Received { image }), QUESTION)
            .await
    }

    async fn write(&self, image: Uuid, offset: u64, chunk: Vec<u8>) -> Result<u64, Fault> {
        // A caller's chunk may be longer than what one message carries.
        let mut length = offset;
        for piece in chunk.chunks(MAX_BODY) {
            let verb = self.verb(ImageVerb::Write {
                image,
                offset: length,
            });
            (length, _) = self.node.exchange(verb, None, WRITE, piece.to_vec()).await?;
        }
        Ok(length)
    }

    async fn finish(&self, image: Uuid, format: u16, sha256: &str) -> Result<InspectedImage, Fault> {
        let until = Instant::now() + FINISH;
        loop {
            let verb = self.verb(ImageVerb::Finish {
                image,
                format,
                sha256: sha256.to_owned(),
            });
            match self.node.ask(verb, FINISH_ASK).await {
                // The node works on; asking again joins the same work.
                Err(fault) if fault.code == code::DEADLINE && Instant::now() < until => {}
                other => return other,
            }
        }
    }

    async fn remove(&self, image: Uuid) -> Result<(), Fault> {
        self.node.ask(self.verb(ImageVerb::Remove { image }), WRITE).await
    }
}

/// An image store behind HTTP:
///
/// | request | answer |
/// |---|---|
/// | `GET {endpoint}/images` | `{"free_bytes": N}` |
/// | `GET {endpoint}/images/{id}` | `{"received": N}`; 404 = nothing arrived |
/// | `PUT {endpoint}/images/{id}?offset=N`, bytes | `{"received": N}`; 409 = another offset is wanted |
/// | `POST {endpoint}/images/{id}/finish`, `{"format": 1, "sha256": "…"}` | the inspected image; 422 = bad image |
/// | `DELETE {endpoint}/images/{id}` | 2xx, or 404 when it never was |
#[derive(Clone, Debug)]
pub struct HttpStore {
    http: HttpConnector,
    endpoint: String,
}

#[derive(Deserialize)]
struct Free {
    free_bytes: u64,
}
#[derive(Deserialize)]
struct Arrived {
    received: u64,
}
#[derive(Serialize)]
struct Finish<'a> {
    format: u16,
    sha256: &'a str,
}
#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
    title: Option<String>,
}

impl HttpStore {
    /// The store at an endpoint.
    ///
    /// # Errors
    /// `INVALID` when the endpoint is no `http://` URL.
    pub fn new(http: HttpConnector, endpoint: &str) -> Result<Self, Fault> {
        if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(Fault::unchanged(
                code::INVALID,
                format!("{endpoint:?} is no endpoint of an image store: write http://host:port"),
            ));
        }
        Ok(Self {
            http,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        })
    }

    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        self.http.send(&self.endpoint, None, None, request).await
    }

    fn answer<T: DeserializeOwned>(&self, response: &HttpResponse) -> Result<T, Fault> {
        self.check(response)?;
        serde_json::from_slice(&response.body).map_err(|e| {
            Fault::new(
                code::NONSENSE,
                format!(
                    "the image store at {} answered something else: {e}",
                    self.endpoint
                ),
            )
        })
    }

    fn check(&self, response: &HttpResponse) -> Result<(), Fault> {
        if (200..300).contains(&response.status) {
            return Ok(());
        }
        let said = serde_json::from_slice::<Problem>(&response.body)
            .ok()
            .and_then(|p| p.detail.or(p.title))
            .unwrap_or_else(|| format!("status {}", response.status));
        let (code, unchanged) = match response.status {
            400 | 409 => (code::INVALID, true),
            401 | 403 => (code::DENIED, true),
            404 => (code::NOT_FOUND, true),
            422 => (code::BAD_IMAGE, true),
            429 | 503 => (code::BUSY, true),
            507 => (code::EXHAUSTED, true),
            _ => (code::FAILED, false),
        };
        Err(Fault {
            code,
            unchanged,
            retry_after_ms: None,
            detail: format!("the image store at {}: {said}", self.endpoint),
        })
    }
}

fn request(method: &str, path: String) -> HttpRequest {
    HttpRequest {
        method: method.to_owned(),
        path,
        ..HttpRequest::default()
    }
}

#[async_trait]
impl ImageStore for HttpStore {
    async fn probe(&self) -> Result<u64, Fault> {
        let response = self.call(request("GET", "/images".to_owned())).await?;
        Ok(self.answer::<Free>(&response)?.free_bytes)
    }

    async fn received(&self, image: Uuid) -> Result<u64, Fault> {
        let response = self.call(request("GET", format!("/images/{image}"))).await?;
        if response.status == 404 {
            return Ok(0);
        }
        Ok(self.answer::<Arrived>(&response)?.received)
    }

    async fn write(&self, image: Uuid, offset: u64, chunk: Vec<u8>) -> Result<u64, Fault> {
        let mut put = request("PUT", format!("/images/{image}"));
        put.query = vec![("offset".to_owned(), offset.to_string())];
        put.headers = vec![("content-type".to_owned(), "application/octet-stream".to_owned())];
        put.body = chunk;
        let response = self.call(put).await?;
        Ok(self.answer::<Arrived>(&response)?.received)
    }

    async fn finish(&self, image: Uuid, format: u16, sha256: &str) -> Result<InspectedImage, Fault> {
        let body = serde_json::to_vec(&Finish { format, sha256 })
            .map_err(|e| Fault::unchanged(code::INVALID, e.to_string()))?;
        let until = Instant::now() + FINISH;
        loop {
            let mut post = request("POST", format!("/images/{image}/finish"));
            post.headers = vec![("content-type".to_owned(), "application/json".to_owned())];
            post.body = body.clone();
            match self.call(post).await {
                Err(fault) if fault.code == code::DEADLINE && Instant::now() < until => {}
                other => return self.answer(&other?),
            }
        }
    }

    async fn remove(&self, image: Uuid) -> Result<(), Fault> {
        let response = self.call(request("DELETE", format!("/images/{image}"))).await?;
        if response.status == 404 {
            return Ok(());
        }
        self.check(&response)
    }
}
