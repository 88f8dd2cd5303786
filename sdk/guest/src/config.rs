//! Reads a flat JSON object: a policy's configuration, a target's settings. Small on purpose; a plugin that needs more
//! brings a JSON library of its own.

use std::{cell::Cell, ops::RangeInclusive};

/// How deep values that are skipped may nest: schemas of settings are flat, this only bounds the stack.
const DEPTH_MAX: u32 = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    Null,
    Flag(bool),
    Number(String),
    Text(String),
    Nested,
}

/// The fields of a JSON object, by name.
///
/// ```
/// use velum_guest::config::Config;
/// let config = Config::parse(r#"{"cpu_percent": 70}"#)?;
/// assert_eq!(config.integer("cpu_percent", 0..=100, 50)?, 70);
/// assert_eq!(config.text("flavour", "plain")?, "plain");
/// config.finish()?;
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    fields: Vec<(String, Value, Cell<bool>)>,
}

impl Config {
    /// Reads an object; an empty text is an empty object.
    ///
    /// # Errors
    /// Where the text is no JSON object.
    pub fn parse(json: &str) -> Result<Self, String> {
        let mut reader = Reader {
            bytes: json.as_bytes(),
            at: 0,
        };
        reader.blank();
        if reader.at == json.len() {
            return Ok(Self::default());
        }
        let fields = reader.object()?;
        reader.blank();
        if reader.at == json.len() {
            Ok(Self { fields })
        } else {
            Err(reader.wrong("the end"))
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let (_, value, used) = self.fields.iter().rfind(|(known, ..)| known == name)?;
        used.set(true);
        (*value != Value::Null).then_some(value)
    }

    /// A whole number within a range, or the default.
    ///
    /// # Errors
    /// When it is there and is something else.
    pub fn integer(&self, name: &str, range: RangeInclusive<i64>, default: i64) -> Result<i64, String> {
        let Some(value) = self.get(name) else {
            return Ok(default);
        };
        let number = match value {
            Value::Number(text) => text.parse().ok().filter(|number| range.contains(number)),
            _ => None,
        };
        number.ok_or_else(|| {
            format!(
                "'{name}' must be a whole number from {} to {}",
                range.start(),
                range.end()
            )
        })
    }

    /// A text, or the default.
    ///
    /// # Errors
    /// When it is there and is something else.
    pub fn text(&self, name: &str, default: &str) -> Result<String, String> {
        match self.get(name) {
            None => Ok(default.to_owned()),
            Some(Value::Text(text)) => Ok(text.clone()),
            Some(_) => Err(format!("'{name}' must be a text")),
        }
    }

    /// Yes or no, or the default.
    ///
    /// # Errors
    /// When it is there and is something else.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Flag(flag)) => Ok(*flag),
            Some(_) => Err(format!("'{name}' must be true or false")),
        }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// Names a field that nobody asked for.
    pub fn finish(&self) -> Result<(), String> {
        match self.fields.iter().find(|(_, _, used)| !used.get()) {
            None => Ok(()),
            Some((name, ..)) => Err(format!("'{name}' is not known here")),
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn wrong(&self, wanted: &str) -> String {
        format!("not a JSON object: {wanted} expected at byte {}", self.at)
    }

    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    fn eat(&mut self, wanted: &str) -> bool {
        let found = self.bytes[self.at..].starts_with(wanted.as_bytes());
        if found {
            self.at += wanted.len();
        }
        found
    }

    fn need(&mut self, wanted: &str) -> Result<(), String> {
        if self.eat(wanted) {
            Ok(())
        } else {
            Err(self.wrong(wanted))
        }
    }

    fn object(&mut self) -> Result<Vec<(String, Value, Cell<bool>)>, String> {
        let mut fields = Vec::new();
        self.need("{")?;
        self.blank();
        if self.eat("}") {
            return Ok(fields);
        }
        loop {
            let (name, value) = self.member(DEPTH_MAX)?;
            fields.push((name, value, Cell::new(false)));
            if self.eat("}") {
                return Ok(fields);
            }
            self.need(",")?;
        }
    }

    fn member(&mut self, depth: u32) -> Result<(String, Value), String> {
        self.blank();
        let name = self.string()?;
        self.blank();
        self.need(":")?;
        Ok((name, self.value(depth)?))
    }

    /// A value with the blank around it.
    fn value(&mut self, depth: u32) -> Result<Value, String> {
        self.blank();
        let value = match self.peek() {
            b'"' => Value::Text(self.string()?),
            b'{' | b'[' => self.nested(depth)?,
            b't' if self.eat("true") => Value::Flag(true),
            b'f' if self.eat("false") => Value::Flag(false),
            b'n' if self.eat("null") => Value::Null,
            b'-' | b'0'..=b'9' => self.number(),
            _ => return Err(self.wrong("a value")),
        };
        self.blank();
        Ok(value)
    }

    fn number(&mut self) -> Value {
        let start = self.at;
        while matches!(self.peek(), b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9') {
            self.at += 1;
        }
        Value::Number(String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned())
    }

    fn nested(&mut self, depth: u32) -> Result<Value, String> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.wrong("less nesting"));
        };
        let is_object = self.eat("{");
        let end = if is_object { "}" } else { "]" };
        if !is_object {
            self.need("[")?;
        }
        self.blank();
        if self.eat(end) {
            return Ok(Value::Nested);
        }
        loop {
            if is_object {
                self.member(depth)?;
            } else {
                self.value(depth)?;
            }
            if self.eat(end) {
                return Ok(Value::Nested);
            }
            self.need(",")?;
        }
    }

    fn string(&mut self) -> Result<String, String> {
        self.need("\"")?;
        let mut text = Vec::new();
        loop {
            let byte = self.peek();
            match byte {
                b'"' => {
                    self.at += 1;
                    return String::from_utf8(text).map_err(|_| self.wrong("UTF-8"));
                }
                b'\\' => {
                    self.at += 1;
                    let escaped = self.escape()?;
                    text.extend_from_slice(escaped.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..0x20 => return Err(self.wrong("the end of a text")),
                _ => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escaped = match self.peek() {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            byte @ (b'"' | b'\\' | b'/') => char::from(byte),
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.wrong("an escape")),
        };
        self.at += 1;
        Ok(escaped)
    }

    fn unicode(&mut self) -> Result<char, String> {
        let first = self.hex4()?;
        let scalar = if (0xd800..0xdc00).contains(&first) && self.eat("\\u") {
            let second = self.hex4()?;
            0x10000 + ((first - 0xd800) << 10) + (second.wrapping_sub(0xdc00) & 0x3ff)
        } else {
            first
        };
        char::from_u32(scalar).ok_or_else(|| self.wrong("a character"))
    }

    fn hex4(&mut self) -> Result<u32, String> {
        let digits = self
            .bytes
            .get(self.at..self.at + 4)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let number = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        self.at += 4;
        number.ok_or_else(|| self.wrong("four hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn fields_are_read_by_name_with_defaults() {
        let config = Config::parse(
            r#" {"a": 7, "b": "x\ny\u00e9\ud83d\ude00", "c": true, "d": {"e": [1, {}]}, "n": null} "#,
        )
        .unwrap();
        assert_eq!(config.integer("a", 0..=10, 1), Ok(7));
        assert_eq!(config.integer("z", 0..=10, 1), Ok(1));
        assert_eq!(config.integer("n", 0..=10, 3), Ok(3));
        assert_eq!(config.text("b", ""), Ok("x\nyé😀".to_owned()));
        assert_eq!(config.flag("c", false), Ok(true));
        assert_eq!(config.finish(), Err("'d' is not known here".to_owned()));
    }

    #[test]
    fn a_wrong_value_is_named() {
        let config = Config::parse(r#"{"a": 11, "b": 1.5, "c": "1"}"#).unwrap();
        for name in ["a", "b", "c"] {
            let refused = config.integer(name, 0..=10, 1).unwrap_err();
            assert_eq!(refused, format!("'{name}' must be a whole number from 0 to 10"));
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = format!("{{\"a\": {}", "[".repeat(100_000));
        for text in [
            "[]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\": 1,}",
            "{} x",
            "{\"a\": \"\\ud800\"}",
            "{\"\\u12",
            &deep,
        ] {
            assert!(Config::parse(text).is_err(), "{text:.20}");
        }
        assert!(Config::parse("").is_ok());
        assert!(Config::parse(" {} ").is_ok());
    }
}
