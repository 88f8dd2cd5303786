//! A row of a batch: values under names.

use serde::{
    Serialize, Serializer,
    ser::{Error as _, Impossible},
};
use uuid::Uuid;

use crate::db::Value;

/// What [`Hex`] and [`Hexed`] call themselves, so that [`Values`] knows them.
const RAW: &str = "velum:raw";
/// What is not there. Its kind does not matter: a row's column has one of its own.
const NULL: Value = Value::Text(None);

/// A row of a batch as its statement takes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RowValues {
    /// Of each value.
    names: &'static [&'static str],
    values: Vec<Value>,
}

impl RowValues {
    /// One of as many values as names.
    pub(crate) fn new(names: &'static [&'static str], values: Vec<Value>) -> Self {
        Self { names, values }
    }

    /// Puts the values of these columns behind `into`; what the row does not have is null.
    pub(crate) fn take(mut self, columns: &Places, into: &mut Vec<Value>) {
        let of = |place: &Option<usize>| {
            let value = place.and_then(|place| self.values.get_mut(place));
            value.map_or(NULL, |value| std::mem::replace(value, NULL))
        };
        into.extend(columns.at.iter().map(of));
    }
}

/// Where the columns of a statement are among the values of a row.
pub(crate) struct Places {
    names: &'static [&'static str],
    at: Vec<Option<usize>>,
}

impl Places {
    /// Those of columns in rows like this.
    pub(crate) fn of(columns: &[&str], row: &RowValues) -> Self {
        let place = |column: &&str| row.names.iter().position(|name| name == column);
        Self {
            names: row.names,
            at: columns.iter().map(place).collect(),
        }
    }

    /// Whether they are those of this row too.
    pub(crate) fn fit(&self, row: &RowValues) -> bool {
        std::ptr::eq(self.names, row.names) || self.names == row.names
    }
}

/// A row out of names and values: `row!({ "id": hex(id), "name": name })`.
macro_rules! row {
    ({ $($name:literal: $value:expr),* $(,)? }) => {
        $crate::encode::RowValues::new(&[$($name),*], vec![$($crate::encode::value(&$value)),*])
    };
}
pub(crate) use row;

/// A field as the database is given it: what is not one value as JSON text.
pub(crate) fn value<T: Serialize + ?Sized>(of: &T) -> Value {
    of.serialize(Values { is_raw: false })
        .unwrap_or_else(|_| serde_json::to_string(of).map_or(NULL, Value::from))
}

/// An id: 16 bytes, as JSON 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hex(pub(crate) Uuid);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(RAW, &RawId(self.0))
    }
}

/// Bytes, as JSON hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hexed<'b>(pub(crate) &'b [u8]);

impl Serialize for Hexed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(RAW, &RawBytes(self.0))
    }
}

struct RawId(Uuid);

impl Serialize for RawId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            let mut digits = Uuid::encode_buffer();
            serializer.serialize_str(self.0.simple().encode_lower(&mut digits))
        } else {
            serializer.serialize_u128(self.0.as_u128())
        }
    }
}

struct RawBytes<'b>(&'b [u8]);

impl Serialize for RawBytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&super::digits(self.0))
        } else {
            serializer.serialize_bytes(self.0)
        }
    }
}

/// Makes one [`Value`] of what serializes as one. It reads as JSON does (`is_human_readable`), but for ids and bytes.
#[derive(Clone, Copy)]
struct Values {
    /// It is what [`Hex`] or [`Hexed`] holds.
    is_raw: bool,
}

type Never = Impossible<Value, serde_json::Error>;

fn unfit(what: &str) -> serde_json::Error {
    serde_json::Error::custom(format_args!("{what} is not a value of a row"))
}

macro_rules! ints {
    ($($method:ident $kind:ident),*) => {$(
        fn $method(self, value: $kind) -> Result<Value, serde_json::Error> {
            Ok(Value::from(i64::from(value)))
        }
    )*};
}

impl Serializer for Values {
    type Ok = Value;
    type Error = serde_json::Error;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    ints!(serialize_bool bool, serialize_i8 i8, serialize_i16 i16, serialize_i32 i32, serialize_i64 i64);
    ints!(serialize_u8 u8, serialize_u16 u16, serialize_u32 u32);

    fn is_human_readable(&self) -> bool {
        !self.is_raw
    }

    fn serialize_u64(self, value: u64) -> Result<Value, serde_json::Error> {
        Ok(Value::from(value))
    }

    fn serialize_u128(self, value: u128) -> Result<Value, serde_json::Error> {
        Ok(Value::from(Uuid::from_u128(value)))
    }

    fn serialize_f32(self, _: f32) -> Result<Value, serde_json::Error> {
        Err(unfit("a number with a point"))
    }

    fn serialize_f64(self, _: f64) -> Result<Value, serde_json::Error> {
        Err(unfit("a number with a point"))
    }

    fn serialize_char(self, value: char) -> Result<Value, serde_json::Error> {
        Ok(Value::from(String::from(value)))
    }

    fn serialize_str(self, value: &str) -> Result<Value, serde_json::Error> {
        Ok(Value::from(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<Value, serde_json::Error> {
        Ok(Value::from(value))
    }

    fn serialize_none(self) -> Result<Value, serde_json::Error> {
        Ok(NULL)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, serde_json::Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, serde_json::Error> {
        Ok(NULL)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, serde_json::Error> {
        Ok(NULL)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
    ) -> Result<Value, serde_json::Error> {
        Ok(Value::from(word))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value, serde_json::Error> {
        let is_raw = self.is_raw || name == RAW;
        value.serialize(Self { is_raw })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
        _: &T,
    ) -> Result<Value, serde_json::Error> {
        Err(unfit(word))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, serde_json::Error> {
        Err(unfit("a list"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, serde_json::Error> {
        Err(unfit("a list"))
    }

    fn serialize_tuple_struct(self, name: &'static str, _: usize) -> Result<Never, serde_json::Error> {
        Err(unfit(name))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
        _: usize,
    ) -> Result<Never, serde_json::Error> {
        Err(unfit(word))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, serde_json::Error> {
        Err(unfit("a map"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Never, serde_json::Error> {
        Err(unfit(name))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        word: &'static str,
        _: usize,
    ) -> Result<Never, serde_json::Error> {
        Err(unfit(word))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<Value, serde_json::Error> {
        Ok(Value::from(value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef);

    #[test]
    fn ids_and_bytes_are_digits_as_json() {
        assert_eq!(
            json!([Hex(ID), Hexed(&[1, 0xfe])]),
            json!(["00000000000000000123456789abcdef", "01fe"])
        );
    }

    #[test]
    fn values_are_bound_as_they_are() {
        #[derive(Serialize)]
        struct Amount(u32);
        #[derive(Serialize)]
        #[serde(rename_all = "kebab-case")]
        enum Word {
            OneOf,
        }
        let row = row!({
            "id": Hex(ID), "raw": Hexed(&[1]), "amount": Amount(5), "word": Word::OneOf, "big": u64::MAX,
            "none": None::<Amount>, "list": [1, 2],
        });
        let places = Places::of(
            &["raw", "word", "id", "amount", "big", "none", "list", "unknown"],
            &row,
        );
        assert!(places.fit(&row) && !places.fit(&row!({ "id": 1 })));
        let mut values = Vec::new();
        row.take(&places, &mut values);
        let expected = [
            Value::Blob(Some(vec![1])),
            Value::from("one-of"),
            Value::from(ID),
            Value::from(5_u32),
            Value::from(i64::MAX),
            NULL,
            Value::from("[1,2]"),
            NULL,
        ];
        assert_eq!(values, expected);
    }
}
