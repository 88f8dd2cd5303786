//! The texts. What changes rows takes all rows of a batch at once, as a common table expression `r`; only that expression
//! differs: an array a column on PostgreSQL (`db/arrays.rs`), bound values on SQLite (`db/rows.rs`). So the number of
//! statements does not grow with the batch, and each statement stands here once.

pub(crate) mod affinity;
pub(crate) mod claims;
pub(crate) mod guard;
pub(crate) mod look;
pub(crate) mod nodes;
pub(crate) mod orphans;
pub(crate) mod plugins;
pub(crate) mod records;
pub(crate) mod rest;

// Who reads sends a JSON array. On SQLite each row stays binary JSON on its way: as text it would be parsed again for every
// column.

/// A statement over the rows of a batch: name, what it does, the columns of `r` with their kinds (`id`, `bytes`, `int`,
/// `text`), and the rest of the text.
macro_rules! batch {
    ($name:ident, $does:expr, { $($column:ident $kind:ident),* $(,)? }, $($tail:tt)*) => {
        pub(crate) const $name: $crate::db::Statement = $crate::db::Statement {
            does: $does,
            sqlite: concat!(
                "WITH r AS (SELECT ", $($crate::sql::column!(sqlite $kind $column),)* "1 AS one FROM jsonb_each($1)) ",
                $($tail)*
            ),
            postgres: concat!(
                "WITH r AS (SELECT ", $($crate::sql::column!(postgres $kind $column),)*
                "1 AS one FROM jsonb_array_elements($1::jsonb)) ",
                $($tail)*
            ),
            bound: Some($crate::db::Bound {
                columns: &[$(stringify!($column)),*],
                kinds: &[$($crate::sql::kind!($kind)),*],
                tail: concat!($($tail)*),
                postgres: None,
            }),
        };
    };
}

/// What a column of `r` holds.
macro_rules! kind {
    (id) => {
        $crate::db::Kind::Id
    };
    (bytes) => {
        $crate::db::Kind::Bytes
    };
    (int) => {
        $crate::db::Kind::Int
    };
    (text) => {
        $crate::db::Kind::Text
    };
}

/// One column of `r`.
macro_rules! column {
    (sqlite id $column:ident) => {
        concat!(
            "unhex(value->>'",
            stringify!($column),
            "') AS ",
            stringify!($column),
            ", "
        )
    };
    (sqlite bytes $column:ident) => {
        concat!(
            "unhex(value->>'",
            stringify!($column),
            "') AS ",
            stringify!($column),
            ", "
        )
    };
    (sqlite $kind:ident $column:ident) => {
        concat!(
            "value->>'",
            stringify!($column),
            "' AS ",
            stringify!($column),
            ", "
        )
    };
    (postgres id $column:ident) => {
        concat!(
            "(value->>'",
            stringify!($column),
            "')::uuid AS ",
            stringify!($column),
            ", "
        )
    };
    (postgres bytes $column:ident) => {
        concat!(
            "decode(value->>'",
            stringify!($column),
            "', 'hex') AS ",
            stringify!($column),
            ", "
        )
    };
    (postgres int $column:ident) => {
        concat!(
            "(value->>'",
            stringify!($column),
            "')::bigint AS ",
            stringify!($column),
            ", "
        )
    };
    (postgres text $column:ident) => {
        concat!(
            "value->>'",
            stringify!($column),
            "' AS ",
            stringify!($column),
            ", "
        )
    };
}

/// Inserts the rows of a batch, leaving out those that a unique index refuses; answers the first column of those that
/// went in.
macro_rules! insert {
    ($name:ident, $table:literal, { $key:ident $key_kind:ident $(, $column:ident $kind:ident)* $(,)? }) => {
        $crate::sql::batch!(
            $name, concat!("insert into ", $table), { $key $key_kind $(, $column $kind)* },
            "INSERT INTO ", $table, " (", stringify!($key) $(, ", ", stringify!($column))*,
            ") SELECT ", stringify!($key) $(, ", ", stringify!($column))*,
            " FROM r WHERE true ON CONFLICT DO NOTHING RETURNING ", stringify!($key)
        );
    };
}

/// Changes columns of the rows of a batch that are still of the generation that was read; answers their ids.
macro_rules! update {
    ($name:ident, $table:literal, { $first:ident $first_kind:ident $(, $column:ident $kind:ident)* $(,)? }) => {
        $crate::sql::batch!(
            $name, concat!("update ", $table),
            { id id, generation int, $first $first_kind $(, $column $kind)* },
            "UPDATE ", $table, " SET generation = ", $table, ".generation + 1, ",
            stringify!($first), " = r.", stringify!($first)
            $(, ", ", stringify!($column), " = r.", stringify!($column))*,
            " FROM r WHERE ", $table, ".id = r.id AND ", $table, ".generation = r.generation RETURNING ", $table, ".id"
        );
    };
}

pub(crate) use {batch, column, insert, kind, update};

/// Every statement, so that a test prepares each on both databases.
#[cfg(test)]
pub(crate) fn registry() -> Vec<&'static crate::db::Statement> {
    [
        records::ALL,
        affinity::ALL,
        claims::ALL,
        guard::ALL,
        rest::ALL,
        orphans::ALL,
        nodes::ALL,
        plugins::ALL,
        crate::audit::ALL,
        crate::audit::OWN,
        crate::migrate::ALL,
        crate::history::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
    .chain(look::all())
    .chain(crate::reader::statements())
    .chain(crate::care::statements())
    .collect()
}
