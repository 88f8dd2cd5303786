//! What a change looks like as a row of a batch: values under the names of the columns of the statement that applies it.

pub(crate) mod affinity;
pub(crate) mod claims;
pub(crate) mod nodes;
pub(crate) mod operation;
pub(crate) mod plugins;
pub(crate) mod records;
pub(crate) mod rest;
mod row;

use serde::Serialize;
use uuid::Uuid;
use velum_model::{Timestamp, id::Id, resource::Resources};

pub(crate) use row::{Hex, Hexed, Places, RowValues, row, value};

/// A row of a batch under the id by which its statement answers.
pub(crate) type Keyed = Option<(Uuid, RowValues)>;

/// An id as both databases read it, bound or in JSON.
pub(crate) const fn hex<Of>(id: Id<Of>) -> Hex {
    Hex(id.uuid())
}

/// The same of an id that may be missing.
pub(crate) fn hex_option<Of>(id: Option<Id<Of>>) -> Option<Hex> {
    id.map(hex)
}

/// The same of a bare id.
pub(crate) const fn bare(id: Uuid) -> Hex {
    Hex(id)
}

/// Bytes as both databases read them.
pub(crate) const fn bytes(bytes: &[u8]) -> Hexed<'_> {
    Hexed(bytes)
}

/// Bytes as hexadecimal digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(
                DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0'),
            ));
        }
    }
    text
}

/// A structure as the JSON text that is stored of it. The model's types all serialize; null stands for what would not,
/// and does not read back as one.
pub(crate) fn text<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".into())
}

/// Countable resources as they are stored; none of those that have none.
pub(crate) fn resources(resources: &Resources) -> Option<String> {
    (!resources.is_empty()).then(|| text(resources))
}

/// A row that is only an id.
pub(crate) fn only<Of>(id: Id<Of>) -> Keyed {
    Some((id.uuid(), row!({ "id": hex(id) })))
}

/// The least id that can have been given at a moment: ids begin with the milliseconds since 1970 (RFC 9562, version 7), so that
/// what is older than a moment is found by the primary key.
pub(crate) fn first_id_of(at: Timestamp) -> Uuid {
    let millis = u128::try_from(at.micros() / 1000).unwrap_or(0);
    Uuid::from_u128(millis << 80)
}
