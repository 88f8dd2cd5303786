//! Uploading templates, piece by piece.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};
use uuid::Uuid;
use velum_wire::{TemplateState, UploadView};

use crate::{ClientError, Collection, Templates, http::Ask};

/// Bytes sent at once: a lost connection costs no more than this, and both ends can hold it in memory.
const CHUNK: usize = 4 << 20;
/// How often in a row a chunk may fail before the upload is given up; what arrived stays there.
const MAX_FAILURES: u32 = 8;
/// The pause after a failure, doubled for each further one.
const PAUSE: Duration = Duration::from_millis(250);

impl Collection<'_, Templates> {
    /// Sends a piece of the image that begins at `offset`.
    ///
    /// # Errors
    /// Any [`ClientError`]; a problem when the template does not wait for these bytes.
    pub async fn upload_chunk(
        &self,
        id: Uuid,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(UploadView, Option<Uuid>), ClientError> {
        let path = format!("{}/upload", Self::path_of(id));
        let ask = Ask::put(path)
            .query("offset", offset)
            .raw("application/octet-stream", bytes);
        let reply = self.client().send(&ask).await?;
        Ok((reply.json()?, reply.operation()))
    }

    /// Uploads what is missing of the template's bytes out of `source`, which holds the whole image; goes on where an
    /// earlier upload ended, and after lost connections. Answers the operation that checks the image.
    ///
    /// # Errors
    /// Any [`ClientError`]; what arrived until then stays and the upload can be taken up again.
    pub async fn upload(
        &self,
        id: Uuid,
        source: &mut (impl AsyncRead + AsyncSeek + Unpin + Send),
        mut watch: impl FnMut(u64),
    ) -> Result<Option<Uuid>, ClientError> {
        let mut at = self.get(id).await?.received_bytes;
        let mut failures = 0;
        loop {
            watch(at);
            let chunk = read_at(source, at).await?;
            match self.upload_chunk(id, at, chunk).await {
                Ok((upload, operation)) if upload.complete => {
                    watch(upload.received_bytes);
                    return Ok(operation);
                }
                Ok((upload, _)) if upload.received_bytes > at => {
                    at = upload.received_bytes;
                    failures = 0;
                }
                Ok(_) => {
                    return Err(ClientError::unexpected(
                        "the server took a piece and has no more than before",
                    ));
                }
                Err(error) if failures < MAX_FAILURES && may_pass(&error) => {
                    tokio::time::sleep(PAUSE * 2_u32.pow(failures)).await;
                    failures += 1;
                    // Whether the lost piece arrived is not known: the server says where to go on.
                    let template = self.get(id).await?;
                    if template.state != TemplateState::Uploading {
                        return Ok(None);
                    }
                    at = template.received_bytes;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn may_pass(error: &ClientError) -> bool {
    match error {
        ClientError::Unreachable { .. } => true,
        // A piece whose answer was lost arrived: the upload goes on behind it.
        ClientError::Problem(problem) => matches!(problem.status, 429 | 503) || error.is("wrong-offset"),
        _ => false,
    }
}

async fn read_at(
    source: &mut (impl AsyncRead + AsyncSeek + Unpin + Send),
    at: u64,
) -> Result<Bytes, ClientError> {
    let broken = |source| ClientError::Source { source };
    source.seek(std::io::SeekFrom::Start(at)).await.map_err(broken)?;
    let mut chunk = BytesMut::with_capacity(CHUNK);
    while chunk.len() < CHUNK {
        let mut rest = (&mut *source).take((CHUNK - chunk.len()) as u64);
        if rest.read_buf(&mut chunk).await.map_err(broken)? == 0 {
            break;
        }
    }
    Ok(chunk.freeze())
}
