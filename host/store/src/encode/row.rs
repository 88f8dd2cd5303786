//! The text of a row: a JSON object written field by field. A tree of values would be an allocation a field, of which
//! nothing is wanted but the text.

use serde::{Serialize, Serializer};
use uuid::Uuid;

/// Bytes that most rows of the accept path have.
const USUAL: usize = 512;

/// A row of a batch as its statement takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RowText(Vec<u8>);

impl RowText {
    /// One without fields yet.
    pub(crate) fn begin() -> Self {
        let mut text = Vec::with_capacity(USUAL);
        text.push(b'{');
        Self(text)
    }

    /// Adds a field. What does not serialize, which nothing of the model does, is null.
    pub(crate) fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.0.push(b'"');
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
        let before = self.0.len();
        if serde_json::to_writer(&mut self.0, value).is_err() {
            self.0.truncate(before);
            self.0.extend_from_slice(b"null");
        }
    }

    /// It has all its fields.
    pub(crate) fn end(mut self) -> Self {
        self.0.push(b'}');
        self
    }

    /// The rows of a batch as one array.
    pub(crate) fn batch(rows: &[Self]) -> String {
        let bytes: usize = rows.iter().map(|row| row.0.len() + 1).sum();
        let mut text = Vec::with_capacity(bytes + 2);
        text.push(b'[');
        for (n, row) in rows.iter().enumerate() {
            if n > 0 {
                text.push(b',');
            }
            text.extend_from_slice(&row.0);
        }
        text.push(b']');
        // What serde_json writes is UTF-8, and so are the names of fields.
        String::from_utf8(text).unwrap_or_else(|_| "[]".into())
    }
}

/// A row out of names and values: `row!({ "id": hex(id), "name": name })`.
macro_rules! row {
    ({ $($name:literal: $value:expr),* $(,)? }) => {{
        let mut row = $crate::encode::RowText::begin();
        $(row.field($name, &$value);)*
        row.end()
    }};
}
pub(crate) use row;

/// An id as both databases read it from JSON: 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Uuid);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut digits = Uuid::encode_buffer();
        serializer.serialize_str(self.0.simple().encode_lower(&mut digits))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn rows_are_the_json_that_they_say() {
        let id = Uuid::from_u128(0x0123_4567_89ab_cdef);
        let one = row!({ "id": Hex(id), "name": "a \"b\"\u{1}é", "none": None::<u8>, "n": -3 });
        let text = RowText::batch(&[one, RowText::begin().end()]);
        let read: Value = serde_json::from_str(&text).expect("JSON");
        let expected = json!([
            { "id": "00000000000000000123456789abcdef", "name": "a \"b\"\u{1}é", "none": null, "n": -3 },
            {}
        ]);
        assert_eq!(read, expected);
        assert_eq!(RowText::batch(&[]), "[]");
    }

    #[test]
    fn what_does_not_serialize_is_null() {
        struct Never;
        impl Serialize for Never {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("never"))
            }
        }
        let row = row!({ "a": 1, "b": Never, "c": 2 });
        assert_eq!(RowText::batch(&[row]), r#"[{"a":1,"b":null,"c":2}]"#);
    }
}
