//! What strace prints of the calls that change files, as events in the order in which they came about.

use std::{
    collections::HashMap,
    io::BufRead,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;

/// A call that changes a file or a directory, or makes a change certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Bytes at a place of a file.
    Write {
        /// Which file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What.
        data: Arc<[u8]>,
    },
    /// Bytes behind the last ones of a file that is written from its beginning.
    Append {
        /// Which file.
        path: PathBuf,
        /// What.
        data: Arc<[u8]>,
    },
    /// A new length of a file.
    Resize {
        /// Which file.
        path: PathBuf,
        /// How long it is.
        bytes: u64,
    },
    /// What was written before it began is certain once it has returned.
    Sync {
        /// Which file or directory.
        path: PathBuf,
    },
    /// A file is opened so that it is there afterwards.
    Create {
        /// Which file.
        path: PathBuf,
        /// Whether it is empty afterwards.
        truncates: bool,
    },
    /// A name is taken away.
    Remove {
        /// Which name.
        path: PathBuf,
    },
    /// A file gets another name.
    Rename {
        /// The name that goes.
        from: PathBuf,
        /// The name that comes; what had it before is gone.
        to: PathBuf,
    },
}

/// Where a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From now on it may have had its effect.
    Begins(Call),
    /// It came back. With none it failed, or the process ended in it.
    Ends(Option<u64>),
}

/// A beginning or an end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Microseconds since the Unix epoch: no later than the process went on from there.
    pub at: i64,
    /// Which call: its end has the number of its beginning.
    pub call: u64,
    /// What happened.
    pub phase: Phase,
}

/// Reads what strace wrote (`-f -y -ttt -xx`); calls about other paths than the wanted ones are left out.
///
/// # Errors
/// At a line that does not read, or a call that the model of a disk does not know.
pub fn read(lines: impl BufRead, wanted: impl Fn(&Path) -> bool) -> anyhow::Result<Vec<Event>> {
    let mut reader = Reader::default();
    for (number, line) in lines.split(b'\n').enumerate() {
        let line = line.context("could not read the record")?;
        reader
            .line(&line, &wanted)
            .with_context(|| format!("line {} of the record: {}", number + 1, shown(&line)))?;
    }
    Ok(reader.events)
}

#[derive(Default)]
struct Reader {
    events: Vec<Event>,
    calls: u64,
    /// By thread: the call that it is in, none when that is not wanted.
    under_way: HashMap<u32, Option<u64>>,
}

impl Reader {
    fn line(&mut self, line: &[u8], wanted: &impl Fn(&Path) -> bool) -> anyhow::Result<()> {
        let Ok(line) = std::str::from_utf8(line) else {
            anyhow::bail!("it is no text");
        };
        if line.is_empty() {
            return Ok(());
        }
        let (thread, rest) = line.split_once(' ').context("no thread")?;
        let thread: u32 = thread.parse().context("no thread")?;
        let (at, rest) = rest.trim_start().split_once(' ').context("no instant")?;
        let at = instant(at)?;
        // Signals, and ends of threads.
        if rest.starts_with("---") || rest.starts_with("+++") {
            return Ok(());
        }
        if rest.starts_with("<... ") {
            let call = self.under_way.remove(&thread).context("nothing was begun")?;
            if let Some(call) = call {
                self.ends(at, call, answer(rest)?);
            }
            return Ok(());
        }
        let (name, rest) = rest.split_once('(').context("no call")?;
        let (arguments, answered) = match rest.strip_suffix(" <unfinished ...>") {
            Some(arguments) => (arguments, None),
            None => {
                let (arguments, _) = rest.rsplit_once(") = ").context("no answer")?;
                // The process ended in it.
                let arguments = arguments.strip_suffix(" <unfinished ...>").unwrap_or(arguments);
                (arguments, Some(answer(rest)?))
            }
        };
        let call = call(name, &split(arguments)?)?.filter(|call| is_wanted(call, wanted));
        let number = call.map(|call| self.begins(at, call));
        match (answered, number) {
            (None, number) => {
                self.under_way.insert(thread, number);
            }
            (Some(answer), Some(number)) => self.ends(at, number, answer),
            (Some(_), None) => {}
        }
        Ok(())
    }

    fn begins(&mut self, at: i64, call: Call) -> u64 {
        self.calls += 1;
        self.events.push(Event {
            at,
            call: self.calls,
            phase: Phase::Begins(call),
        });
        self.calls
    }

    fn ends(&mut self, at: i64, call: u64, answer: Option<u64>) {
        self.events.push(Event {
            at,
            call,
            phase: Phase::Ends(answer),
        });
    }
}

fn is_wanted(call: &Call, wanted: &impl Fn(&Path) -> bool) -> bool {
    match call {
        Call::Write { path, .. }
        | Call::Append { path, .. }
        | Call::Resize { path, .. }
        | Call::Sync { path }
        | Call::Create { path, .. }
        | Call::Remove { path } => wanted(path),
        Call::Rename { from, to } => wanted(from) || wanted(to),
    }
}

/// `1795891294.338812` in microseconds.
fn instant(text: &str) -> anyhow::Result<i64> {
    let (seconds, micros) = text.split_once('.').context("no instant")?;
    anyhow::ensure!(micros.len() == 6, "the instant has no microseconds");
    Ok(seconds.parse::<i64>()? * 1_000_000 + micros.parse::<i64>()?)
}

/// What stands after the last `) = `: a number that is not negative, or nothing.
fn answer(text: &str) -> anyhow::Result<Option<u64>> {
    let (_, answer) = text.rsplit_once(") = ").context("no answer")?;
    let end = answer.find([' ', '<']).unwrap_or(answer.len());
    let answer = answer.get(..end).unwrap_or_default();
    match answer.parse::<i64>() {
        Ok(number) => Ok(u64::try_from(number).ok()),
        Err(_) if answer == "?" => Ok(None),
        Err(_) => anyhow::bail!("the answer is no number"),
    }
}

/// The arguments of a call: commas in strings and in paths of descriptors do not part them.
fn split(text: &str) -> anyhow::Result<Vec<&str>> {
    let (mut parts, mut begin, mut at) = (Vec::new(), 0, 0);
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = after(bytes, at + 1, b'"').context("a string without an end")?,
            b'<' => at = after(bytes, at + 1, b'>').context("a path without an end")?,
            b',' => {
                parts.push(text.get(begin..at).unwrap_or_default().trim());
                begin = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    parts.push(text.get(begin..).unwrap_or_default().trim());
    Ok(parts)
}

/// Where this byte is next, one that is not escaped.
fn after(bytes: &[u8], from: usize, end: u8) -> Option<usize> {
    let mut at = from;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            byte if *byte == end => return Some(at),
            _ => at += 1,
        }
    }
}

/// A call by its name and arguments; none for one that changes nothing.
fn call(name: &str, arguments: &[&str]) -> anyhow::Result<Option<Call>> {
    let argument = |n: usize| arguments.get(n).copied().context("an argument is missing");
    let number = |n: usize| -> anyhow::Result<u64> { Ok(argument(n)?.parse()?) };
    let call = match name {
        "pwrite64" | "write" => {
            let (path, data) = (descriptor(argument(0)?)?, string(argument(1)?)?);
            anyhow::ensure!(
                data.len() as u64 == number(2)?,
                "not all that was written is here"
            );
            let data = data.into();
            match name {
                "write" => Call::Append { path, data },
                _ => Call::Write {
                    path,
                    offset: number(3)?,
                    data,
                },
            }
        }
        "ftruncate" => Call::Resize {
            path: descriptor(argument(0)?)?,
            bytes: number(1)?,
        },
        "fdatasync" | "fsync" => Call::Sync {
            path: descriptor(argument(0)?)?,
        },
        "openat" => {
            let flags = argument(2)?;
            if !flags.contains("O_CREAT") && !flags.contains("O_TRUNC") {
                return Ok(None);
            }
            Call::Create {
                path: named(argument(0)?, argument(1)?)?,
                truncates: flags.contains("O_TRUNC"),
            }
        }
        "unlink" => Call::Remove {
            path: plain(argument(0)?)?,
        },
        "unlinkat" => Call::Remove {
            path: named(argument(0)?, argument(1)?)?,
        },
        "rename" => Call::Rename {
            from: plain(argument(0)?)?,
            to: plain(argument(1)?)?,
        },
        other => anyhow::bail!("nobody knows what {other} does to a disk"),
    };
    Ok(Some(call))
}

/// What a path ends with that a file had before its name was taken away.
const NAMELESS: &str = "(deleted)";

/// Whether this is the path that a file had before its name was taken away.
pub(super) fn is_nameless(path: &Path) -> bool {
    path.to_string_lossy().ends_with(NAMELESS)
}

/// The path that strace shows of a descriptor: `7</path>`, or `7</path>(deleted)`.
fn descriptor(text: &str) -> anyhow::Result<PathBuf> {
    let (_, path) = text.split_once('<').context("a descriptor without a path")?;
    let (path, after) = path.rsplit_once('>').context("a descriptor without a path")?;
    anyhow::ensure!(
        after.is_empty() || after == NAMELESS,
        "a descriptor without a path"
    );
    let mut path = unescaped(path)?;
    path.extend_from_slice(after.as_bytes());
    path_of(path)
}

/// A path beside the directory that it is meant from.
fn named(directory: &str, path: &str) -> anyhow::Result<PathBuf> {
    let path = plain(path)?;
    Ok(match path.is_absolute() {
        true => path,
        false => descriptor(directory)?.join(path),
    })
}

fn plain(text: &str) -> anyhow::Result<PathBuf> {
    path_of(string(text)?)
}

fn path_of(bytes: Vec<u8>) -> anyhow::Result<PathBuf> {
    Ok(PathBuf::from(
        String::from_utf8(bytes).context("a path is no text")?,
    ))
}

/// The bytes of a string in quotes; one that strace cut off ends with dots behind them.
fn string(text: &str) -> anyhow::Result<Vec<u8>> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    unescaped(inner.context("the string is not whole")?)
}

/// Undoes `\x2f`; other escapes are not printed with `-xx`.
fn unescaped(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = match (first, after) {
            (b'\\', [b'x', high, low, after @ ..]) => {
                bytes.push(digit(*high)? << 4 | digit(*low)?);
                after
            }
            (b'\\', _) => anyhow::bail!("an escape that is not in hexadecimal"),
            (plain, after) => {
                bytes.push(*plain);
                after
            }
        };
    }
    Ok(bytes)
}

fn digit(byte: u8) -> anyhow::Result<u8> {
    match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => anyhow::bail!("no hexadecimal digit"),
    }
}

/// A line for a message: its beginning and its end.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    match (text.get(..200), text.get(text.len().saturating_sub(100)..)) {
        (Some(head), Some(tail)) if text.len() > 300 => format!("{head} … {tail}"),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Event> {
        read(text.as_bytes(), |_| true).expect("it reads")
    }

    fn event(at: i64, call: u64, phase: Phase) -> Event {
        Event { at, call, phase }
    }

    fn sync(path: &str) -> Phase {
        Phase::Begins(Call::Sync { path: path.into() })
    }

    #[test]
    fn a_call_on_one_line_begins_and_ends() {
        let line = r#"8342  1795891294.592629 pwrite64(9</d/v.db>, "\x0d\x00\x2c\x22", 4, 8192) = 4"#;
        let write = Call::Write {
            path: "/d/v.db".into(),
            offset: 8192,
            data: [0x0d, 0, b',', b'"'].into(),
        };
        let at = 1_795_891_294_592_629;
        assert_eq!(
            all(line),
            [
                event(at, 1, Phase::Begins(write)),
                event(at, 1, Phase::Ends(Some(4)))
            ]
        );
    }

    #[test]
    fn what_is_written_without_a_place_comes_behind() {
        let append = Call::Append {
            path: "/d/t".into(),
            data: [0x61].into(),
        };
        let line = r#"8342  5.000001 write(9</d/t>, "\x61", 1) = 1"#;
        let first = all(line).into_iter().next().expect("it begins");
        assert_eq!(first, event(5_000_001, 1, Phase::Begins(append)));
    }

    #[test]
    fn calls_of_several_threads_are_told_apart() {
        let lines = r"8394  1795891294.338812 fdatasync(7<\x2f\x64\x2f\x77> <unfinished ...>
8396  1795891294.340811 fdatasync(12<\x2f\x64> <unfinished ...>
8394  1795891294.341528 <... fdatasync resumed>) = 0
8396  1795891294.341626 <... fdatasync resumed>) = -1 EIO (Input/output error)
";
        let base = 1_795_891_294_000_000;
        assert_eq!(
            all(lines),
            [
                event(base + 338_812, 1, sync("/d/w")),
                event(base + 340_811, 2, sync("/d")),
                event(base + 341_528, 1, Phase::Ends(Some(0))),
                event(base + 341_626, 2, Phase::Ends(None)),
            ]
        );
    }

    #[test]
    fn what_is_opened_removed_and_renamed_has_its_path() {
        let lines = r#"1  5.000001 openat(AT_FDCWD</d>, "\x77", O_RDWR|O_CREAT|O_CLOEXEC, 0644 <unfinished ...>
1  5.000002 <... openat resumed>) = 11</d/w>
1  5.000003 openat(AT_FDCWD</d>, "\x2f\x64\x2f\x77", O_RDONLY|O_CLOEXEC) = 11</d/w>
1  5.000004 ftruncate(11</d/w>, 172032) = 0
1  5.000005 unlink("\x2f\x64\x2f\x77") = 0
1  5.000006 ftruncate(11</d/w>(deleted), 0) = 0
1  5.000007 rename("\x2f\x61", "\x2f\x62") = 0
"#;
        let calls: Vec<Call> = all(lines)
            .into_iter()
            .filter_map(|event| match event.phase {
                Phase::Begins(call) => Some(call),
                Phase::Ends(_) => None,
            })
            .collect();
        let path = PathBuf::from("/d/w");
        assert_eq!(
            calls,
            [
                Call::Create {
                    path: path.clone(),
                    truncates: false
                },
                Call::Resize {
                    path: path.clone(),
                    bytes: 172_032
                },
                Call::Remove { path },
                Call::Resize {
                    path: "/d/w(deleted)".into(),
                    bytes: 0
                },
                Call::Rename {
                    from: "/a".into(),
                    to: "/b".into()
                },
            ]
        );
    }

    #[test]
    fn a_process_that_is_killed_leaves_calls_without_an_end() {
        let lines = "7  5.000001 fdatasync(7</d/w> <unfinished ...>
8  5.000002 ftruncate(7</d/w>, 0) = ?
9  5.000002 fsync(7</d/w> <unfinished ...>) = ?
7  5.000003 <... fdatasync resumed> <unfinished ...>) = ?
8  5.000004 --- SIGTERM {si_signo=SIGTERM} ---
8  5.000005 +++ killed by SIGKILL +++
";
        let ends: Vec<(u64, Phase)> = all(lines)
            .into_iter()
            .filter(|event| matches!(event.phase, Phase::Ends(_)))
            .map(|event| (event.call, event.phase))
            .collect();
        assert_eq!(ends, [2, 3, 1].map(|call| (call, Phase::Ends(None))));
    }

    #[test]
    fn what_is_not_wanted_is_left_out_with_its_end() {
        let lines = "7  5.000001 fdatasync(7</other> <unfinished ...>
8  5.000002 fdatasync(7</d/w>) = 0
7  5.000003 <... fdatasync resumed>) = 0
";
        let events = read(lines.as_bytes(), |path| path == Path::new("/d/w")).expect("it reads");
        assert_eq!(
            events,
            [
                event(5_000_002, 1, sync("/d/w")),
                event(5_000_002, 1, Phase::Ends(Some(0))),
            ]
        );
    }

    #[test]
    fn what_is_not_whole_or_not_known_is_refused() {
        for line in [
            r#"1  5.000001 pwrite64(9</d/w>, "\x0d\x00"..., 4, 0) = 4"#,
            r#"1  5.000001 pwrite64(9</d/w>, "\x0d\x00", 4, 0) = 4"#,
            "1  5.000001 fallocate(9</d/w>, 0, 0, 4096) = 0",
            "1  5.000001 <... fdatasync resumed>) = 0",
            "1  5.000001 fdatasync(9</d/w>",
            "strace: Process 12 attached",
        ] {
            assert!(read(line.as_bytes(), |_| true).is_err(), "{line}");
        }
    }
}
