//! Affinity groups, their members, and the places that runs of members take.

use super::{batch, insert, update};
#[cfg(test)]
use crate::db::Statement;

insert!(INSERT_AFFINITY_GROUP, "affinity_group", {
    id id, zone id, project id, name text, description text, kind text, strength text, level text, generation int,
    created_at int
});
update!(UPDATE_AFFINITY_GROUP, "affinity_group", { name text, description text });
batch!(DELETE_AFFINITY_GROUP, "delete from affinity_group", { id id, generation int },
    "DELETE FROM affinity_group WHERE id IN (SELECT r.id FROM r JOIN affinity_group t ON t.id = r.id
     WHERE r.generation = 0 OR r.generation = t.generation) RETURNING id");

batch!(INSERT_MEMBER, "put instances into affinity groups", { instance id, affinity_group id },
    "INSERT INTO affinity_member (instance, affinity_group)
     SELECT i.id, g.id FROM r JOIN instance i ON i.id = r.instance
     JOIN affinity_group g ON g.id = r.affinity_group AND g.zone = i.zone AND g.project = i.project
     WHERE true ON CONFLICT DO NOTHING RETURNING instance, affinity_group");
batch!(LEAVE_HOME, "forget where affinity groups were", { affinity_group id },
    "DELETE FROM affinity_home WHERE affinity_group IN (SELECT affinity_group FROM r) AND NOT EXISTS
     (SELECT 1 FROM affinity_place p WHERE p.affinity_group = affinity_home.affinity_group)");
batch!(INSERT_HOME, "say where affinity groups are", { affinity_group id, compute_host id },
    "INSERT INTO affinity_home (affinity_group, place)
     SELECT g.id, CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END
     FROM r JOIN affinity_group g ON g.id = r.affinity_group AND g.kind = 'affinity' AND g.strength = 'required'
     JOIN compute_host h ON h.id = r.compute_host WHERE true ON CONFLICT DO NOTHING");
batch!(INSERT_PLACE, "take places in affinity groups", { run id, affinity_group id, compute_host id },
    "INSERT INTO affinity_place (run, affinity_group, apart, together)
     SELECT r.run, g.id,
        CASE WHEN g.kind = 'anti-affinity' THEN CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END END,
        CASE WHEN g.kind = 'affinity' THEN o.place END
     FROM r JOIN affinity_group g ON g.id = r.affinity_group AND g.strength = 'required'
     JOIN compute_host h ON h.id = r.compute_host
     LEFT JOIN affinity_home o ON o.affinity_group = g.id
     WHERE g.kind = 'anti-affinity' OR o.place = CASE g.level WHEN 'pod' THEN h.pod ELSE h.id END
     ON CONFLICT DO NOTHING RETURNING run, affinity_group");

/// Every statement of this file.
#[cfg(test)]
pub(crate) const ALL: &[&Statement] = &[
    &INSERT_AFFINITY_GROUP,
    &UPDATE_AFFINITY_GROUP,
    &DELETE_AFFINITY_GROUP,
    &INSERT_MEMBER,
    &LEAVE_HOME,
    &INSERT_HOME,
    &INSERT_PLACE,
];
