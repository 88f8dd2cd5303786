//! Members of affinity groups, and the places that their runs take. A commit without any costs no statement.

use std::collections::HashSet;

use uuid::Uuid;
use velum_model::affinity::{AffinityKind, AffinityStrength};

use super::{Failure, apply::Transaction};
use crate::{
    commit::{Change, Refused},
    db::Row,
    encode::{RowValues, hex, row},
    sql::affinity as sql,
};

/// Rows with what each is about (an instance or run, and a group) and whose commit it is of.
#[derive(Default)]
struct Pairs {
    rows: Vec<RowValues>,
    of: Vec<(Uuid, Uuid, usize)>,
}

impl Pairs {
    /// Commits of which the statement did not answer all.
    fn missing(&self, answered: &[Row], refused: impl Fn(Uuid) -> Refused) -> Result<(), Failure> {
        let mut there: HashSet<(Uuid, Uuid)> = HashSet::new();
        for row in answered {
            let mut columns = row.columns("affinity_group");
            there.insert((columns.take("of")?, columns.take("affinity_group")?));
        }
        let missing = self
            .of
            .iter()
            .filter(|(of, group, _)| !there.contains(&(*of, *group)));
        let guilty: Vec<_> = missing.map(|(_, group, n)| (*n, refused(*group))).collect();
        if guilty.is_empty() {
            Ok(())
        } else {
            Err(Failure::Guilty(guilty))
        }
    }
}

impl Transaction<'_> {
    /// Puts new instances into their groups, and lets runs take their places.
    pub(super) async fn write_affinity(&mut self) -> Result<(), Failure> {
        let (mut members, mut places, mut homes) = (Pairs::default(), Pairs::default(), Vec::new());
        for (n, commit) in self.alive() {
            for change in &commit.changes {
                match change {
                    Change::JoinAffinityGroups { instance, groups } => {
                        for group in groups {
                            members
                                .rows
                                .push(row!({ "instance": hex(*instance), "affinity_group": hex(*group) }));
                            members.of.push((instance.uuid(), group.uuid(), n));
                        }
                    }
                    Change::TakePlaces {
                        run,
                        compute_host,
                        ties,
                    } => {
                        let required = |strength| strength == AffinityStrength::Required;
                        for tie in ties.iter().filter(|tie| required(tie.strength)) {
                            let row = row!({
                                "run": hex(*run), "affinity_group": hex(tie.group),
                                "compute_host": hex(*compute_host),
                            });
                            if tie.kind == AffinityKind::Affinity {
                                homes.push(row.clone());
                            }
                            places.rows.push(row);
                            places.of.push((run.uuid(), tie.group.uuid(), n));
                        }
                    }
                    _ => {}
                }
            }
        }
        let joined = self
            .run(&sql::INSERT_MEMBER, std::mem::take(&mut members.rows), &[])
            .await?;
        members.missing(&joined, |group| Refused::MissingReference {
            table: "instance",
            reference: format!("affinity group {group} of its zone and project"),
        })?;
        // The runs that this commit ends have left already.
        self.run(&sql::LEAVE_HOME, homes.clone(), &[]).await?;
        self.run(&sql::INSERT_HOME, homes, &[]).await?;
        let taken = self
            .run(&sql::INSERT_PLACE, std::mem::take(&mut places.rows), &[])
            .await?;
        places.missing(&taken, |id| Refused::NoRoom {
            table: Refused::GROUP,
            id,
        })
    }
}
