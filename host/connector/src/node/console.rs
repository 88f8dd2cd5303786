//! A console: a connection of its own that carries nothing else once it is open.

use std::{io, pin::Pin};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use velum_model::{
    fault::{Fault, code},
    port::node::stream::{ByteStream, Reader, Writer},
};

use super::{QUESTION, link, place::Place};
use crate::message::{Request, Verb};

/// What one read takes at most: a serial line writes a few bytes at a time, a boot a few KiB.
const READ: usize = 8 << 10;

pub(super) async fn open(place: &Place, verb: Verb) -> Result<ByteStream, Fault> {
    let request = Request {
        id: 0,
        deadline_ms: u32::try_from(QUESTION.as_millis()).unwrap_or(u32::MAX),
        fence: None,
        effect: None,
        verb,
    };
    let opening = async {
        let (mut halves, _) = link::greeted(place).await?;
        link::first_exchange(&mut halves, &request).await?;
        Ok(halves)
    };
    let halves = tokio::time::timeout(QUESTION, opening)
        .await
        .map_err(|_| Fault::unchanged(code::DEADLINE, "velum-node did not open the console in time"))??;
    Ok(ByteStream {
        reader: Box::new(Reading(halves.reader)),
        writer: Box::new(Writing(halves.writer)),
    })
}

struct Reading(Box<dyn AsyncRead + Send + Sync + Unpin>);

impl Reader for Reading {
    fn read(&mut self) -> Pin<Box<dyn Future<Output = io::Result<Vec<u8>>> + Send + '_>> {
        Box::pin(async move {
            let mut bytes = vec![0; READ];
            let count = self.0.read(&mut bytes).await?;
            bytes.truncate(count);
            Ok(bytes)
        })
    }
}

struct Writing(Box<dyn AsyncWrite + Send + Sync + Unpin>);

impl Writer for Writing {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'a>> {
        Box::pin(async move {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        })
    }
}
