//! What compute hosts say is there, and whether it is believed.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;
use velum_model::{
    fault::{Fault, code},
    id::ComputeHostId,
    port::{
        hypervisor::{HypervisorDriver, Inventory},
        target::Target,
    },
};

/// Every page of what a driver sees; incomplete when it says so or does not come to an end.
pub(super) async fn all_pages(driver: &dyn HypervisorDriver, target: &Target) -> Result<Inventory, Fault> {
    /// A compute host with more guests than 64 pages of any size is not one host.
    const PAGES: usize = 64;
    let mut all = driver.observe(target, None).await?;
    for _ in 0..PAGES {
        let Some(after) = all.next.take() else {
            return Ok(all);
        };
        let page = driver.observe(target, Some(&after)).await?;
        all.complete &= page.complete && page.boot_id == all.boot_id;
        all.sequence = page.sequence;
        all.runs.extend(page.runs);
        all.next = page.next;
    }
    all.complete = false;
    Ok(all)
}

/// Boots of a compute host that are remembered: an answer of an earlier one is old, however it got here.
const BOOTS: usize = 8;

#[derive(Debug, Default)]
struct Heard {
    boot_id: String,
    sequence: u64,
    before: VecDeque<String>,
}

/// What each compute host said last. Reports only go forward: one that goes back was kept somewhere on its way, or the
/// machine was put back to an earlier state, and either way it does not tell what is now.
#[derive(Debug, Default)]
pub(super) struct Reports(Mutex<HashMap<ComputeHostId, Heard>>);

impl Reports {
    /// The report, if it goes on from the last one. What does not is where the next must go on from, so that a machine
    /// that really went back is unknown for one look and then believed again.
    pub(super) fn judge(&self, host: ComputeHostId, report: Inventory) -> Result<Inventory, Fault> {
        let mut heard = self.0.lock();
        let Some(last) = heard.get_mut(&host) else {
            let first = Heard {
                boot_id: report.boot_id.clone(),
                sequence: report.sequence,
                before: VecDeque::new(),
            };
            heard.insert(host, first);
            return Ok(report);
        };
        let problem = if report.boot_id == last.boot_id {
            (report.sequence < last.sequence)
                .then(|| format!("report {} came after report {}", report.sequence, last.sequence))
        } else {
            let is_old = last.before.contains(&report.boot_id);
            last.before.push_back(std::mem::take(&mut last.boot_id));
            if last.before.len() > BOOTS {
                last.before.pop_front();
            }
            is_old.then(|| format!("a report of the earlier boot {} came", report.boot_id))
        };
        last.boot_id.clone_from(&report.boot_id);
        last.sequence = report.sequence;
        match problem {
            Some(problem) => Err(Fault::unchanged(code::NONSENSE, problem)),
            None => Ok(report),
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn report(boot_id: &str, sequence: u64) -> Inventory {
        Inventory {
            boot_id: boot_id.into(),
            sequence,
            complete: true,
            runs: Vec::new(),
            next: None,
        }
    }

    #[test]
    fn a_report_that_goes_back_is_not_believed_once() {
        let reports = Reports::default();
        let host = ComputeHostId::from_uuid(Uuid::from_u128(1));
        let judge = |boot, sequence| reports.judge(host, report(boot, sequence)).is_ok();
        assert!(judge("a", 7) && judge("a", 8) && judge("a", 8));
        assert!(!judge("a", 3), "an old answer");
        assert!(judge("a", 4), "it really counts from there");
        assert!(judge("b", 1), "it booted");
        assert!(!judge("a", 5), "an answer from before the boot");
        assert!(judge("a", 6) && judge("c", 0));
        let other = ComputeHostId::from_uuid(Uuid::from_u128(2));
        assert!(reports.judge(other, report("a", 0)).is_ok());
    }
}
