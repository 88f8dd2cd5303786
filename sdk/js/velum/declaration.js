/** Codes of columns. */
export const Column = Object.freeze({
  ATTRIBUTE: 0,
  FREE_VCPUS: 1,
  FREE_MEMORY_MIB: 2,
  TOTAL_VCPUS: 3,
  TOTAL_MEMORY_MIB: 4,
  RUNS: 5,
  FREE_GIB: 6,
  TOTAL_GIB: 7,
  POD: 8,
  CLUSTER: 9,
  LATEST_END: 10,
  FREE_RESOURCE: 11,
  TOTAL_RESOURCE: 12,
});

/** Codes of facts of one request. */
export const Fact = Object.freeze({ TEMPLATE_CACHED: 1, PREVIOUS_HOST: 2, SAME_PROJECT: 3, KIN: 4, SAME_PROJECT_IN_POD: 5 });

/** An expected end that nobody said. */
export const NO_END = 0xffffffff;

/** A demand that wants an attribute of the request: the attribute's code follows on it. */
const ATTRS = 0x100;
const NOW = 1;
const EXPECTED_END = 2;

/** A demand that wants how much is asked of a resource: the place of a column of it follows on it. */
const RESOURCES = 0x200;

const COMPUTE_HOSTS = 0;
const STORAGE_POOLS = 1;

/** What a policy wants to know of rows and requests. Begin with `hosts()` or `pools()` and add. */
export class Declaration {
  constructor(rowKind) {
    this.rowKind = rowKind;
    this.columns = [];
    this.demands = [];
    this.facts = [];
    this.refusals = [];
    this.rowLocal = true;
    this.maxRows = 0;
  }

  /** Compute hosts: free and total vCPUs and memory, runs; demands vCPUs and memory. */
  static hosts() {
    return new Declaration(COMPUTE_HOSTS)
      .column(Column.FREE_VCPUS)
      .column(Column.FREE_MEMORY_MIB)
      .column(Column.TOTAL_VCPUS)
      .column(Column.TOTAL_MEMORY_MIB)
      .column(Column.RUNS)
      .demand(1)
      .demand(2);
  }

  /** Storage pools: free and total GiB; demand GiB. */
  static pools() {
    return new Declaration(STORAGE_POOLS).column(Column.FREE_GIB).column(Column.TOTAL_GIB).demand(3);
  }

  /** Adds a column by its code; twice is once. */
  column(id) {
    return this.#add(id, undefined);
  }

  /** Adds an operator's own numeric attribute; twice is once. A row without it has 0. */
  attribute(name) {
    return this.#add(Column.ATTRIBUTE, name);
  }

  /** Adds a countable resource: how much of it a row has free and in all, and how much is asked for; twice is once. */
  resource(name) {
    this.#add(Column.FREE_RESOURCE, name).#add(Column.TOTAL_RESOURCE, name);
    return this.demand(RESOURCES + this.columns.findIndex((column) => column.id === Column.FREE_RESOURCE && column.name === name));
  }

  /** The resource of which a demand wants to know how much is asked; undefined when it is another demand. */
  resourceOf(demand) {
    const column = this.columns[demand - RESOURCES];
    return column?.id === Column.FREE_RESOURCE || column?.id === Column.TOTAL_RESOURCE ? column.name : undefined;
  }

  /** What is asked for, as it travels, by code, and of resources by name. */
  amounts(asked) {
    const demands = new Map();
    const resources = new Map();
    this.demands.forEach((id, at) => {
      const name = this.resourceOf(id);
      if (name === undefined) demands.set(id, asked[at] ?? 0);
      else resources.set(name, asked[at] ?? 0);
    });
    return { demands, resources };
  }

  #add(id, name) {
    if (!this.columns.some((known) => known.id === id && known.name === name)) this.columns.push({ id, name });
    return this;
  }

  /** Adds the number that rows of the same pod share. */
  pod() {
    return this.column(Column.POD);
  }

  /** Adds the number that rows of the same cluster share. */
  cluster() {
    return this.column(Column.CLUSTER);
  }

  /** Adds whether the template is cached on a pool that a row reaches. */
  templateCached() {
    return this.fact(Fact.TEMPLATE_CACHED);
  }

  /** Adds which row the instance ran on before. */
  previousHost() {
    return this.fact(Fact.PREVIOUS_HOST);
  }

  /** Adds how many instances of the same project a row has. */
  sameProject() {
    return this.fact(Fact.SAME_PROJECT);
  }

  /** Adds how many instances of the same project run in the pod of a row. */
  sameProjectInPod() {
    return this.fact(Fact.SAME_PROJECT_IN_POD);
  }

  /** Adds when machines are expected to end: of a row the latest, of the ask its own and the minute in which it is decided. */
  lifetimes() {
    return this.column(Column.LATEST_END).attr(NOW).attr(EXPECTED_END);
  }

  /** Adds an attribute of the request by its code; twice is once. */
  attr(id) {
    return this.demand(ATTRS + id);
  }

  /** Adds how many members of the affinity groups of the instance a row has. */
  kin() {
    return this.fact(Fact.KIN);
  }

  /** Adds a demand by its code; twice is once. */
  demand(id) {
    if (!this.demands.includes(id)) this.demands.push(id);
    return this;
  }

  /** Adds a fact of the request by its code (see `Fact`); twice is once. */
  fact(id) {
    if (!this.facts.includes(id)) this.facts.push(id);
    return this;
  }

  /** Puts a refusal code in words, for operators and tenants: no names of hosts in them. */
  refusal(code, words) {
    this.refusals.push([code, words]);
    return this;
  }

  /** Says that a row's score depends on the seed, so that the server keeps no scores. */
  comparesRows() {
    this.rowLocal = false;
    return this;
  }

  /** Wants to see at most so many rows at once, a seeded sample; 0 is all. */
  sample(maxRows) {
    this.maxRows = maxRows;
    return this;
  }
}
