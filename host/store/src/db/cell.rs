//! Cells of a row, and how a domain value is read from one.

use std::net::Ipv4Addr;

use serde::{
    Serialize,
    de::{DeserializeOwned, value::StrDeserializer},
};
use uuid::Uuid;
use velum_model::{
    Timestamp,
    id::Id,
    name::Name,
    net::Mac,
    plugin::Digest,
    quantity::{Bytes, ExpectedLifetime, MemoryMib, Overcommit, Vcpus},
    resource::{ResourceName, Resources},
};

use crate::commit::StoreError;

/// One value of a row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
    Uuid(Uuid),
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    /// Reads the columns one after another.
    pub(crate) fn columns(&self, table: &'static str) -> Columns<'_> {
        Columns {
            row: self,
            table,
            next: 0,
        }
    }

    /// A whole row that is one value.
    pub(crate) fn only<T: FromCell>(
        &self,
        table: &'static str,
        column: &'static str,
    ) -> Result<T, StoreError> {
        self.columns(table).take(column)
    }
}

/// Takes the columns of a row in the order of its SELECT.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    table: &'static str,
    next: usize,
}

impl Columns<'_> {
    /// The next column as a `T`.
    pub(crate) fn take<T: FromCell>(&mut self, column: &'static str) -> Result<T, StoreError> {
        let cell = self.row.cells.get(self.next).unwrap_or(&Cell::Null);
        self.next += 1;
        T::from_cell(cell).map_err(|problem| StoreError::Inconsistent {
            table: self.table,
            column,
            row: self.row.cells.first().map_or_else(String::new, describe),
            problem,
        })
    }
}

pub(crate) fn describe(cell: &Cell) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Int(n) => n.to_string(),
        Cell::Text(text) => text.chars().take(64).collect(),
        Cell::Blob(bytes) => {
            Uuid::from_slice(bytes).map_or_else(|_| format!("{} bytes", bytes.len()), |id| id.to_string())
        }
        Cell::Uuid(id) => id.to_string(),
    }
}

fn unlike<T>(wanted: &str, cell: &Cell) -> Result<T, String> {
    Err(format!("{wanted} expected, found {}", describe(cell)))
}

/// What can be read from a cell. The error is in words.
pub(crate) trait FromCell: Sized {
    fn from_cell(cell: &Cell) -> Result<Self, String>;
}

impl FromCell for i64 {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        match cell {
            Cell::Int(value) => Ok(*value),
            other => unlike("a number", other),
        }
    }
}
impl FromCell for bool {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        i64::from_cell(cell).map(|n| n != 0)
    }
}
impl FromCell for Timestamp {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        i64::from_cell(cell).map(Self::from_micros)
    }
}

macro_rules! from_number {
    ($($kind:ty),*) => {$(
        impl FromCell for $kind {
            fn from_cell(cell: &Cell) -> Result<Self, String> {
                Self::try_from(i64::from_cell(cell)?).map_err(|e| e.to_string())
            }
        }
    )*};
}
from_number!(u8, u16, u32, u64);

macro_rules! from_quantity {
    ($($kind:ty),*) => {$(
        impl FromCell for $kind {
            fn from_cell(cell: &Cell) -> Result<Self, String> {
                Self::new(u64::from_cell(cell)?).map_err(|e| e.to_string())
            }
        }
    )*};
}
from_quantity!(Vcpus, MemoryMib, Bytes, Overcommit, ExpectedLifetime);

impl FromCell for String {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        match cell {
            Cell::Text(text) => Ok(text.clone()),
            other => unlike("a text", other),
        }
    }
}
impl FromCell for Vec<u8> {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        match cell {
            Cell::Blob(bytes) => Ok(bytes.clone()),
            Cell::Uuid(id) => Ok(id.as_bytes().to_vec()),
            other => unlike("bytes", other),
        }
    }
}
impl FromCell for Uuid {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        match cell {
            Cell::Uuid(id) => Ok(*id),
            Cell::Blob(bytes) => Self::from_slice(bytes).map_err(|e| e.to_string()),
            other => unlike("an id", other),
        }
    }
}
impl<Of> FromCell for Id<Of> {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        Uuid::from_cell(cell).map(Self::from_uuid)
    }
}
impl<T: FromCell> FromCell for Option<T> {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        match cell {
            Cell::Null => Ok(None),
            other => T::from_cell(other).map(Some),
        }
    }
}
impl FromCell for Name {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        Self::new(String::from_cell(cell)?).map_err(|e| e.to_string())
    }
}
impl FromCell for ResourceName {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        Self::new(String::from_cell(cell)?).map_err(|e| e.to_string())
    }
}
/// Those of what has none are null.
impl FromCell for Resources {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        Ok(Option::<Json<Self>>::from_cell(cell)?.map_or_else(Self::new, |json| json.0))
    }
}
impl FromCell for Digest {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        String::from_cell(cell)?
            .parse()
            .map_err(|e: velum_model::plugin::DigestError| e.to_string())
    }
}
impl FromCell for Ipv4Addr {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        u32::from_cell(cell).map(Self::from)
    }
}
impl FromCell for ipnet::Ipv4Net {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        String::from_cell(cell)?
            .parse()
            .map_err(|e: ipnet::AddrParseError| e.to_string())
    }
}
impl FromCell for Mac {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        let [_, _, a, b, c, d, e, f] = u64::from_cell(cell)?.to_be_bytes();
        Ok(Self([a, b, c, d, e, f]))
    }
}

/// A structure that is stored as a JSON text.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned> FromCell for Json<T> {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        match cell {
            Cell::Text(text) => serde_json::from_str(text).map(Self).map_err(|e| e.to_string()),
            other => unlike("a JSON text", other),
        }
    }
}

/// An enumeration without fields, stored under its name.
pub(crate) struct Word<T>(pub(crate) T);

impl<T: DeserializeOwned> FromCell for Word<T> {
    fn from_cell(cell: &Cell) -> Result<Self, String> {
        let Cell::Text(text) = cell else {
            return unlike("a word", cell);
        };
        let word = StrDeserializer::<serde::de::value::Error>::new(text);
        T::deserialize(word).map(Self).map_err(|e| e.to_string())
    }
}

/// The name under which an enumeration without fields is stored. Empty for anything else: no column takes that for a
/// state.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}
