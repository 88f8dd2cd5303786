//! Both sides of a copied table, row by row and column by column.

use sha2::{Digest, Sha256};

use super::{
    Progress, Watch,
    copy::{Pair, TableCopied},
    rows::{Pages, count, key_of},
};
use crate::{
    commit::StoreError,
    db::{Cell, Connection, Row, describe},
    encode::digits,
};

/// Reads a table on both sides at once. The first difference is an error that names row and column.
pub(super) async fn compare(
    reader: &mut Connection,
    writer: &mut Connection,
    pair: &Pair,
    watch: Watch<'_>,
) -> Result<TableCopied, StoreError> {
    let name = &pair.target.name;
    let (of, arrived) = (
        count(reader, &pair.source).await?,
        count(writer, &pair.target).await?,
    );
    if of != arrived {
        return Err(StoreError::Unusable(format!(
            "table {name} has {of} rows at the source, and {arrived} arrived"
        )));
    }
    let mut source = Pages::of(&pair.source, &pair.kinds);
    let mut target = Pages::of(&pair.target, &pair.kinds);
    let (mut here, mut there) = (Sha256::new(), Sha256::new());
    let mut rows = 0;
    loop {
        let (ours, theirs) = (source.next(reader).await?, target.next(writer).await?);
        for (a, b) in ours.iter().zip(&theirs) {
            if let Some(problem) = difference(pair, a, b) {
                return Err(StoreError::Unusable(problem));
            }
            digest(&mut here, a);
            digest(&mut there, b);
        }
        if ours.len() != theirs.len() {
            return Err(StoreError::Unusable(format!(
                "table {name} ends earlier on one side, after {rows} rows"
            )));
        }
        if ours.is_empty() {
            break;
        }
        rows += ours.len() as u64;
        watch(Progress {
            doing: "compared",
            table: name,
            rows,
            of,
        });
    }
    let (here, there) = (digits(&here.finalize()), digits(&there.finalize()));
    if here != there || rows != of {
        return Err(StoreError::Unusable(format!(
            "table {name} reads differently on both sides: {here} and {there}"
        )));
    }
    Ok(TableCopied {
        name: name.clone(),
        rows,
        sha256: here,
    })
}

fn difference(pair: &Pair, ours: &Row, theirs: &Row) -> Option<String> {
    let cells = ours.cells.iter().zip(&theirs.cells).zip(&pair.target.columns);
    let mut unlike = cells.filter(|((ours, theirs), _)| ours != theirs);
    unlike.next().map(|((a, b), column)| {
        format!(
            "table {}, row {}: column {} is {} at the source, and {} arrived",
            pair.target.name,
            key_of(&pair.target, ours),
            column.name,
            describe(a),
            describe(b)
        )
    })
}

/// Each cell as its kind, its length and its bytes, so that no two rows read alike.
fn digest(into: &mut Sha256, row: &Row) {
    for cell in &row.cells {
        let (kind, value): (u8, &[u8]) = match cell {
            Cell::Null => (0, &[]),
            Cell::Int(number) => (1, &number.to_be_bytes()),
            Cell::Text(text) => (2, text.as_bytes()),
            Cell::Blob(bytes) => (3, bytes),
            Cell::Uuid(id) => (4, id.as_bytes()),
        };
        into.update([kind]);
        into.update((value.len() as u64).to_be_bytes());
        into.update(value);
    }
}
