//! A field of a change that may be left alone, set, or cleared.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Reads a field of an update: absent leaves it alone (`None`, by `#[serde(default)]`), `null` clears it
/// (`Some(None)`), a value sets it.
///
/// # Errors
/// What the value's own type refuses.
pub fn deserialize<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

/// Writes it back; what is to be left alone must be skipped (`skip_serializing_if = "Option::is_none"`).
///
/// # Errors
/// What the serializer refuses.
pub fn serialize<S, T>(field: &Option<Option<T>>, into: S) -> Result<S::Ok, S::Error>
where
    S: Serializer,
    T: Serialize,
{
    field.as_ref().and_then(Option::as_ref).serialize(into)
}

#[cfg(test)]
mod tests {
    use crate::UpdateZoneBody;

    #[test]
    fn absent_null_and_a_value_are_three_different_wishes() {
        let read = |text: &str| {
            serde_json::from_str::<UpdateZoneBody>(text)
                .expect("a valid body")
                .policy_id
        };
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"policy_id":null}"#), Some(None));
        let id = uuid::Uuid::from_u128(7);
        assert_eq!(read(&format!(r#"{{"policy_id":"{id}"}}"#)), Some(Some(id)));
        let written = serde_json::to_string(&UpdateZoneBody {
            policy_id: Some(None),
            ..UpdateZoneBody::default()
        });
        assert_eq!(written.expect("a body is written"), r#"{"policy_id":null}"#);
    }
}
