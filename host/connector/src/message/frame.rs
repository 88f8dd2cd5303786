//! Frames: two lengths (big-endian `u32`), then a head (JSON) and a body (bytes, mostly none).

use serde::{Serialize, de::DeserializeOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest head: a domain's XML of 256 KiB, escaped, beside its order; a page of 256 domains has less.
pub const MAX_HEAD: usize = 1 << 20;
/// The longest body: what is in memory for each image chunk in flight, at both ends.
pub const MAX_BODY: usize = 1 << 20;

/// A frame as it travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// JSON.
    pub head: Vec<u8>,
    /// Bulk bytes.
    pub body: Vec<u8>,
}

/// Why a frame could not be read, made or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The socket failed or closed within a frame.
    #[error("reading or writing a message failed")]
    Io(#[source] std::io::Error),
    /// Longer than [`MAX_HEAD`] or [`MAX_BODY`].
    #[error("a message of {head} + {body} bytes is longer than allowed ({MAX_HEAD} + {MAX_BODY})")]
    TooLong {
        /// Length of its head.
        head: usize,
        /// Length of its body.
        body: usize,
    },
    /// The head is not the message that was expected.
    #[error("a message could not be understood")]
    Syntax(#[source] serde_json::Error),
}

impl Frame {
    /// A frame with this message and no body.
    ///
    /// # Errors
    /// [`FrameError::Syntax`] or [`FrameError::TooLong`].
    pub fn of(message: &impl Serialize) -> Result<Self, FrameError> {
        Self::with_body(message, Vec::new())
    }

    /// A frame with this message and body.
    ///
    /// # Errors
    /// [`FrameError::Syntax`] or [`FrameError::TooLong`].
    pub fn with_body(message: &impl Serialize, body: Vec<u8>) -> Result<Self, FrameError> {
        let head = serde_json::to_vec(message).map_err(FrameError::Syntax)?;
        check(head.len(), body.len())?;
        Ok(Self { head, body })
    }

    /// Its message.
    ///
    /// # Errors
    /// [`FrameError::Syntax`].
    pub fn message<T: DeserializeOwned>(&self) -> Result<T, FrameError> {
        serde_json::from_slice(&self.head).map_err(FrameError::Syntax)
    }
}

fn check(head: usize, body: usize) -> Result<(), FrameError> {
    if head > MAX_HEAD || body > MAX_BODY {
        return Err(FrameError::TooLong { head, body });
    }
    Ok(())
}

/// Reads one frame; none at the end of the stream between two frames.
///
/// # Errors
/// [`FrameError::Io`] or [`FrameError::TooLong`].
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> Result<Option<Frame>, FrameError> {
    let mut lengths = [0; 8];
    // The end of the stream is only peaceful before the first byte.
    match from.read(&mut lengths[..1]).await.map_err(FrameError::Io)? {
        0 => return Ok(None),
        _ => from.read_exact(&mut lengths[1..]).await.map_err(FrameError::Io)?,
    };
    let [a, b, c, d, e, f, g, h] = lengths;
    let head_len = u32::from_be_bytes([a, b, c, d]) as usize;
    let body_len = u32::from_be_bytes([e, f, g, h]) as usize;
    check(head_len, body_len)?;
    let mut frame = Frame {
        head: vec![0; head_len],
        body: vec![0; body_len],
    };
    from.read_exact(&mut frame.head).await.map_err(FrameError::Io)?;
    from.read_exact(&mut frame.body).await.map_err(FrameError::Io)?;
    Ok(Some(frame))
}

/// Writes one frame.
///
/// # Errors
/// [`FrameError::Io`] or [`FrameError::TooLong`].
pub async fn write(to: &mut (impl AsyncWrite + Unpin), frame: &Frame) -> Result<(), FrameError> {
    check(frame.head.len(), frame.body.len())?;
    let mut bytes = Vec::with_capacity(8 + frame.head.len() + frame.body.len());
    // Both lengths were just checked to be far below 2^32.
    bytes.extend_from_slice(&(frame.head.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&(frame.body.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&frame.head);
    bytes.extend_from_slice(&frame.body);
    to.write_all(&bytes).await.map_err(FrameError::Io)?;
    to.flush().await.map_err(FrameError::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_reads_as_it_was_written() {
        let frame = Frame::with_body(&("verb", 7), b"bytes".to_vec()).unwrap();
        let mut wire = Vec::new();
        write(&mut wire, &frame).await.unwrap();
        let mut from = wire.as_slice();
        let read_back = read(&mut from).await.unwrap().unwrap();
        assert_eq!(read_back, frame);
        assert_eq!(
            read_back.message::<(String, u8)>().unwrap(),
            ("verb".to_owned(), 7)
        );
        assert!(read(&mut from).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_torn_frame_and_a_giant_one_are_errors_and_allocate_nothing() {
        let mut torn = [0, 0, 0, 9].as_slice();
        assert!(matches!(read(&mut torn).await, Err(FrameError::Io(_))));
        let mut giant = [0xff; 8].as_slice();
        assert!(matches!(read(&mut giant).await, Err(FrameError::TooLong { .. })));
    }
}
