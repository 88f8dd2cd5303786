//! Protocol data units: 48 bytes of header, then a data segment padded to four.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Bytes of a basic header segment.
pub(super) const HEADER: usize = 48;
/// The most data that a unit of this initiator is to send: texts of a login, pages of some hundred bytes. It is also what
/// is declared (`MaxRecvDataSegmentLength`), so that more is a broken target and allocates nothing.
pub(super) const DATA_MAX: usize = 8192;

/// Operation codes.
pub(super) mod op {
    /// From the target: a ping.
    pub const NOP_IN: u8 = 0x20;
    /// A SCSI command.
    pub const COMMAND: u8 = 0x01;
    /// A login request.
    pub const LOGIN: u8 = 0x03;
    /// A logout request.
    pub const LOGOUT: u8 = 0x06;
    /// The end of a SCSI command.
    pub const RESPONSE: u8 = 0x21;
    /// A login response.
    pub const LOGIN_RESPONSE: u8 = 0x23;
    /// Data of a SCSI command.
    pub const DATA_IN: u8 = 0x25;
    /// Bit of a request that is not counted.
    pub const IMMEDIATE: u8 = 0x40;
}

/// One unit.
#[derive(Clone, Debug)]
pub(super) struct Pdu {
    pub(super) header: [u8; HEADER],
    pub(super) data: Vec<u8>,
}

impl Pdu {
    /// A request with this code and flags, no data yet.
    pub(super) const fn new(code: u8, flags: u8) -> Self {
        let mut header = [0; HEADER];
        header[0] = code;
        header[1] = flags;
        Self {
            header,
            data: Vec::new(),
        }
    }

    /// Puts a number at a place of the header.
    pub(super) fn put(&mut self, at: usize, number: u32) {
        self.header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    }

    /// A number at a place of the header.
    pub(super) fn number(&self, at: usize) -> u32 {
        self.header[at..at + 4]
            .iter()
            .fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    /// Its operation code.
    pub(super) const fn code(&self) -> u8 {
        self.header[0] & 0x3f
    }

    /// Sends it.
    pub(super) async fn send(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let length = u32::try_from(self.data.len())
            .ok()
            .filter(|_| self.data.len() <= DATA_MAX)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let mut bytes = self.header.to_vec();
        bytes[5..8].copy_from_slice(&length.to_be_bytes()[1..]);
        bytes.extend_from_slice(&self.data);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        to.write_all(&bytes).await?;
        to.flush().await
    }

    /// Receives one. Digests were not negotiated, and additional headers are passed over.
    pub(super) async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header).await?;
        let additional = usize::from(header[4]) * 4;
        let [high, middle, low] = [header[5], header[6], header[7]].map(usize::from);
        let length = high << 16 | middle << 8 | low;
        if length > DATA_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{length} bytes of data are more than the {DATA_MAX} that were declared"),
            ));
        }
        let mut rest = vec![0; additional + length.next_multiple_of(4)];
        from.read_exact(&mut rest).await?;
        Ok(Self {
            header,
            data: rest[additional..additional + length].to_vec(),
        })
    }
}
