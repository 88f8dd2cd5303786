//! Volumes come, grow and go, each with the ways in which that can be wrong.

use velum_guest::{
    codes::fault,
    common::{Attr, Attrs as _, Effect, Fault, Outcome},
    provider::{VolumeSpec, code},
};

use crate::{
    CAPACITY, GRANULARITY, LARGEST, look,
    world::{Pool, Row, Work},
};

/// Polls until a volume has grown.
const POLLS: u32 = 1;
/// What a flawed expand adds each time: the suite's unit.
const STEP: u64 = 64 << 20;

fn done() -> Result<Outcome, Fault> {
    Ok(Outcome::done())
}

fn made(row: &Row) -> Outcome {
    Outcome::Done(vec![Attr::text(code::DONE_BACKEND_ID, row.backend.clone())])
}

fn differs() -> Fault {
    Fault::unchanged(
        fault::EXISTS_DIFFERENT,
        "the volume is there and is something else",
    )
}

pub fn create(pool: &mut Pool, effect: &Effect, spec: &VolumeSpec) -> Result<Outcome, Fault> {
    let critical = spec.attrs.refuse_unknown(&[]);
    if critical.is_err() && !pool.has("ignores-critical") {
        if pool.has("unchanged-lies") {
            insert(pool, effect, spec, None)?;
        }
        critical?;
    }
    if let Some(known) = pool.world.volumes.get(&spec.id).cloned() {
        return create_again(pool, effect, spec, known);
    }
    let mut spec = spec.clone();
    if !spec.size_bytes.is_multiple_of(GRANULARITY) && pool.has("size-is-rounded") {
        spec.size_bytes -= spec.size_bytes % GRANULARITY;
    }
    if spec.size_bytes == 0 || !spec.size_bytes.is_multiple_of(GRANULARITY) {
        return Err(Fault::invalid("the size is a multiple of 1 MiB"));
    }
    if spec.size_bytes > LARGEST && !pool.has("promises-room") {
        return Err(Fault::unchanged(
            fault::EXHAUSTED,
            "larger than the largest volume",
        ));
    }
    let parent = source(pool, &spec)?;
    insert(pool, effect, &spec, parent)
}

fn create_again(
    pool: &mut Pool,
    effect: &Effect,
    spec: &VolumeSpec,
    mut known: Row,
) -> Result<Outcome, Fault> {
    if pool.has("create-twice") {
        pool.world.serial += 1;
        known.backend = format!("b{}", pool.world.serial);
    } else if pool.has("create-refuses-known") && known.effect != effect.id {
        return Err(differs());
    } else if pool.has("create-overwrites") {
        known.size_bytes = spec.size_bytes;
    } else if known.born_bytes != spec.size_bytes {
        return Err(differs());
    }
    let answer = made(&known);
    pool.world.volumes.insert(spec.id.clone(), known);
    pool.save()?;
    Ok(answer)
}

/// What the new volume depends on.
fn source(pool: &Pool, spec: &VolumeSpec) -> Result<Option<String>, Fault> {
    let Some(of) = spec
        .source
        .of
        .as_ref()
        .filter(|_| spec.source.kind != code::SOURCE_BLANK)
    else {
        return Ok(None);
    };
    match pool.world.volumes.get(&of.id) {
        None if pool.has("clones-nothing") => Ok(None),
        None => Err(Fault::not_found("no such source")),
        Some(known) if known.size_bytes > spec.size_bytes && !pool.has("clones-smaller") => {
            Err(Fault::invalid("smaller than its source"))
        }
        Some(_) => Ok(Some(of.id.clone())),
    }
}

fn insert(
    pool: &mut Pool,
    effect: &Effect,
    spec: &VolumeSpec,
    parent: Option<String>,
) -> Result<Outcome, Fault> {
    if look::used(pool).saturating_add(spec.size_bytes) > CAPACITY && !pool.has("promises-room") {
        return Err(Fault::unchanged(fault::EXHAUSTED, "the pool is full"));
    }
    pool.world.serial += 1;
    let row = Row {
        backend: format!("b{}", pool.world.serial),
        size_bytes: spec.size_bytes,
        born_bytes: spec.size_bytes,
        parent,
        published: Vec::new(),
        effect: effect.id.clone(),
        is_left: false,
    };
    let answer = made(&row);
    pool.world.volumes.insert(spec.id.clone(), row);
    pool.save()?;
    Ok(answer)
}

pub fn delete(pool: &mut Pool, effect: &Effect, id: &str) -> Result<Outcome, Fault> {
    if pool.has("delete-once") && pool.world.deleted.contains(&effect.id) {
        return Err(Fault::not_found("no such volume"));
    }
    pool.world.deleted.insert(effect.id.clone());
    let Some(row) = pool.world.volumes.get(id).cloned() else {
        return if pool.has("delete-not-found") {
            Err(Fault::not_found("no such volume"))
        } else {
            done()
        };
    };
    if !row.published.is_empty() && !pool.has("deletes-published") {
        return Err(Fault::unchanged(fault::BUSY, "the volume is published"));
    }
    let is_parent = pool
        .world
        .volumes
        .values()
        .any(|other| other.parent.as_deref() == Some(id));
    if is_parent && !pool.has("deletes-parents") {
        return Err(Fault::unchanged(fault::BUSY, "another volume depends on it"));
    }
    if pool.has("delete-leaks") {
        if let Some(row) = pool.world.volumes.get_mut(id) {
            row.is_left = true;
        }
    } else if pool.has("deletes-neighbours") {
        pool.world.volumes.clear();
    } else {
        pool.world.volumes.remove(id);
    }
    if pool.has("keeps-room") {
        pool.world.lost_bytes += row.size_bytes;
    }
    pool.save()?;
    done()
}

pub fn expand(pool: &mut Pool, effect: &Effect, id: &str, size_bytes: u64) -> Result<Outcome, Fault> {
    let flaws = [
        "expand-says-done",
        "expand-adds",
        "expand-refuses-same",
        "expand-shrinks",
    ];
    let flaw = flaws.into_iter().find(|flaw| pool.has(flaw)).unwrap_or_default();
    let (makes, mut row) = (
        pool.has("expand-makes"),
        pool.world.volumes.get(id).cloned().unwrap_or_default(),
    );
    if !pool.world.volumes.contains_key(id) && !makes {
        return Err(Fault::not_found("no such volume"));
    }
    match flaw {
        "expand-says-done" => return done(),
        "expand-adds" => row.size_bytes += STEP,
        "expand-refuses-same" if row.size_bytes == size_bytes => return Err(differs()),
        _ if row.size_bytes == size_bytes => return done(),
        "expand-shrinks" => row.size_bytes = size_bytes,
        _ if size_bytes < row.size_bytes => {
            return Err(Fault::unsupported("a volume does not become smaller"));
        }
        _ if !size_bytes.is_multiple_of(GRANULARITY) || size_bytes > LARGEST => {
            return Err(Fault::invalid("no size of a volume here"));
        }
        _ if makes => row.size_bytes = size_bytes,
        _ => return grow(pool, effect, id, size_bytes),
    }
    pool.world.volumes.insert(id.to_owned(), row);
    pool.save()?;
    done()
}

fn grow(pool: &mut Pool, effect: &Effect, id: &str, size_bytes: u64) -> Result<Outcome, Fault> {
    let token = format!("grow.{}", effect.id);
    pool.world.works.entry(token.clone()).or_insert_with(|| Work {
        volume: id.to_owned(),
        size_bytes,
        left: POLLS,
    });
    pool.save()?;
    Ok(growing(token))
}

fn growing(token: String) -> Outcome {
    Outcome::working(token, 1, "growing")
}

pub fn poll(pool: &mut Pool, token: &str) -> Result<Outcome, Fault> {
    let (ends, renames) = (!pool.has("never-ends"), pool.has("renames"));
    let Some(work) = pool.world.works.get_mut(token) else {
        return if pool.has("any-token-is-done") {
            done()
        } else {
            Err(Fault::not_found("no such work"))
        };
    };
    if work.left > 0 {
        work.left -= 1;
        pool.save()?;
        return Ok(growing(token.to_owned()));
    }
    if !ends {
        return Ok(growing(token.to_owned()));
    }
    let work = work.clone();
    if let Some(row) = pool.world.volumes.get_mut(&work.volume) {
        row.size_bytes = row.size_bytes.max(work.size_bytes);
        if renames {
            row.backend.push('x');
        }
    }
    if pool.has("forgets-tokens") {
        pool.world.works.remove(token);
    }
    pool.save()?;
    done()
}
