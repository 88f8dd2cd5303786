//! Statements over the rows of a batch on PostgreSQL: one array for each column.
//!
//! As one JSON text every row was parsed there, each value looked up by its name and each id read from its digits. A text is the same
//! for batches of any size, so that the server plans it once.

use sqlx::{Postgres, SqlStr, postgres::PgArguments, query::Query};
use uuid::Uuid;

use super::{Value, rows::Bound};
use crate::encode::{Places, RowValues};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
    /// Bytes; where SQLite says what a column holds ids too.
    Bytes,
    Id,
}

impl Kind {
    const fn array(self) -> &'static str {
        match self {
            Self::Id => "uuid[]",
            Self::Bytes => "bytea[]",
            Self::Int => "bigint[]",
            Self::Text => "text[]",
        }
    }
}

impl Bound {
    /// The text for PostgreSQL: the values of the tail stand behind the arrays. Without its RETURNING it says only how many rows it
    /// changed.
    pub(crate) fn text_of_arrays(&self, answers: bool) -> String {
        let kinds = self.kinds.iter().enumerate();
        let arrays: Vec<_> = kinds
            .map(|(n, kind)| format!("${}::{}", n + 1, kind.array()))
            .collect();
        let head = format!(
            "WITH r AS (SELECT * FROM unnest({}) AS v({})) ",
            arrays.join(","),
            self.columns.join(",")
        );
        let place = |number: usize| format!("${}", number + self.columns.len() - 1);
        Self::with_tail(head, self.postgres.unwrap_or(self.tail), answers, place)
    }
}

/// The values of one column.
#[derive(Debug, PartialEq)]
enum Column {
    Id(Vec<Option<Uuid>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Int(Vec<Option<i64>>),
    Text(Vec<Option<String>>),
}

impl Column {
    fn with_room(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Id => Self::Id(Vec::with_capacity(rows)),
            Kind::Bytes => Self::Bytes(Vec::with_capacity(rows)),
            Kind::Int => Self::Int(Vec::with_capacity(rows)),
            Kind::Text => Self::Text(Vec::with_capacity(rows)),
        }
    }

    /// Puts a value behind the others. Nothing is nothing of any kind; what is of another kind comes back.
    fn push(&mut self, value: Value) -> Result<(), Value> {
        match (self, value) {
            (Self::Id(all), Value::Uuid(value)) => all.push(value),
            (Self::Bytes(all), Value::Blob(value)) => all.push(value),
            (Self::Int(all), Value::Int(value)) => all.push(value),
            (Self::Text(all), Value::Text(value)) => all.push(value),
            (Self::Id(all), value) if value.is_null() => all.push(None),
            (Self::Bytes(all), value) if value.is_null() => all.push(None),
            (Self::Int(all), value) if value.is_null() => all.push(None),
            (Self::Text(all), value) if value.is_null() => all.push(None),
            (_, value) => return Err(value),
        }
        Ok(())
    }
}

/// The rows of a batch, column by column.
#[derive(Debug, PartialEq)]
pub(super) struct Arrays(Vec<Column>);

impl Arrays {
    /// Refused are values that are not of their column's kind.
    pub(super) fn of(bound: &Bound, rows: Vec<RowValues>) -> Result<Self, sqlx::Error> {
        let room = rows.len();
        let kinds = bound.kinds.iter();
        let mut columns: Vec<_> = kinds.map(|kind| Column::with_room(*kind, room)).collect();
        let mut values = Vec::with_capacity(bound.columns.len());
        let mut places: Option<Places> = None;
        for row in rows {
            let fitting = match places.take() {
                Some(places) if places.fit(&row) => places,
                _ => Places::of(bound.columns, &row),
            };
            row.take(&fitting, &mut values);
            for ((column, name), value) in columns.iter_mut().zip(bound.columns).zip(values.drain(..)) {
                column.push(value).map_err(|value| {
                    sqlx::Error::Encode(format!("{value:?} does not fit into the column {name}").into())
                })?;
            }
            places = Some(fitting);
        }
        Ok(Self(columns))
    }

    /// A text with them as its first values.
    pub(super) fn ask<'q>(self, text: SqlStr) -> Query<'q, Postgres, PgArguments> {
        let query = sqlx::query(text);
        self.0.into_iter().fold(query, |query, column| match column {
            Column::Id(values) => query.bind(values),
            Column::Bytes(values) => query.bind(values),
            Column::Int(values) => query.bind(values),
            Column::Text(values) => query.bind(values),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{bare, row};

    const BOUND: Bound = Bound {
        columns: &["id", "name"],
        kinds: &[Kind::Id, Kind::Text],
        tail: "UPDATE t SET name = r.name, at = $3, was = $2 FROM r WHERE t.id = r.id RETURNING t.id",
        postgres: None,
    };

    #[test]
    fn a_text_has_an_array_for_each_column_and_further_values_behind_them() {
        assert_eq!(
            BOUND.text_of_arrays(true),
            "WITH r AS (SELECT * FROM unnest($1::uuid[],$2::text[]) AS v(id,name)) UPDATE t SET name = r.name, at = $4, was = $3 \
             FROM r WHERE t.id = r.id RETURNING t.id"
        );
        assert!(BOUND.text_of_arrays(false).ends_with("WHERE t.id = r.id "));
        let other = Bound {
            postgres: Some("SELECT id FROM r"),
            ..BOUND
        };
        assert!(other.text_of_arrays(true).ends_with(") SELECT id FROM r"));
    }

    #[test]
    fn rows_become_columns() {
        let id = Uuid::from_u128(7);
        let rows = vec![
            row!({ "name": "a", "id": bare(id) }),
            row!({ "name": None::<u32>, "id": bare(id) }),
            row!({ "id": None::<u32> }),
        ];
        let arrays = Arrays::of(&BOUND, rows).expect("arrays");
        let (ids, names) = (vec![Some(id), Some(id), None], vec![Some("a".into()), None, None]);
        assert_eq!(arrays, Arrays(vec![Column::Id(ids), Column::Text(names)]));
        let refused = Arrays::of(&BOUND, vec![row!({ "id": 1, "name": "a" })]);
        assert!(refused.is_err_and(|error| error.to_string().contains("column id")));
    }
}
