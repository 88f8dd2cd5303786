//! The verbs, each with the ways in which it can be wrong.

use velum_guest::{
    codes::fault,
    common::{Effect, Fault, Outcome, Run as Handle},
    driver::{GuestSpec, Inventory, Observed, code},
};

use crate::world::{Place, Run, Work};

/// The compute host's own name.
pub const NODE: &str = "state-1";
/// Runs on a page: few, so that a suite of five sees pages.
const PAGE: usize = 2;
/// Polls until a guest is down.
const POLLS: u32 = 1;

fn done() -> Result<Outcome, Fault> {
    Ok(Outcome::done())
}

fn digest(spec: &GuestSpec) -> String {
    let text = format!("{}/{}/{}", spec.vcpus, spec.memory_mib, spec.arch);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("fnv:{hash:016x}")
}

pub fn boot_id(place: &mut Place) -> Result<String, Fault> {
    if place.has("boots-all-the-time") {
        place.world.boots += 1;
        place.save()?;
    }
    Ok(format!("boot-{}", place.world.boots))
}

pub fn ensure(
    place: &mut Place,
    handle: &Handle,
    effect: &Effect,
    spec: &GuestSpec,
) -> Result<Outcome, Fault> {
    if place.has("ensure-says-done") {
        return done();
    }
    let (id, generation) = (handle.id(), handle.generation());
    let known = place.world.runs.get(&id).filter(|run| !run.is_left).cloned();
    let mut run = known.clone().unwrap_or_default();
    if let Some(known) = &known {
        if place.has("ensure-refuses-known") && known.effect != effect.id {
            return Err(Fault::unchanged(fault::EXISTS_DIFFERENT, "it is defined already"));
        }
        let same = known.digest == digest(spec) && known.generation == generation;
        if known.state != code::STATE_OFF && !same {
            return Err(Fault::unchanged(fault::BUSY, "it runs with another spec"));
        }
        if place.has("ensure-twice") {
            run.copies += 1;
        }
    } else {
        run.state = if place.has("ensure-starts") {
            code::STATE_RUNNING
        } else {
            code::STATE_OFF
        };
    }
    if known.is_none() || !place.has("ensure-keeps-the-old") {
        run.digest = digest(spec);
    }
    if known.is_none() || !place.has("keeps-generations") {
        run.generation = generation;
    }
    run.effect.clone_from(&effect.id);
    place.world.runs.insert(id, run);
    place.save()?;
    done()
}

pub fn start(
    place: &mut Place,
    handle: &Handle,
    effect: &Effect,
    spec: &GuestSpec,
) -> Result<Outcome, Fault> {
    let id = handle.id();
    if !place.world.runs.contains_key(&id) {
        ensure(place, handle, effect, spec)?;
    }
    let (toggles, refuses) = (place.has("start-toggles"), place.has("start-refuses-running"));
    if place.has("start-says-done") {
        return done();
    }
    if place.has("starts-all") {
        place
            .world
            .runs
            .values_mut()
            .for_each(|run| run.state = code::STATE_RUNNING);
    }
    let Some(run) = place.world.runs.get_mut(&id) else {
        return Err(Fault::not_found("no such run"));
    };
    let runs = run.state == code::STATE_RUNNING;
    if runs && refuses && run.started_by != effect.id {
        return Err(Fault::unchanged(fault::BUSY, "it runs already"));
    }
    run.state = if runs && toggles {
        code::STATE_OFF
    } else {
        code::STATE_RUNNING
    };
    run.started_by.clone_from(&effect.id);
    place.save()?;
    done()
}

pub fn shutdown(place: &mut Place, id: &str, effect: &Effect) -> Result<Outcome, Fault> {
    let Some(state) = place.world.runs.get(id).map(|run| run.state) else {
        return if place.has("shutdown-needs-a-run") {
            Err(Fault::not_found("no such run"))
        } else {
            done()
        };
    };
    if state == code::STATE_OFF {
        return if place.has("shutdown-refuses-off") {
            Err(Fault::invalid("it is off"))
        } else {
            done()
        };
    }
    if place.has("shutdown-says-done") {
        return done();
    }
    let token = format!("down.{}", effect.id);
    if let Some(run) = place.world.runs.get_mut(id) {
        run.state = code::STATE_STOPPING;
    }
    place.world.works.entry(token.clone()).or_insert_with(|| Work {
        run: id.to_owned(),
        left: POLLS,
    });
    place.save()?;
    Ok(going_down(token))
}

fn going_down(token: String) -> Outcome {
    Outcome::working(token, 1, "waiting for the guest to shut down")
}

pub fn poll(place: &mut Place, token: &str) -> Result<Outcome, Fault> {
    let ends = !place.has("never-ends");
    let Some(work) = place.world.works.get_mut(token) else {
        return if place.has("any-token-is-done") {
            done()
        } else {
            Err(Fault::not_found("no such work"))
        };
    };
    if work.left > 0 {
        work.left -= 1;
        place.save()?;
        return Ok(going_down(token.to_owned()));
    }
    if !ends {
        return Ok(going_down(token.to_owned()));
    }
    let id = work.run.clone();
    if let Some(run) = place.world.runs.get_mut(&id)
        && run.state == code::STATE_STOPPING
    {
        run.state = code::STATE_OFF;
    }
    if place.has("forgets-tokens") {
        place.world.works.remove(token);
    }
    place.save()?;
    done()
}

pub fn kill(place: &mut Place, id: &str) -> Result<Outcome, Fault> {
    let (refuses, waits, says) = (
        place.has("kill-refuses-off"),
        place.has("kill-waits"),
        place.has("kill-says-done"),
    );
    let Some(run) = place.world.runs.get_mut(id) else {
        return done();
    };
    match run.state {
        code::STATE_OFF if refuses => return Err(Fault::invalid("it is off")),
        code::STATE_STOPPING if waits => {
            return Err(Fault::unchanged(fault::BUSY, "it is shutting down"));
        }
        _ if says => return done(),
        _ => run.state = code::STATE_OFF,
    }
    place.save()?;
    done()
}

pub fn reboot(place: &mut Place, id: &str) -> Result<Outcome, Fault> {
    let (stops, starts) = (place.has("reboot-stops"), place.has("reboot-starts"));
    let Some(run) = place.world.runs.get_mut(id) else {
        return Err(Fault::not_found("no such run"));
    };
    match run.state {
        code::STATE_RUNNING if stops => run.state = code::STATE_OFF,
        code::STATE_RUNNING => {}
        _ if starts => run.state = code::STATE_RUNNING,
        _ => return Err(Fault::invalid("it does not run")),
    }
    place.save()?;
    done()
}

pub fn remove(place: &mut Place, id: &str, effect: &Effect) -> Result<Outcome, Fault> {
    if place.has("remove-once") && place.world.removed.contains(&effect.id) {
        return Err(Fault::not_found("no such run"));
    }
    place.world.removed.insert(effect.id.clone());
    let Some(state) = place.world.runs.get(id).map(|run| run.state) else {
        return if place.has("remove-not-found") {
            Err(Fault::not_found("no such run"))
        } else {
            done()
        };
    };
    if place.has("remove-refuses-running") && state == code::STATE_RUNNING {
        return Err(Fault::unchanged(fault::BUSY, "it runs"));
    }
    if place.has("remove-leaks") {
        if let Some(run) = place.world.runs.get_mut(id) {
            run.is_left = true;
        }
    } else if place.has("removes-neighbours") {
        place.world.runs.clear();
    } else {
        place.world.runs.remove(id);
    }
    place.save()?;
    done()
}

fn seen(place: &Place, id: &str, run: &Run) -> Observed {
    Observed {
        run_id: id.to_owned(),
        node: NODE.to_owned(),
        state: run.state,
        reason: 0,
        generation: if place.has("forgets-generations") {
            0
        } else {
            run.generation
        },
        spec_digest: run.digest.clone(),
        disks: run.disks.clone(),
        attrs: Vec::new(),
    }
}

pub fn observe_run(place: &Place, id: &str) -> Option<Observed> {
    match place.world.runs.get(id) {
        Some(run) if !run.is_left => Some(seen(place, id, run)),
        None if place.has("observe-invents") => {
            let other = place.world.runs.values().next()?;
            Some(seen(place, id, other))
        }
        _ => None,
    }
}

pub fn observe(place: &mut Place, after: Option<&str>) -> Result<Inventory, Fault> {
    let boot_id = boot_id(place)?;
    let sequence = match place.has("sequence-stands") {
        true => 1,
        false => place.looked(),
    };
    let repeats = place.has("page-repeats");
    let ids: Vec<String> = place
        .world
        .runs
        .iter()
        .flat_map(|(id, run)| std::iter::repeat_n(id.clone(), 1 + run.copies as usize))
        .filter(|id| after.is_none_or(|after| id.as_str() > after || (repeats && id == after)))
        .collect();
    let page = ids.get(..PAGE.min(ids.len())).unwrap_or_default();
    let more = ids.len() > PAGE;
    let at = if place.has("page-loses") { PAGE } else { PAGE - 1 };
    let next = ids.get(at).filter(|_| more).cloned();
    let runs = page.iter().filter_map(|id| {
        let run = place.world.runs.get(id)?;
        let mut seen = seen(place, id, run);
        if place.has("observe-lies") {
            seen.state = code::STATE_OFF;
        }
        Some(seen)
    });
    Ok(Inventory {
        boot_id,
        sequence,
        complete: true,
        runs: runs.collect(),
        next,
    })
}
