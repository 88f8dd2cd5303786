//! Statements over the rows of a batch on SQLite: their values are bound, one placeholder each.
//!
//! As a JSON array each column of each row was two function calls of SQLite, and every text was escaped here to be unescaped
//! there. A text is made for so many rows as a power of two, so that a few prepared statements
//! serve batches of any size; the placeholders that a batch leaves over are null and so is their row's first column, by
//! which they are left out.

use std::{collections::HashMap, sync::Arc};

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::{Value, arrays::Kind};
use crate::encode::{Places, RowValues};

/// Rows of one execution: 256 of the widest (23 columns) are 5,888 of the 32,766 values that SQLite binds.
const MOST: usize = 256;

/// A statement that takes rows: `r` has these columns.
#[derive(Debug)]
pub(crate) struct Bound {
    /// The first is null in no row.
    pub(crate) columns: &'static [&'static str],
    /// What is in each.
    pub(crate) kinds: &'static [Kind],
    /// What follows `WITH r AS (…)`; `$2` and up are further values.
    pub(crate) tail: &'static str,
    /// The same for PostgreSQL, where it differs.
    pub(crate) postgres: Option<&'static str>,
}

impl Bound {
    /// The text for so many rows, with the number of the further value that each placeholder of the tail is. Without its
    /// RETURNING it says only how many rows it changed.
    pub(crate) fn text(&self, room: usize, answers: bool) -> (String, Vec<usize>) {
        let one = format!("({})", vec!["?"; self.columns.len()].join(","));
        let rows = vec![one.as_str(); room].join(",");
        let (columns, key) = (self.columns.join(","), self.columns.first().unwrap_or(&"NULL"));
        let head = format!(
            "WITH v({columns}) AS (VALUES {rows}), r AS (SELECT * FROM v WHERE {key} IS NOT NULL LIMIT {room}) "
        );
        let mut more = Vec::new();
        let text = Self::with_tail(head, self.tail, answers, |number| {
            more.push(number);
            "?".into()
        });
        (text, more)
    }

    /// A text with its tail, in which a placeholder is written by its number as it is to be.
    pub(super) fn with_tail(
        mut text: String,
        tail: &str,
        answers: bool,
        mut place: impl FnMut(usize) -> String,
    ) -> String {
        let tail = match tail.rfind("RETURNING") {
            Some(end) if !answers => tail.get(..end).unwrap_or(tail),
            _ => tail,
        };
        for (n, part) in tail.split('$').enumerate() {
            if n == 0 {
                text.push_str(part);
                continue;
            }
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (number, rest) = part.split_at(end);
            text.push_str(&place(number.parse().unwrap_or(0)));
            text.push_str(rest);
        }
        text
    }
}

/// The texts that a connection was sent.
#[derive(Default)]
pub(super) struct Texts(HashMap<(&'static str, &'static [&'static str], usize, bool), Text>);

#[derive(Clone)]
struct Text {
    sql: SqlStr,
    more: Arc<[usize]>,
}

impl Text {
    fn of(text: String, more: Vec<usize>) -> Self {
        Self {
            sql: AssertSqlSafe(Arc::<str>::from(text)).into_sql_str(),
            more: more.into(),
        }
    }
}

/// One execution.
pub(super) struct Execution {
    pub(super) sql: SqlStr,
    pub(super) values: Vec<Value>,
}

impl Texts {
    /// The executions of a statement over rows; `more` are `$2` and up. Refused are rows whose first column is null.
    pub(super) fn executions(
        &mut self,
        bound: &Bound,
        rows: Vec<RowValues>,
        more: &[Value],
        answers: bool,
    ) -> Result<Vec<Execution>, sqlx::Error> {
        let width = bound.columns.len();
        let mut executions = Vec::with_capacity(rows.len().div_ceil(MOST));
        let mut rows = rows.into_iter().peekable();
        let mut places: Option<Places> = None;
        while rows.peek().is_some() {
            let room = rows.len().next_power_of_two().min(MOST);
            let text = self.text(bound, room, answers);
            let mut values = Vec::with_capacity(room * width + text.more.len());
            for row in rows.by_ref().take(room) {
                let fitting = match places.take() {
                    Some(places) if places.fit(&row) => places,
                    _ => Places::of(bound.columns, &row),
                };
                let first = values.len();
                row.take(&fitting, &mut values);
                if values.get(first).is_none_or(Value::is_null) {
                    let column = bound.columns.first().unwrap_or(&"");
                    return Err(sqlx::Error::Encode(
                        format!("a row of a batch has no {column}").into(),
                    ));
                }
                places = Some(fitting);
            }
            values.resize(room * width, Value::Int(None));
            for number in &*text.more {
                values.push(
                    number
                        .checked_sub(2)
                        .and_then(|n| more.get(n))
                        .cloned()
                        .ok_or_else(|| {
                            sqlx::Error::Encode(format!("there is no value ${number} of a batch").into())
                        })?,
                );
            }
            executions.push(Execution {
                sql: text.sql,
                values,
            });
        }
        Ok(executions)
    }

    /// The text of a statement whose rows are arrays.
    pub(super) fn arrays(&mut self, bound: &Bound, answers: bool) -> SqlStr {
        let of = (bound.postgres.unwrap_or(bound.tail), bound.columns, 0, answers);
        let make = || Text::of(bound.text_of_arrays(answers), Vec::new());
        self.0.entry(of).or_insert_with(make).sql.clone()
    }

    fn text(&mut self, bound: &Bound, room: usize, answers: bool) -> Text {
        let make = || {
            let (text, more) = bound.text(room, answers);
            Text::of(text, more)
        };
        let of = (bound.tail, bound.columns, room, answers);
        self.0.entry(of).or_insert_with(make).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::row;

    const BOUND: Bound = Bound {
        columns: &["id", "name"],
        kinds: &[Kind::Int, Kind::Text],
        tail: "UPDATE t SET name = r.name, at = $3, was = $2, too = $3 FROM r WHERE t.id = r.id RETURNING t.id",
        postgres: None,
    };

    #[test]
    fn a_text_has_a_placeholder_for_each_value() {
        let (text, more) = BOUND.text(2, true);
        assert_eq!(
            text,
            "WITH v(id,name) AS (VALUES (?,?),(?,?)), r AS (SELECT * FROM v WHERE id IS NOT NULL LIMIT 2) UPDATE t SET name = \
             r.name, at = ?, was = ?, too = ? FROM r WHERE t.id = r.id RETURNING t.id"
        );
        assert_eq!(more, [3, 2, 3]);
        let (text, _) = BOUND.text(1, false);
        assert!(text.ends_with("WHERE t.id = r.id "), "{text}");
    }

    #[test]
    fn rows_are_dealt_into_executions() {
        let rows = (0..259).map(|n| row!({ "name": "a", "id": n })).collect();
        let more = [Value::from(7_i64), Value::from(8_i64)];
        let all = Texts::default()
            .executions(&BOUND, rows, &more, true)
            .expect("executions");
        let [whole, rest] = all.as_slice() else {
            panic!("{}", all.len());
        };
        assert_eq!((whole.values.len(), rest.values.len()), (512 + 3, 8 + 3));
        let expected = [256, 257, 258]
            .map(|n| [Value::from(i64::from(n)), Value::from("a")])
            .concat();
        assert_eq!(rest.values.get(..6), Some(expected.as_slice()));
        let left = [
            Value::Int(None),
            Value::Int(None),
            Value::from(8_i64),
            Value::from(7_i64),
            Value::from(8_i64),
        ];
        assert_eq!(rest.values.get(6..), Some(left.as_slice()));
    }

    #[test]
    fn what_would_be_left_out_is_refused() {
        let refused = |row, more: &[Value]| {
            Texts::default()
                .executions(&BOUND, vec![row], more, true)
                .is_err()
        };
        let more = [Value::from(7_i64), Value::from(8_i64)];
        assert!(refused(row!({ "id": None::<i64>, "name": "a" }), &more));
        assert!(refused(row!({ "name": "a" }), &more));
        assert!(refused(row!({ "id": 1, "name": "a" }), &[]));
    }
}
