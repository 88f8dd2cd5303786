//! Every list of the API with every filter that it takes, as the server's own contract names them: a list that is new is measured
//! without anybody remembering it.

use anyhow::Context as _;
use reqwest::Url;
use serde_json::{Map, Value};
use velum_support::TestCloud;

use crate::clients::{Seen, ask};

/// Rows of a page: the largest that the API gives.
pub const PAGE: usize = 500;
/// Pages that are walked at most to count a list and to find its middle: more than 50,000 rows have, and the log of events goes on.
const WALKED: usize = 150;

/// Where the value of a filter stands in a row, when that is not the field of its name.
const ELSEWHERE: [(&str, &str, &str); 4] = [
    ("operations", "subject", "/subject/collection"),
    ("operations", "subject_id", "/subject/id"),
    ("volumes", "instance_id", "/attachment/instance_id"),
    ("plugins", "publisher_id", "/publisher/id"),
];

/// One kind of page.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The filters by name, `first` or `middle` without any.
    pub by: String,
    /// What is asked.
    pub url: Url,
}

/// A list with all that is asked of it.
#[derive(Clone, Debug)]
pub struct List {
    /// Its collection.
    pub name: String,
    /// Its rows, as far as they were walked.
    pub rows: usize,
    /// What is asked.
    pub asked: Vec<Asked>,
    /// Filters of which no row that was looked at has a value.
    pub without_value: Vec<String>,
}

/// Reads lists raw: what a client does with a page is its own affair.
#[derive(Clone, Debug)]
pub struct Reader {
    http: reqwest::Client,
    server: String,
    token: String,
}

impl Reader {
    /// One with a connection of its own.
    ///
    /// # Errors
    /// There is no token yet.
    pub fn of(cloud: &TestCloud) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::new(),
            server: cloud.url.clone(),
            token: cloud.token()?,
        })
    }

    /// The lists of this server, with what is to be asked of each: its first page, one of its middle, a page by each filter and
    /// one by all of them. The values are those of a row in the middle.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn lists(&self) -> anyhow::Result<Vec<List>> {
        let contract = self.json(&self.url("/openapi.json", &[])?).await?;
        let paths = contract.get("paths").and_then(Value::as_object);
        let mut lists = Vec::new();
        for (path, item) in paths.context("the contract has no paths")? {
            let parameters = query_parameters(item);
            // What hangs on one row is no list of rows.
            if parameters.iter().any(|name| name == "limit") && !path.contains('{') {
                lists.push(self.list(path, &parameters).await?);
            }
        }
        Ok(lists)
    }

    async fn list(&self, path: &str, parameters: &[String]) -> anyhow::Result<List> {
        let name = path.trim_start_matches("/v1/").to_owned();
        let (rows, cursors) = self.walk(path).await?;
        let mut asked = vec![self.asked("first", path, &[])?];
        let middle = cursors.get(cursors.len() / 2);
        if let Some(cursor) = middle {
            asked.push(self.asked("middle", path, &[("cursor", cursor)])?);
        }
        let page = asked.last().context("there is a page")?;
        let page = self.json(&page.url).await?;
        let items = page.get("items").and_then(Value::as_array);
        let items = items.context("a list has no items")?;
        let filters = parameters.iter().filter(|p| *p != "limit" && *p != "cursor");
        let (mut without_value, mut pairs) = (Vec::new(), Vec::new());
        for filter in filters {
            let found = items.iter().find_map(|item| value_of(&name, filter, item));
            match found {
                Some(value) => asked.push(self.asked(filter, path, &[(filter, &value)])?),
                None => without_value.push(filter.clone()),
            }
            // All at once only of one row, or nothing matches.
            pairs.extend(
                items
                    .first()
                    .and_then(|item| value_of(&name, filter, item))
                    .map(|value| (filter.as_str(), value)),
            );
        }
        if pairs.len() > 1 {
            let pairs: Vec<_> = pairs
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            asked.push(self.asked("all filters", path, &pairs)?);
        }
        Ok(List {
            name,
            rows,
            asked,
            without_value,
        })
    }

    /// Goes through a list: its rows, and the cursors of its pages but the first.
    async fn walk(&self, path: &str) -> anyhow::Result<(usize, Vec<String>)> {
        let (mut rows, mut cursors) = (0, Vec::<String>::new());
        loop {
            let after: Vec<_> = cursors
                .last()
                .map(|cursor| ("cursor", cursor.as_str()))
                .into_iter()
                .collect();
            let page = self.json(&self.asked("", path, &after)?.url).await?;
            let found = page.get("items").and_then(Value::as_array).map_or(0, Vec::len);
            rows += found;
            let next = page.get("next_cursor").and_then(Value::as_str);
            match next {
                Some(next) if found > 0 && cursors.len() < WALKED => cursors.push(next.to_owned()),
                _ => return Ok((rows, cursors)),
            }
        }
    }

    fn asked(&self, by: &str, path: &str, pairs: &[(&str, &str)]) -> anyhow::Result<Asked> {
        let limit = PAGE.to_string();
        let pairs = [pairs, &[("limit", limit.as_str())]].concat();
        Ok(Asked {
            by: by.to_owned(),
            url: self.url(path, &pairs)?,
        })
    }

    fn url(&self, path: &str, pairs: &[(&str, &str)]) -> anyhow::Result<Url> {
        Ok(Url::parse_with_params(&format!("{}{path}", self.server), pairs)?)
    }

    async fn json(&self, url: &Url) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.bytes(url).await?).with_context(|| format!("{url} is no JSON"))
    }

    async fn bytes(&self, url: &Url) -> anyhow::Result<Vec<u8>> {
        let ask = self.http.get(url.clone()).bearer_auth(&self.token);
        let response = ask.send().await?.error_for_status()?;
        Ok(response.bytes().await?.into())
    }
}

/// Reads one kind of page `requests` times, by so many readers at a time.
///
/// # Errors
/// One is refused.
pub async fn read(readers: &[Reader], asked: &Asked, requests: u64) -> anyhow::Result<Seen> {
    let url = asked.url.clone();
    ask(readers, requests, move |reader: Reader, _| {
        let url = url.clone();
        async move { reader.bytes(&url).await.map(drop) }
    })
    .await
}

fn query_parameters(item: &Value) -> Vec<String> {
    let parameters = item.pointer("/get/parameters").and_then(Value::as_array);
    let is_query = |p: &&Value| p.get("in") == Some(&Value::from("query"));
    let name = |p: &Value| Some(p.get("name")?.as_str()?.to_owned());
    let parameters = parameters.into_iter().flatten();
    parameters.filter(is_query).filter_map(name).collect()
}

/// What to ask for to find this row by this filter.
fn value_of(list: &str, filter: &str, row: &Value) -> Option<String> {
    let elsewhere = ELSEWHERE
        .iter()
        .find(|(of, name, _)| (*of, *name) == (list, filter));
    let pointer = elsewhere.map_or_else(|| format!("/{filter}"), |(.., pointer)| (*pointer).to_owned());
    match row.pointer(&pointer)? {
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// The worst kind of page of each list, for the report: by what, p50 and p99 in milliseconds, rows of the list.
#[derive(Clone, Debug, Default)]
pub struct Worst(Map<String, Value>);

impl Worst {
    /// Notes the worst of one list.
    pub fn note(&mut self, list: &List, by: &str, p50_ms: f64, p99_ms: f64) {
        let round = |ms: f64| (ms * 10.0).round() / 10.0;
        let told = serde_json::json!({
            "rows": list.rows, "worst_by": by, "p50_ms": round(p50_ms), "p99_ms": round(p99_ms),
            "kinds": list.asked.len(), "without_value": list.without_value,
        });
        self.0.insert(list.name.clone(), told);
    }

    /// As it stands in the report.
    #[must_use]
    pub fn told(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_takes_its_value_from_the_row_and_from_where_the_row_has_it() {
        let row = json!({"zone_id": "z", "attachment": {"instance_id": "i"}, "state": null, "subject": {"id": "s"}});
        assert_eq!(value_of("volumes", "zone_id", &row).as_deref(), Some("z"));
        assert_eq!(value_of("volumes", "instance_id", &row).as_deref(), Some("i"));
        assert_eq!(value_of("nics", "instance_id", &row), None);
        assert_eq!(value_of("volumes", "state", &row), None);
        assert_eq!(value_of("operations", "subject_id", &row).as_deref(), Some("s"));
    }

    #[test]
    fn only_parameters_of_the_query_are_filters() {
        let parameters = json!([{"name": "id", "in": "path"}, {"name": "limit", "in": "query"}]);
        let item = json!({"get": {"parameters": parameters}, "post": {"parameters": []}});
        assert_eq!(query_parameters(&item), ["limit"]);
        assert!(query_parameters(&json!({"post": {}})).is_empty());
    }
}
