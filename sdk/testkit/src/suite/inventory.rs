//! Inventories out of nothing: plausible compute hosts and pools for whatever columns a policy wants.

use velum_model::port::placement::{Column, registry};

/// The minute since 1970 in which everything is asked: in the year 2026.
pub const NOW: u32 = 29_700_000;

/// How the values of an inventory are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// As in a data centre.
    Usual,
    /// All 0.
    Zero,
    /// All the largest that there is.
    Largest,
}

/// A well-mixed number out of a world's name, a row and a salt: FNV, then the finalizer of SplitMix64.
fn mixed(world: &str, row: u32, salt: &str) -> u64 {
    let bytes = world
        .bytes()
        .chain([0])
        .chain(row.to_le_bytes())
        .chain(salt.bytes());
    let seed = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn below(number: u64, bound: u32) -> u32 {
    u32::try_from(number % u64::from(bound.max(1))).unwrap_or(0)
}

/// The value of a column in a row of a world: `free` is never more than `total`.
fn usual(world: &str, row: u32, column: &Column) -> u32 {
    let of = |salt: &str| mixed(world, row, salt);
    let vcpus = 16 << below(of("vcpus"), 4);
    let memory = vcpus * 4096;
    let gib = 1024 << below(of("gib"), 6);
    let named = |what: &str| of(&format!("{what} {}", column.name.as_deref().unwrap_or_default()));
    // Of a resource, one row in four has none.
    let resource = || 4 * below(named("resource"), 4);
    match column.id {
        registry::COLUMN_TOTAL_VCPUS => vcpus,
        registry::COLUMN_FREE_VCPUS => below(of("free-vcpus"), vcpus + 1),
        registry::COLUMN_TOTAL_MEMORY_MIB => memory,
        registry::COLUMN_FREE_MEMORY_MIB => below(of("free-memory"), memory + 1),
        registry::COLUMN_RUNS => below(of("runs"), 60),
        registry::COLUMN_TOTAL_GIB => gib,
        registry::COLUMN_FREE_GIB => below(of("free-gib"), gib + 1),
        registry::COLUMN_TOTAL_RESOURCE => resource(),
        registry::COLUMN_FREE_RESOURCE => below(named("free"), resource() + 1),
        registry::COLUMN_POD => row / 40,
        registry::COLUMN_CLUSTER => row / 10,
        // Of eight rows, one is empty and one has a run without an end.
        registry::COLUMN_LATEST_END => match below(of("ends"), 8) {
            0 => 0,
            1 => registry::NO_END,
            _ => NOW - 1_000 + below(of("latest-end"), 50_000),
        },
        _ => below(of(column.name.as_deref().unwrap_or_default()), 1_000),
    }
}

/// The values of some rows of a world, column after column, as they travel.
#[must_use]
pub fn values(world: &str, columns: &[Column], rows: &[u32], shape: Shape) -> Vec<u32> {
    let cell = |column: &Column, row: u32| match shape {
        Shape::Usual => usual(world, row, column),
        Shape::Zero => 0,
        Shape::Largest => u32::MAX,
    };
    columns
        .iter()
        .flat_map(|column| rows.iter().map(move |row| cell(column, *row)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(id: u16) -> Column {
        Column {
            id,
            name: None,
            scale: 0,
        }
    }

    #[test]
    fn a_world_is_always_the_same_and_nobody_has_more_free_than_there_is() {
        let gpu = |id| Column {
            name: Some("gpu".into()),
            ..column(id)
        };
        for columns in [
            [
                column(registry::COLUMN_FREE_VCPUS),
                column(registry::COLUMN_TOTAL_VCPUS),
            ],
            [
                gpu(registry::COLUMN_FREE_RESOURCE),
                gpu(registry::COLUMN_TOTAL_RESOURCE),
            ],
        ] {
            let rows: Vec<u32> = (0..500).collect();
            let one = values("a", &columns, &rows, Shape::Usual);
            assert_eq!(one, values("a", &columns, &rows, Shape::Usual));
            assert_ne!(one, values("b", &columns, &rows, Shape::Usual));
            let (free, total) = one.split_at(rows.len());
            assert!(free.iter().zip(total).all(|(free, total)| free <= total));
        }
    }
}
