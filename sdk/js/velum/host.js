import { Column, Fact } from "./declaration.js";

/** Something was read that was not declared. */
export class Undeclared extends Error {}

/**
 * One row: a compute host, or a storage pool. Reading what was not declared refuses the row with words that say so.
 */
export class Host {
  #columns;
  #attributes;
  #facts;
  #resources;

  constructor(columns, attributes, facts, resources = { free: new Map(), total: new Map() }) {
    /** Its number. It is the same row from one load to the next and means nothing else. */
    this.row = 0;
    this.#columns = columns;
    this.#attributes = attributes;
    this.#facts = facts;
    this.#resources = resources;
  }

  /** A declared column by its code. */
  column(id) {
    const values = this.#columns[id];
    if (values === undefined) throw new Undeclared();
    return values[this.row];
  }

  /** A declared numeric attribute that operators set; 0 where the row has none. */
  attribute(name) {
    const values = this.#attributes.get(name);
    if (values === undefined) throw new Undeclared();
    return values[this.row];
  }

  /** How much of a declared countable resource may still be promised; 0 where the row has none. */
  freeResource(name) {
    return this.#resource(this.#resources.free, name);
  }

  /** How much of a declared countable resource may be promised in all; 0 where the row has none. */
  totalResource(name) {
    return this.#resource(this.#resources.total, name);
  }

  #resource(columns, name) {
    const values = columns.get(name);
    if (values === undefined) throw new Undeclared();
    return values[this.row];
  }

  /** What a declared fact of the request says of this row; 0 if nothing. */
  fact(id) {
    const rows = this.#facts.get(id);
    if (rows === undefined) throw new Undeclared();
    return rows.get(this.row) ?? 0;
  }

  /** vCPUs that may still be promised. */
  get freeVcpus() {
    return this.column(Column.FREE_VCPUS);
  }

  /** MiB of memory that may still be promised. */
  get freeMemoryMib() {
    return this.column(Column.FREE_MEMORY_MIB);
  }

  /** vCPUs that may be promised in all. */
  get totalVcpus() {
    return this.column(Column.TOTAL_VCPUS);
  }

  /** MiB of memory that may be promised in all. */
  get totalMemoryMib() {
    return this.column(Column.TOTAL_MEMORY_MIB);
  }

  /** Active runs. */
  get runs() {
    return this.column(Column.RUNS);
  }

  /** GiB that may still be promised (pools). */
  get freeGib() {
    return this.column(Column.FREE_GIB);
  }

  /** GiB that may be promised in all (pools). */
  get totalGib() {
    return this.column(Column.TOTAL_GIB);
  }

  /** A number that rows of the same pod share; must be declared. */
  get pod() {
    return this.column(Column.POD);
  }

  /** A number that rows of the same cluster share; must be declared. */
  get cluster() {
    return this.column(Column.CLUSTER);
  }

  /**
   * The latest minute since 1970 at which a run of the row is expected to end; 0 without runs, `NO_END` with one of which nobody said
   * when; must be declared.
   */
  get latestEnd() {
    return this.column(Column.LATEST_END);
  }

  /** Whether the template is cached on a pool that the row reaches; must be declared. */
  get templateCached() {
    return this.fact(Fact.TEMPLATE_CACHED) !== 0;
  }

  /** Whether the instance ran here before; must be declared. */
  get isPrevious() {
    return this.fact(Fact.PREVIOUS_HOST) !== 0;
  }

  /** How many instances of the same project the row has; must be declared. */
  get sameProject() {
    return this.fact(Fact.SAME_PROJECT);
  }

  /** How many instances of the same project run in the pod of the row; must be declared. */
  get sameProjectInPod() {
    return this.fact(Fact.SAME_PROJECT_IN_POD);
  }

  /** How many members of the affinity groups of the instance the row has; must be declared. */
  get kin() {
    return this.fact(Fact.KIN);
  }
}
