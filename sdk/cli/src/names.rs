//! Names of what a resource refers to by id.

use std::collections::HashMap;

use serde_json::Value;
use velum_client::Client;

/// Names by collection and id, as far as they are known; what is not shows as its id.
#[derive(Debug, Default)]
pub struct Names(HashMap<&'static str, HashMap<String, String>>);

/// The server's largest page.
const PAGE: usize = 500;
/// More names than 5,000 are not fetched to show one table.
const MOST_PAGES: usize = 10;

impl Names {
    /// Fetches the names of `ids` in `collection`. What cannot be read (gone meanwhile, or not for this caller)
    /// stays an id: a table is no place to fail for that.
    pub async fn learn(&mut self, client: &Client, collection: &'static str, ids: &[String]) {
        let known = self.0.entry(collection).or_default();
        let mut wanted: Vec<&String> = ids.iter().filter(|id| !known.contains_key(*id)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        match wanted.as_slice() {
            [] => {}
            few if few.len() <= 4 => {
                for id in few {
                    if let Ok(value) = client.get_json(&format!("/v1/{collection}/{id}")).await {
                        remember(known, &value);
                    }
                }
            }
            _ => learn_pages(client, collection, known).await,
        }
    }

    /// The name of `id`, or the id.
    pub fn name(&self, collection: &str, id: &str) -> String {
        self.0
            .get(collection)
            .and_then(|known| known.get(id))
            .map_or_else(|| id.to_owned(), Clone::clone)
    }

    /// Names that are known beforehand.
    #[cfg(test)]
    pub fn fixed(collection: &'static str, names: &[(&str, &str)]) -> Self {
        let names = names
            .iter()
            .map(|(id, name)| ((*id).to_owned(), (*name).to_owned()))
            .collect();
        Self(HashMap::from([(collection, names)]))
    }
}

async fn learn_pages(client: &Client, collection: &str, known: &mut HashMap<String, String>) {
    let first = format!("/v1/{collection}?limit={PAGE}");
    let mut path = first.clone();
    for _ in 0..MOST_PAGES {
        let Ok(page) = client.get_json(&path).await else {
            return;
        };
        let items = page
            .get("items")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        items.iter().for_each(|value| remember(known, value));
        match page.get("next_cursor").and_then(Value::as_str) {
            Some(cursor) => path = format!("{first}&cursor={cursor}"),
            None => return,
        }
    }
}

fn remember(known: &mut HashMap<String, String>, value: &Value) {
    let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    if let (Some(id), Some(name)) = (text("id"), text("name").or_else(|| text("address"))) {
        known.insert(id, name);
    }
}
