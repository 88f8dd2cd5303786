//! `velum instance console`: the serial console, both ways.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::Context as _;
use bytes::Bytes;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;
use velum_client::{ConsoleFrame, ConsoleInput};

use crate::failure::Failure;

/// Ctrl-]: what telnet and virsh use to leave.
const LEAVE: u8 = 0x1d;
/// Pieces of input that wait for a slow connection; then the keyboard waits.
const QUEUED: usize = 64;
/// After piped input ended, output is shown until the guest was silent for so long.
const QUIET: std::time::Duration = std::time::Duration::from_secs(2);

/// Connects standard input and output with the console until either side ends.
pub async fn run(console: velum_client::Console) -> Result<(), Failure> {
    let on_terminal = std::io::stdin().is_terminal();
    let _raw = if on_terminal {
        Some(RawTerminal::enter()?)
    } else {
        None
    };
    if on_terminal {
        eprint!("connected; Ctrl-] leaves\r\n");
    }
    let (mut output, input) = console.split();
    let mut typing = tokio::spawn(forward(read_input(on_terminal), input));
    let mut typed_out = false;
    loop {
        tokio::select! {
            frame = output.receive() => match frame? {
                ConsoleFrame::Bytes(bytes) => show(&bytes)?,
                ConsoleFrame::Closed(reason) => {
                    typing.abort();
                    return closed(&reason, on_terminal);
                }
            },
            done = &mut typing, if !typed_out => {
                done.context("the input ended unexpectedly")??;
                if on_terminal {
                    return Ok(());
                }
                typed_out = true;
            }
            () = tokio::time::sleep(QUIET), if typed_out => return Ok(()),
        }
    }
}

fn closed(reason: &str, on_terminal: bool) -> Result<(), Failure> {
    if on_terminal {
        let reason = if reason.is_empty() {
            "the console was closed"
        } else {
            reason
        };
        eprint!("\r\n{}\r\n", crate::text::plain(reason));
    }
    Ok(())
}

/// A guest's output is the guest's terminal: it goes through as it is.
fn show(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    Ok(out
        .write_all(bytes)
        .and_then(|()| out.flush())
        .context("could not write to standard output")?)
}

async fn forward(mut typed: mpsc::Receiver<Bytes>, mut input: ConsoleInput) -> Result<(), Failure> {
    while let Some(bytes) = typed.recv().await {
        input.send(bytes).await?;
    }
    Ok(())
}

/// Reads standard input on a thread of its own, which ends with the input or with the process: a read from a terminal
/// cannot be called off.
fn read_input(leaves: bool) -> mpsc::Receiver<Bytes> {
    let (sender, receiver) = mpsc::channel(QUEUED);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut buffer = [0; 1024];
        while let Ok(n @ 1..) = stdin.read(&mut buffer) {
            let (typed, left) = until_leave(buffer.get(..n).unwrap_or_default(), leaves);
            let sent = typed.is_empty() || sender.blocking_send(Bytes::copy_from_slice(typed)).is_ok();
            if left || !sent {
                return;
            }
        }
    });
    receiver
}

/// What was typed before Ctrl-], and whether it was typed.
fn until_leave(typed: &[u8], leaves: bool) -> (&[u8], bool) {
    match typed.iter().position(|&b| leaves && b == LEAVE) {
        Some(at) => (typed.get(..at).unwrap_or_default(), true),
        None => (typed, false),
    }
}

/// The terminal without line editing and echo, which are the guest's work; as it was before when dropped.
struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    fn enter() -> Result<Self, Failure> {
        let stdin = std::io::stdin();
        let before = tcgetattr(&stdin).context("could not read the terminal's settings")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw).context("could not change the terminal's settings")?;
        Ok(Self { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that went away.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctrl_bracket_leaves_a_terminal_and_is_a_byte_in_a_pipe() {
        assert_eq!(until_leave(b"ls\r\x1dmore", true), (&b"ls\r"[..], true));
        assert_eq!(until_leave(b"ls\r\x1d", false), (&b"ls\r\x1d"[..], false));
        assert_eq!(until_leave(b"ls", true), (&b"ls"[..], false));
    }
}
