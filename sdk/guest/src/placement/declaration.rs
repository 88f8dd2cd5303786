//! What a policy wants to know.

use crate::{bindings::policy::exports::velum::placement::policy as wit, codes::placement as code};

/// What a policy wants to know of rows and requests. Begin with [`Declaration::hosts`] or [`Declaration::pools`] and add.
///
/// ```
/// use velum_guest::placement::*;
///
/// /// Keeps a project's guests apart, and says no to hosts that are nearly worn out.
/// struct Apart;
///
/// const WORN_OUT: u16 = 1;
///
/// impl Policy for Apart {
///     fn configure(_json: &str) -> Result<Self, String> {
///         Ok(Self)
///     }
///     fn declare(&self) -> Declaration {
///         Declaration::hosts()
///             .attribute("age_years")
///             .same_project()
///             .refusal(WORN_OUT, "the compute host is too old")
///     }
///     fn score(&self, ask: &Ask, host: &Host) -> Score {
///         if host.attribute("age_years") > 7 {
///             return Score::refuse(WORN_OUT);
///         }
///         Score::of(1000 - host.same_project(ask).min(1000))
///     }
/// }
///
/// let hosts: [&[_]; 2] = [&[("age_years", 2)], &[("age_years", 9)]];
/// let ask = Ask::default().with_fact(code::FACT_SAME_PROJECT, vec![(0, 3)]);
/// let scores = testing::scores::<Apart>("{}", &ask, &hosts);
/// assert_eq!(scores, [Score::of(997), Score::refuse(WORN_OUT)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    pub(crate) row_kind: u16,
    pub(crate) columns: Vec<(u16, Option<String>)>,
    pub(crate) demands: Vec<u16>,
    pub(crate) facts: Vec<u16>,
    pub(crate) row_local: bool,
    pub(crate) max_rows: u32,
    pub(crate) refusals: Vec<(u16, String)>,
    pub(crate) config_schema: String,
}

impl Declaration {
    /// Compute hosts: free and total vCPUs and memory, runs; demands vCPUs and memory.
    #[must_use]
    pub fn hosts() -> Self {
        Self::bare(code::ROW_COMPUTE_HOST)
            .column(code::COLUMN_FREE_VCPUS)
            .column(code::COLUMN_FREE_MEMORY_MIB)
            .column(code::COLUMN_TOTAL_VCPUS)
            .column(code::COLUMN_TOTAL_MEMORY_MIB)
            .column(code::COLUMN_RUNS)
            .demand(code::DEMAND_VCPUS)
            .demand(code::DEMAND_MEMORY_MIB)
    }

    /// Storage pools: free and total GiB; demand GiB.
    #[must_use]
    pub fn pools() -> Self {
        Self::bare(code::ROW_STORAGE_POOL)
            .column(code::COLUMN_FREE_GIB)
            .column(code::COLUMN_TOTAL_GIB)
            .demand(code::DEMAND_GIB)
    }

    /// Rows of a kind and nothing of them: for policies that want no more than they name.
    #[must_use]
    pub const fn bare(row_kind: u16) -> Self {
        Self {
            row_kind,
            columns: Vec::new(),
            demands: Vec::new(),
            facts: Vec::new(),
            row_local: true,
            max_rows: 0,
            refusals: Vec::new(),
            config_schema: String::new(),
        }
    }

    /// Adds a column by its code; twice is once.
    #[must_use]
    pub fn column(mut self, id: u16) -> Self {
        self.add(id, None);
        self
    }

    /// Adds an operator's own numeric attribute; twice is once. A row without it has 0.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>) -> Self {
        self.add(code::COLUMN_ATTRIBUTE, Some(name.into()));
        self
    }

    /// Adds a countable resource of compute hosts: how much of it is free and there in all ([`super::Host::free_resource`],
    /// [`super::Host::total_resource`]), and how much is asked for ([`super::Ask::resource`]); twice is once.
    #[must_use]
    pub fn resource(mut self, name: impl Into<String>) -> Self {
        let name = Some(name.into());
        let place = self.add(code::COLUMN_FREE_RESOURCE, name.clone());
        self.add(code::COLUMN_TOTAL_RESOURCE, name);
        // A descriptor with more columns than have a code here is refused by the server.
        match u16::try_from(place) {
            Ok(place) if place <= code::DEMAND_RESOURCES_LAST - code::DEMAND_RESOURCES => {
                self.demand(code::DEMAND_RESOURCES + place)
            }
            _ => self,
        }
    }

    /// The resource of which a demand wants to know how much is asked.
    pub(crate) fn resource_of(&self, demand: u16) -> Option<&str> {
        let place = demand.checked_sub(code::DEMAND_RESOURCES)?;
        let (id, name) = self.columns.get(usize::from(place))?;
        let is_resource = matches!(*id, code::COLUMN_FREE_RESOURCE | code::COLUMN_TOTAL_RESOURCE);
        name.as_deref().filter(|_| is_resource)
    }

    /// The place of a column, which is added unless it is there.
    fn add(&mut self, id: u16, name: Option<String>) -> usize {
        let column = (id, name);
        let known = self.columns.iter().position(|known| *known == column);
        known.unwrap_or_else(|| {
            self.columns.push(column);
            self.columns.len() - 1
        })
    }

    /// Adds the number that rows of the same pod share.
    #[must_use]
    pub fn pod(self) -> Self {
        self.column(code::COLUMN_POD)
    }

    /// Adds the number that rows of the same cluster share.
    #[must_use]
    pub fn cluster(self) -> Self {
        self.column(code::COLUMN_CLUSTER)
    }

    /// Adds whether the template is cached on a pool that a row reaches.
    #[must_use]
    pub fn template_cached(self) -> Self {
        self.fact(code::FACT_TEMPLATE_CACHED)
    }

    /// Adds which row the instance ran on before.
    #[must_use]
    pub fn previous_host(self) -> Self {
        self.fact(code::FACT_PREVIOUS_HOST)
    }

    /// Adds how many instances of the same project a row has.
    #[must_use]
    pub fn same_project(self) -> Self {
        self.fact(code::FACT_SAME_PROJECT)
    }

    /// Adds how many instances of the same project run in the pod of a row.
    #[must_use]
    pub fn same_project_in_pod(self) -> Self {
        self.fact(code::FACT_SAME_PROJECT_IN_POD)
    }

    /// Adds when machines are expected to end: of a row the latest ([`super::Host::latest_end`]), of the ask its own and the minute
    /// in which it is decided ([`super::Ask::expected_end`], [`super::Ask::now_minute`]).
    #[must_use]
    pub fn lifetimes(self) -> Self {
        self.column(code::COLUMN_LATEST_END)
            .attr(code::ATTR_NOW)
            .attr(code::ATTR_EXPECTED_END)
    }

    /// Adds an attribute of the request by its code; twice is once. Scores are kept for requests that have the same: what a policy does
    /// not need costs it.
    #[must_use]
    pub fn attr(self, id: u16) -> Self {
        self.demand(code::DEMAND_ATTRS + id)
    }

    /// Adds how many members of the affinity groups of the instance a row has.
    #[must_use]
    pub fn kin(self) -> Self {
        self.fact(code::FACT_KIN)
    }

    /// Adds a demand by its code; twice is once.
    #[must_use]
    pub fn demand(mut self, id: u16) -> Self {
        if !self.demands.contains(&id) {
            self.demands.push(id);
        }
        self
    }

    /// Adds a fact by its code; twice is once.
    #[must_use]
    pub fn fact(mut self, id: u16) -> Self {
        if !self.facts.contains(&id) {
            self.facts.push(id);
        }
        self
    }

    /// Puts a refusal code in words, for operators and tenants. 65535 is taken.
    #[must_use]
    pub fn refusal(mut self, code: u16, words: impl Into<String>) -> Self {
        self.refusals.push((code, words.into()));
        self
    }

    /// Says that a row's score depends on other rows or on the seed, so that the server keeps no scores.
    #[must_use]
    pub const fn compares_rows(mut self) -> Self {
        self.row_local = false;
        self
    }

    /// Wants to see at most so many rows at once, a seeded sample.
    #[must_use]
    pub const fn sample(mut self, max_rows: u32) -> Self {
        self.max_rows = max_rows;
        self
    }

    /// JSON Schema of the configuration, where it is not in plugin.toml.
    #[must_use]
    pub fn config_schema(mut self, json: impl Into<String>) -> Self {
        self.config_schema = json.into();
        self
    }

    /// As it travels.
    pub(crate) fn describe(&self, name: &str) -> wit::Descriptor {
        let (code, words) = super::Score::UNDECLARED_WORDS;
        let mut refusals = self.refusals.clone();
        refusals.push((code, words.to_owned()));
        wit::Descriptor {
            name: name.to_owned(),
            row_kind: self.row_kind,
            columns: self
                .columns
                .iter()
                .map(|(id, name)| wit::Column {
                    id: *id,
                    name: name.clone(),
                    scale: 0,
                })
                .collect(),
            demands: self.demands.clone(),
            facts: self.facts.clone(),
            row_local: self.row_local,
            max_rows: self.max_rows,
            refusals,
            config_schema: self.config_schema.clone(),
        }
    }
}
