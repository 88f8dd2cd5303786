//! The messages between the server and a plugin's process: a length (little-endian `u32`), then a message in postcard's
//! encoding. Both ends are always the same program.

use std::io;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::io::{AsyncBufRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use velum_model::plugin::World;

use crate::sandbox::{
    ask::{Ask, Reply, decode, encode},
    work::{Bounds, Ended, Work},
};

/// The longest message from a plugin's process: an answer or a request carries at most the 8 MiB that may cross the sandbox,
/// and encoding adds little to texts and bytes.
pub const FROM_CHILD: usize = 16 << 20;
/// The longest message to it: the compiled code of the largest known component has 40 MiB.
pub const TO_CHILD: usize = 256 << 20;

/// Messages that wait to be written, at each end: each call in flight has one at a time, and most are small.
pub const QUEUE: usize = 64;

/// From the server.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToChild {
    /// The first message.
    Load(Load),
    /// Make a call.
    Call {
        /// Its number, unique in this process.
        call: u64,
        /// What is wanted.
        work: Work,
    },
    /// The answer to the call's ask.
    Reply {
        /// Of which call.
        call: u64,
        /// The answer.
        reply: Reply,
    },
    /// Nobody waits for the call any more.
    Abort {
        /// Which call.
        call: u64,
    },
}

/// The component.
#[derive(Debug, Serialize, Deserialize)]
pub struct Load {
    /// Its world.
    pub world: World,
    /// The optional interfaces that it has.
    pub interfaces: Vec<String>,
    /// Bounds of its calls.
    pub bounds: Bounds,
    /// Its compiled code.
    pub code: Vec<u8>,
}

/// From the plugin's process. Nothing of it is believed.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromChild {
    /// The component is loaded, or why it is not.
    Loaded(Result<(), String>),
    /// A call asks something, and waits.
    Ask {
        /// Which call.
        call: u64,
        /// What.
        ask: Ask,
    },
    /// A call ended.
    Ended {
        /// Which call.
        call: u64,
        /// How.
        end: Ended,
    },
}

/// Reads a message of at most `most` bytes; none at the end of the stream between two messages. From a buffer: its length and a
/// small message come with one call of the system.
///
/// # Errors
/// The stream's, or that the message is too long or none.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncBufRead + Unpin),
    most: usize,
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read(&mut length[..1]).await? {
        0 => return Ok(None),
        _ => from.read_exact(&mut length[1..]).await?,
    };
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(io::Error::other(format!(
            "a message of {length} bytes; {most} are allowed"
        )));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    decode(&bytes).map(Some).map_err(io::Error::other)
}

/// Writes a message of at most `most` bytes.
///
/// # Errors
/// The stream's, or that the message is too long.
pub async fn write<T: Serialize>(
    to: &mut (impl AsyncWrite + Unpin),
    message: &T,
    most: usize,
) -> io::Result<()> {
    let bytes = encode(message).map_err(io::Error::other)?;
    let length = match u32::try_from(bytes.len()) {
        Ok(length) if bytes.len() <= most => length,
        _ => {
            return Err(io::Error::other(format!(
                "a message of {} bytes; {most} are allowed",
                bytes.len()
            )));
        }
    };
    // Small messages go out in one write: each is a wake-up of the other end.
    if bytes.len() <= 64 * 1024 {
        let mut whole = Vec::with_capacity(4 + bytes.len());
        whole.extend_from_slice(&length.to_le_bytes());
        whole.extend_from_slice(&bytes);
        return to.write_all(&whole).await;
    }
    to.write_all(&length.to_le_bytes()).await?;
    to.write_all(&bytes).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_reads_as_it_was_written_and_a_giant_or_torn_one_is_an_error() {
        let mut wire = Vec::new();
        write(&mut wire, &FromChild::Loaded(Err("no".into())), 100)
            .await
            .unwrap();
        let mut from = wire.as_slice();
        let back: FromChild = read(&mut from, 100).await.unwrap().unwrap();
        assert!(matches!(back, FromChild::Loaded(Err(why)) if why == "no"));
        assert!(read::<FromChild>(&mut from, 100).await.unwrap().is_none());

        let mut giant = [0xff; 8].as_slice();
        assert!(read::<FromChild>(&mut giant, FROM_CHILD).await.is_err());
        let mut torn = &wire[..wire.len() - 1];
        assert!(read::<FromChild>(&mut torn, 100).await.is_err());
        let mut longer = wire.clone();
        longer[0] += 1;
        longer.push(0);
        assert!(
            read::<FromChild>(&mut longer.as_slice(), 100).await.is_err(),
            "bytes behind a message"
        );
        assert!(
            write(&mut Vec::new(), &FromChild::Loaded(Err("x".repeat(200))), 100)
                .await
                .is_err()
        );
    }
}
