//! A session of questions: a unit's serial number and size.

use std::{io, time::Duration};

use tokio::net::TcpStream;
use velum_model::{
    fault::{Fault, code},
    iscsi::IscsiUnit,
};

use super::{
    Login,
    login::{self, Numbers},
    pdu::{Pdu, op},
};

/// Units of data that one answer may come in, pings between them included.
const PIECES: usize = 16;
/// A unit answers its first command with what happened to it before (unit attention), and there may be two such things.
const TRIES: usize = 4;
/// How long a target may take to say goodbye: it is polite, and nothing depends on it.
const PARTING: Duration = Duration::from_millis(500);
/// SCSI statuses.
const GOOD: u8 = 0;
const CHECK_CONDITION: u8 = 2;

/// Answer to a command.
struct Done {
    status: u8,
    data: Vec<u8>,
}

/// A session with one target, for one of its units.
pub(super) struct Session<'a> {
    stream: TcpStream,
    unit: &'a IscsiUnit,
    numbers: Numbers,
    task: u32,
}

/// A connection that broke off.
pub(super) fn broken(unit: &IscsiUnit, error: &io::Error) -> Fault {
    Fault::unchanged(
        code::UNREACHABLE,
        format!("the target {} at {} broke off: {error}", unit.target, unit.portal),
    )
}

impl<'a> Session<'a> {
    /// Connects and logs in.
    ///
    /// # Errors
    /// `UNREACHABLE`, and those of the login.
    pub(super) async fn open(login: Login<'a>) -> Result<Self, Fault> {
        let unit = login.unit;
        let mut stream = TcpStream::connect(unit.portal).await.map_err(|error| {
            Fault::unchanged(
                code::UNREACHABLE,
                format!("no portal answers at {}: {error}", unit.portal),
            )
        })?;
        let numbers = login::login(&mut stream, login, isid()?).await?;
        Ok(Self {
            stream,
            unit,
            numbers,
            task: 0,
        })
    }

    /// The unit's serial number (VPD page 80h), without blanks around it.
    ///
    /// # Errors
    /// `NOT_FOUND` when there is no such unit, `NONSENSE` when it says none.
    pub(super) async fn serial(&mut self) -> Result<String, Fault> {
        const LENGTH: u8 = 252;
        let page = self
            .read(&[0x12, 1, 0x80, 0, LENGTH, 0], u32::from(LENGTH))
            .await?;
        let (Some(kind), Some(length)) = (page.first(), page.get(3)) else {
            return Err(self.nonsense("its page of the serial number is cut off"));
        };
        if kind & 0xe0 != 0 {
            return Err(self.no_unit());
        }
        if kind & 0x1f != 0 {
            return Err(self.nonsense(&format!("it is no disk but a device of type {}", kind & 0x1f)));
        }
        let text = page.get(4..4 + usize::from(*length)).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let serial = text.trim_matches([' ', '\0']);
        if serial.is_empty() || serial.chars().any(char::is_control) {
            return Err(self.nonsense("it has no serial number"));
        }
        Ok(serial.to_owned())
    }

    /// The unit's size in bytes.
    ///
    /// # Errors
    /// `NONSENSE` when it says none.
    pub(super) async fn size(&mut self) -> Result<u64, Fault> {
        const LENGTH: u8 = 32;
        let mut command = [0; 16];
        // SERVICE ACTION IN (16): READ CAPACITY (16)
        (command[0], command[1], command[13]) = (0x9e, 0x10, LENGTH);
        let data = self.read(&command, u32::from(LENGTH)).await?;
        let number = |range: std::ops::Range<usize>| {
            data.get(range)
                .map(|bytes| bytes.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)))
        };
        number(0..8)
            .zip(number(8..12))
            .and_then(|(last, block)| last.checked_add(1)?.checked_mul(block))
            .ok_or_else(|| self.nonsense("it does not say its size"))
    }

    /// Says goodbye.
    pub(super) async fn close(mut self) {
        let mut request = Pdu::new(op::LOGOUT | op::IMMEDIATE, 0x80);
        request.put(16, self.task);
        request.put(24, self.numbers.command);
        request.put(28, self.numbers.status);
        if request.send(&mut self.stream).await.is_ok() {
            let _ = tokio::time::timeout(PARTING, Pdu::receive(&mut self.stream)).await;
        }
    }

    fn no_unit(&self) -> Fault {
        Fault::unchanged(
            code::NOT_FOUND,
            format!(
                "the target {} at {} has no unit {}",
                self.unit.target, self.unit.portal, self.unit.lun
            ),
        )
    }

    fn nonsense(&self, what: &str) -> Fault {
        Fault::unchanged(
            code::NONSENSE,
            format!("the unit {} at {}: {what}", self.unit.path(), self.unit.portal),
        )
    }

    /// A command that answers data.
    async fn read(&mut self, command: &[u8], length: u32) -> Result<Vec<u8>, Fault> {
        for _ in 0..TRIES {
            let done = self.command(command, length).await?;
            match done.status {
                GOOD => return Ok(done.data),
                CHECK_CONDITION => match sense_key(&done.data) {
                    // What happened to it before we came.
                    Some(6) => {}
                    // Illegal request: there is no unit with that number.
                    Some(5) => return Err(self.no_unit()),
                    key => return Err(self.nonsense(&format!("it fails a question with sense key {key:?}"))),
                },
                other => {
                    return Err(Fault::unchanged(
                        code::BUSY,
                        format!("the unit {} answers with status {other}", self.unit.path()),
                    ));
                }
            }
        }
        Err(self.nonsense("it does not come to rest"))
    }

    async fn command(&mut self, command: &[u8], length: u32) -> Result<Done, Fault> {
        // Final, read, simple queueing.
        let mut request = Pdu::new(op::COMMAND, 0x80 | 0x40 | 1);
        let [high, low] = self.unit.lun.to_be_bytes();
        // Up to 255 as peripheral devices are numbered, above in the flat space.
        let space = if high == 0 { 0 } else { 0x40 };
        (request.header[8], request.header[9]) = (space | high, low);
        self.task += 1;
        request.put(16, self.task);
        request.put(20, length);
        request.put(24, self.numbers.command);
        request.put(28, self.numbers.status);
        request.header[32..32 + command.len()].copy_from_slice(command);
        self.numbers.command = self.numbers.command.wrapping_add(1);
        let unit = self.unit;
        request
            .send(&mut self.stream)
            .await
            .map_err(|error| broken(unit, &error))?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Done, Fault> {
        let unit = self.unit;
        let mut data = Vec::new();
        for _ in 0..PIECES {
            let piece = Pdu::receive(&mut self.stream)
                .await
                .map_err(|error| broken(unit, &error))?;
            match piece.code() {
                op::DATA_IN => {
                    data.extend_from_slice(&piece.data);
                    // The status comes along with the last data, or after it.
                    if piece.header[1] & 1 != 0 {
                        self.numbers.status = piece.number(24).wrapping_add(1);
                        return Ok(Done {
                            status: piece.header[3],
                            data,
                        });
                    }
                }
                op::RESPONSE => {
                    self.numbers.status = piece.number(24).wrapping_add(1);
                    if piece.header[2] != 0 {
                        return Err(self.nonsense("its target failed"));
                    }
                    let status = piece.header[3];
                    let data = if status == GOOD { data } else { piece.data };
                    return Ok(Done { status, data });
                }
                op::NOP_IN => {}
                other => return Err(self.nonsense(&format!("its target answers with code {other:#04x}"))),
            }
        }
        Err(self.nonsense("its target answers without end"))
    }
}

/// The sense key in the data of a response: two bytes of length, then fixed or descriptor format.
fn sense_key(data: &[u8]) -> Option<u8> {
    let sense = data.get(2..)?;
    match sense.first()? & 0x7f {
        0x70 | 0x71 => sense.get(2).map(|byte| byte & 0x0f),
        0x72 | 0x73 => sense.get(1).map(|byte| byte & 0x0f),
        _ => None,
    }
}

/// Identifier of a session: of the random kind, so that two of one initiator do not end each other.
fn isid() -> Result<[u8; 6], Fault> {
    let mut isid = [0; 6];
    rustix::rand::getrandom(&mut isid, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| Fault::unchanged(code::FAILED, format!("the system gives no chance: {error}")))?;
    isid[0] = 0x80;
    Ok(isid)
}
