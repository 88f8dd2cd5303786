//! Text of the server on somebody's terminal.

/// `text` without anything that moves a cursor, changes a colour or reorders what is read: escape sequences go, other
/// control characters become spaces, marks of writing direction go.
pub fn plain(text: &str) -> String {
    clean(text, |_| false)
}

/// The same, but lines stay lines.
pub fn plain_lines(text: &str) -> String {
    clean(text, |c| c == '\n' || c == '\t')
}

fn clean(text: &str, keeps: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\u{9b}' => skip_until_final(&mut chars),
            // Direction marks and overrides: a name must read as it is.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if keeps(c) => out.push(c),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// After ESC: a control sequence, a string with its end, or one more character.
fn skip_escape(chars: &mut Chars<'_>) {
    match chars.next() {
        Some('[') => skip_until_final(chars),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{9c}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some(' '..='/') => {
            while chars.next_if(|c| (' '..='/').contains(c)).is_some() {}
            chars.next();
        }
        _ => {}
    }
}

/// After CSI: parameters, then one final character.
fn skip_until_final(chars: &mut Chars<'_>) {
    while chars.next_if(|c| (' '..='?').contains(c)).is_some() {}
    chars.next_if(|c| ('@'..='~').contains(c));
}

/// `n` and the noun for so many.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Bytes as people say them: exact when it comes out even, else with one digit.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut unit = 0;
    let mut whole = n;
    let mut rest = 0;
    while whole >= 1024 && unit + 1 < UNITS.len() {
        rest = whole % 1024;
        whole /= 1024;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if rest == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{} {name}", rest * 10 / 1024)
    }
}

/// Reads a size: `10GiB`, `512M`, `1024` (bytes). Every unit is a power of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits
        .parse()
        .map_err(|_| "give a size like 10GiB, 512MiB or a number of bytes".to_owned())?;
    let unit = text
        .get(digits.len()..)
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if !unit.starts_with('i') => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(format!("'{unit}' is no unit: use KiB, MiB, GiB, TiB or PiB")),
    };
    number
        .checked_shl(shift)
        .filter(|v| v >> shift == number)
        .ok_or_else(|| "the size is too large".to_owned())
}

/// Reads memory in MiB: `512`, `512MiB`, `4GiB`.
pub fn parse_mib(text: &str) -> Result<u64, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse()
            .map_err(|_| "give a number of MiB, or a size like 4GiB".to_owned());
    }
    let bytes = parse_bytes(text)?;
    if bytes % (1 << 20) == 0 {
        Ok(bytes >> 20)
    } else {
        Err("memory is counted in whole MiB".to_owned())
    }
}

/// Reads how long something lasts, in seconds: `90s`, `15m`, `2h`, `10d`, `3w`; a bare number is seconds.
pub fn parse_seconds(text: &str) -> Result<u64, String> {
    const UNITS: [(char, u64); 5] = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400), ('w', 604_800)];
    let unit = UNITS
        .iter()
        .find_map(|&(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let (number, seconds) = unit.unwrap_or((text, 1));
    // Digits alone: a sign is no part of a length of time.
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let number: Option<u64> = is_number.then(|| number.parse().ok()).flatten();
    number
        .and_then(|number| number.checked_mul(seconds))
        .ok_or_else(|| "give a length of time like 90s, 15m, 2h, 10d or 3w".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_server_sends_can_drive_the_terminal() {
        for (sent, shown) in [
            ("web-1", "web-1"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}x", "x"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("\u{1b}(0x", "x"),
            ("\u{9b}2Jx", "x"),
            ("a\r\nb\u{8}", "a  b "),
            ("a\u{202e}b", "ab"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("größe", "größe"),
        ] {
            assert_eq!(plain(sent), shown, "{sent:?}");
        }
        assert_eq!(plain_lines("a\n\u{1b}[1mb"), "a\nb");
    }

    #[test]
    fn sizes_read_and_show_as_people_write_them() {
        for (text, n) in [
            ("0", 0),
            ("1024", 1024),
            ("10GiB", 10 << 30),
            ("10 g", 10 << 30),
            ("3MB", 3 << 20),
            ("7b", 7),
        ] {
            assert_eq!(parse_bytes(text), Ok(n), "{text}");
        }
        for bad in ["", "GiB", "-1", "1.5G", "1XiB", "99999999999P", "5i"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
        assert_eq!((parse_mib("512"), parse_mib("4GiB")), (Ok(512), Ok(4096)));
        assert!(parse_mib("1k").is_err());
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("2h", 7200),
            ("10d", 864_000),
            ("3w", 1_814_400),
        ] {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
        for bad in ["", "h", "-1h", "+1h", "1.5h", "2y", "99999999999999999999w"] {
            assert!(parse_seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(
            (bytes(0), bytes(1536), bytes(10 << 30)),
            ("0 B".into(), "1.5 KiB".into(), "10 GiB".into())
        );
    }
}
