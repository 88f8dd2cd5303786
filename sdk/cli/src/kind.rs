//! What the commands of all resources have in common: list, show, delete, and names wherever ids are.

use serde_json::Value;
use uuid::Uuid;
use velum_client::{Answered, Collection, Filter, Identified, Zones};

use crate::{
    failure::Failure,
    names::Names,
    progress::finish,
    session::{Most, Session, Wait},
    table::{self, Column, Kind},
    text::plain,
};

/// A resource as the command line shows it.
pub trait Shown: Identified {
    /// What one is called: `zone`, `compute host`.
    const NOUN: &'static str;
    /// The columns of its list.
    const COLUMNS: &'static [Column];
    /// Whether it has a name that it can be found by.
    const HAS_NAME: bool = true;
}

/// Which rows of a list, and how many.
#[derive(clap::Args, Clone, Debug)]
pub struct Rows {
    /// Only the one with this name.
    #[arg(long)]
    pub name: Option<String>,
    #[command(flatten)]
    pub most: Most,
}

/// One resource by name or id.
#[derive(clap::Args, Clone, Debug)]
pub struct One {
    /// Name or id.
    #[arg(value_name = "NAME|ID")]
    pub name: String,
}

/// `velum <resource> list`.
pub async fn list<R: Shown>(session: &Session, rows: &Rows, filter: Filter) -> Result<(), Failure> {
    list_limited::<R>(
        session,
        rows.most.limit,
        filter.with_some("name", rows.name.as_ref()),
    )
    .await
}

/// The same for resources without a name.
pub async fn list_limited<R: Shown>(session: &Session, limit: u32, filter: Filter) -> Result<(), Failure> {
    let (items, more) = collection::<R>(session).first(&filter, limit as usize).await?;
    print_rows::<R>(session, &items, more.then_some(limit)).await
}

/// Prints rows as a list; with a limit when there are more.
pub async fn print_rows<R: Shown>(
    session: &Session,
    items: &[R::View],
    cut_at: Option<u32>,
) -> Result<(), Failure> {
    let values = items
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(unshowable)?;
    let names = learn(session, &values, R::COLUMNS).await;
    session.print(&items, || rows_of::<R>(&values, &names))?;
    if let Some(limit) = cut_at {
        session.say(&format!("there are more: these are the first {limit} (--limit)"));
    }
    Ok(())
}

fn rows_of<R: Shown>(values: &[Value], names: &Names) -> String {
    let headers: Vec<&str> = R::COLUMNS.iter().map(|c| c.header).collect();
    let rows = values
        .iter()
        .map(|v| table::cells(v, R::COLUMNS, names))
        .collect();
    table::list(
        &headers,
        rows,
        R::COLUMNS.iter().position(|c| c.kind == Kind::State),
    )
}

/// `velum <resource> show`.
pub async fn show<R: Shown>(session: &Session, one: &One) -> Result<(), Failure> {
    let id = resolve::<R>(session, &one.name, &Filter::new()).await?;
    show_id::<R>(session, id).await
}

/// Shows the resource of this id as it is now.
pub async fn show_id<R: Shown>(session: &Session, id: Uuid) -> Result<(), Failure> {
    let view = collection::<R>(session).get(id).await?;
    show_view::<R>(session, &view).await
}

/// Shows a resource.
pub async fn show_view<R: Shown>(session: &Session, view: &R::View) -> Result<(), Failure> {
    let value = serde_json::to_value(view).map_err(unshowable)?;
    let names = learn_all(session, &value).await;
    session.print(view, || table::pairs(&fields(&value, &names)))
}

/// `velum <resource> delete`.
pub async fn delete<R: Shown>(session: &Session, one: &One, wait: Wait) -> Result<(), Failure> {
    let id = resolve::<R>(session, &one.name, &Filter::new()).await?;
    let operation = collection::<R>(session).delete(id).await?;
    gone::<R>(session, id, operation, wait).await
}

/// Tells that something is gone, or on its way.
pub async fn gone<R: Shown>(
    session: &Session,
    id: Uuid,
    operation: Option<Uuid>,
    wait: Wait,
) -> Result<(), Failure> {
    match operation {
        Some(operation) if wait.wait => {
            let view = finish(session, operation).await?;
            session.print(&view, || format!("{} {id} is gone\n", R::NOUN))
        }
        Some(operation) => {
            let accepted = serde_json::json!({ "id": id, "operation": operation });
            session.print(&accepted, || {
                goes_on(&format!("{} {id} is going", R::NOUN), operation)
            })
        }
        None => session.print(&serde_json::json!({ "id": id }), || {
            format!("{} {id} is gone\n", R::NOUN)
        }),
    }
}

/// Shows what was made or changed; waits first when that is wanted.
pub async fn answered<R: Shown>(
    session: &Session,
    answered: Answered<R::View>,
    wait: Wait,
) -> Result<(), Failure> {
    match answered.operation {
        Some(operation) if wait.wait => {
            finish(session, operation).await?;
            show_id::<R>(session, R::id(&answered.value)).await
        }
        Some(operation) => {
            show_view::<R>(session, &answered.value).await?;
            session.say(goes_on("accepted", operation).trim_end());
            Ok(())
        }
        None => show_view::<R>(session, &answered.value).await,
    }
}

fn goes_on(what: &str, operation: Uuid) -> String {
    format!("{what}: operation {operation} goes on (velum operation wait {operation})\n")
}

/// The id behind a name or an id. `within` narrows the search (`zone=…`).
pub async fn resolve<R: Shown>(session: &Session, name: &str, within: &Filter) -> Result<Uuid, Failure> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    if !R::HAS_NAME {
        return Err(Failure::usage(format!(
            "'{name}' is no id, and {} has no names",
            plural::<R>()
        )));
    }
    let (found, more) = collection::<R>(session)
        .first(&within.clone().with("name", name), MOST_NAMED)
        .await?;
    match found.as_slice() {
        [] => Err(Failure::Local(anyhow::anyhow!(
            "there is no {} named '{}'",
            R::NOUN,
            plain(name)
        ))),
        [one] => Ok(R::id(one)),
        many => {
            let ids: Vec<String> = many.iter().map(|view| R::id(view).to_string()).collect();
            let dots = if more { ", …" } else { "" };
            Err(Failure::usage(format!(
                "'{}' is the name of several {}; say which by its id: {}{dots}",
                plain(name),
                plural::<R>(),
                ids.join(", "),
            )))
        }
    }
}

/// The same where a value may be missing.
pub async fn resolve_some<R: Shown>(
    session: &Session,
    name: Option<&str>,
    within: &Filter,
) -> Result<Option<Uuid>, Failure> {
    match name {
        Some(name) => resolve::<R>(session, name, within).await.map(Some),
        None => Ok(None),
    }
}

/// The zone of this name or id; without one, the only zone that there is.
pub async fn zone_or_only(session: &Session, name: Option<&str>) -> Result<Uuid, Failure> {
    if let Some(name) = name {
        return resolve::<Zones>(session, name, &Filter::new()).await;
    }
    let (zones, _) = session.client.zones().first(&Filter::new(), 2).await?;
    match zones.as_slice() {
        [only] => Ok(only.id),
        [] => Err(Failure::Local(anyhow::anyhow!(
            "there is no zone yet (velum zone create)"
        ))),
        _ => Err(Failure::usage("there are several zones: say which with --zone")),
    }
}

/// A filter for what lies in a zone.
pub async fn in_zone(session: &Session, zone: Option<&str>) -> Result<Filter, Failure> {
    let zone = resolve_some::<Zones>(session, zone, &Filter::new()).await?;
    Ok(Filter::new().with_some("zone_id", zone))
}

/// So many of one name are listed when a name says not enough.
const MOST_NAMED: usize = 5;

fn plural<R: Identified>() -> String {
    R::COLLECTION.replace('-', " ")
}

/// The collection of a resource.
pub fn collection<R: Identified>(session: &Session) -> Collection<'_, R> {
    session.client.collection()
}

fn unshowable(error: serde_json::Error) -> Failure {
    Failure::Local(anyhow::Error::new(error).context("could not show the answer"))
}

/// Names for the columns that refer to something.
pub async fn learn(session: &Session, values: &[Value], columns: &[Column]) -> Names {
    let mut names = Names::default();
    if session.output == crate::session::Output::Json {
        return names;
    }
    for column in columns {
        let Kind::Of(of) = column.kind else { continue };
        let ids: Vec<String> = values
            .iter()
            .filter_map(|v| table::at(v, column.path).as_str().map(str::to_owned))
            .collect();
        names.learn(&session.client, of, &ids).await;
    }
    names
}

/// Field names that hold the id of something, with its collection.
const REFERENCES: [(&str, &str); 22] = [
    ("zone_id", "zones"),
    ("pod_id", "pods"),
    ("cluster_id", "clusters"),
    ("compute_host_id", "compute-hosts"),
    ("last_compute_host_id", "compute-hosts"),
    ("storage_pool_id", "storage-pools"),
    ("image_store_id", "image-stores"),
    ("ip_range_id", "ip-ranges"),
    ("network_id", "networks"),
    ("nic_id", "nics"),
    ("compute_offering_id", "compute-offerings"),
    ("disk_offering_id", "disk-offerings"),
    ("network_offering_id", "network-offerings"),
    ("template_id", "templates"),
    ("affinity_group_id", "affinity-groups"),
    ("affinity_group_ids", "affinity-groups"),
    ("instance_id", "instances"),
    ("volume_id", "volumes"),
    ("operation_id", "operations"),
    ("decision_id", "decisions"),
    ("policy_id", "policies"),
    ("pool_policy_id", "policies"),
];

fn reference(field: &str) -> Option<&'static str> {
    REFERENCES
        .iter()
        .find(|(name, _)| *name == field)
        .map(|(_, of)| *of)
}

async fn learn_all(session: &Session, value: &Value) -> Names {
    let mut names = Names::default();
    if session.output == crate::session::Output::Json {
        return names;
    }
    let mut found = Vec::new();
    references(value, &mut found);
    for (of, id) in found {
        names.learn(&session.client, of, &[id]).await;
    }
    names
}

fn references(value: &Value, found: &mut Vec<(&'static str, String)>) {
    match value {
        Value::Object(map) => {
            for (field, value) in map {
                match (reference(field), value) {
                    (Some(of), Value::String(id)) => found.push((of, id.clone())),
                    (Some(of), Value::Array(ids)) => {
                        let ids = ids.iter().filter_map(Value::as_str);
                        found.extend(ids.map(|id| (of, id.to_owned())));
                    }
                    _ => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

/// Every field of a resource as a line or more.
fn fields(value: &Value, names: &Names) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    if let Value::Object(map) = value {
        // Links are for programs.
        let mut known: Vec<_> = map.iter().filter(|(field, _)| *field != "links").collect();
        known.sort_by_key(|(field, _)| place(field));
        for (field, value) in known {
            push_field(&label(field), field, value, names, &mut rows);
        }
    }
    rows
}

/// What it is called comes first, its history last, the rest as it came.
fn place(field: &str) -> u8 {
    match field {
        "name" => 0,
        "id" => 1,
        "state" | "kind" => 2,
        "generation" => 4,
        "created_at" | "ended_at" => 5,
        _ => 3,
    }
}

/// `compute_host_id` is read as what it leads to: the compute host.
fn label(field: &str) -> String {
    let several = field.strip_suffix("_ids").map(|one| format!("{one}s"));
    let one = field.strip_suffix("_id").map(str::to_owned);
    let leads = several.or(one).filter(|_| reference(field).is_some());
    leads.unwrap_or_else(|| field.to_owned()).replace('_', " ")
}

fn push_field(of: &str, field: &str, value: &Value, names: &Names, rows: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (inner, value) in map {
                push_field(&format!("{of}.{}", label(inner)), inner, value, names, rows);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (i, item) in items.iter().enumerate() {
                push_field(&format!("{of} {i}"), field, item, names, rows);
            }
        }
        _ => rows.push((plain(of), shown(field, value, names))),
    }
}

fn shown(field: &str, value: &Value, names: &Names) -> String {
    if let (Some(of), Value::String(id)) = (reference(field), value) {
        let name = names.name(of, id);
        return if name == *id {
            plain(id)
        } else {
            plain(&format!("{name} ({id})"))
        };
    }
    if let (Some(of), Value::Array(ids)) = (reference(field), value)
        && !ids.is_empty()
    {
        let ids = ids.iter().filter_map(Value::as_str);
        let each: Vec<String> = ids.map(|id| names.name(of, id)).collect();
        return plain(&each.join(", "));
    }
    let kind = match field {
        f if f.ends_with("_at") || f == "at" => Kind::Time,
        f if f.ends_with("bytes") => Kind::Bytes,
        f if f.ends_with("_mib") => Kind::Mib,
        _ => Kind::Text,
    };
    table::word(value, kind, names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_shown_field_by_field_with_the_names_of_what_it_refers_to() {
        let names = Names::fixed("zones", &[("1", "east")]);
        let value = json!({"id": "9", "zone_id": "1", "run": {"compute_host_id": "7"}, "nics": [{"mac": "a"}], "size_bytes": 1024});
        let rows = fields(&value, &names);
        let has = |name: &str, value: &str| rows.contains(&(name.to_owned(), value.to_owned()));
        assert!(
            has("zone", "east (1)") && has("run.compute host", "7"),
            "{rows:?}"
        );
        let names = Names::fixed("affinity-groups", &[("1", "web"), ("2", "rack")]);
        let in_groups = fields(&json!({"affinity_group_ids": ["1", "2"]}), &names);
        assert_eq!(
            in_groups,
            [("affinity groups".to_owned(), "web, rack".to_owned())]
        );
        assert!(has("nics 0.mac", "a") && has("size bytes", "1 KiB"), "{rows:?}");
    }
}
