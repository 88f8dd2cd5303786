//! Disks come and go.

use velum_guest::{
    codes::fault,
    common::{Fault, Outcome},
    driver::Disk,
};

use crate::world::Place;

pub fn attach(place: &mut Place, id: &str, disk: &Disk) -> Result<Outcome, Fault> {
    let (says_done, pushes, twice) = (
        place.has("attach-says-done"),
        place.has("attach-pushes-out"),
        place.has("attach-twice"),
    );
    let run = place
        .world
        .runs
        .get_mut(id)
        .ok_or_else(|| Fault::not_found("no such run"))?;
    let identity = disk.attachment.identity.clone();
    match run.disks.iter().position(|(slot, _)| *slot == disk.slot) {
        Some(at) if run.disks[at].1 == identity => {
            if twice {
                run.disks.push((disk.slot, identity));
            }
        }
        Some(at) if pushes => run.disks[at].1 = identity,
        Some(_) => {
            return Err(Fault::unchanged(
                fault::EXISTS_DIFFERENT,
                format!("slot {} holds another disk", disk.slot),
            ));
        }
        None if says_done => {}
        None => run.disks.push((disk.slot, identity)),
    }
    place.save()?;
    Ok(Outcome::done())
}

pub fn detach(place: &mut Place, id: &str, slot: u16) -> Result<Outcome, Fault> {
    if place.has("detach-leaves") {
        return Ok(Outcome::done());
    }
    if let Some(run) = place.world.runs.get_mut(id) {
        run.disks.retain(|(known, _)| *known != slot);
        place.save()?;
    }
    Ok(Outcome::done())
}
