const VCPUS = 1;
const MEMORY_MIB = 2;
const GIB = 3;
const NOW = 1;
const EXPECTED_END = 2;

/** What is asked for. What was not declared, or is not asked for, is 0. */
export class Ask {
  #demands;
  #attrs;
  #resources;

  /**
   * @param {Map<number, number>} demands amounts by code
   * @param {Map<number, Map<number, number>>} facts by code, each a map of rows and values
   * @param {number} seed
   * @param {Map<number, number>} attrs attributes of the request by code
   * @param {Map<string, number>} resources amounts of countable resources by name
   */
  constructor(demands, facts = new Map(), seed = 0, attrs = new Map(), resources = new Map()) {
    this.#demands = demands;
    this.#attrs = attrs;
    this.#resources = resources;
    this.facts = facts;
    /** The only chance there is; 0 for policies that do not compare rows. */
    this.seed = seed;
  }

  /** An ask as tests build it. */
  static of({ vcpus = 0, memoryMib = 0, gib = 0, nowMinute = 0, expectedEnd, resources = {} } = {}) {
    const demands = new Map([
      [VCPUS, vcpus],
      [MEMORY_MIB, memoryMib],
      [GIB, gib],
    ]);
    const attrs = new Map([[NOW, nowMinute]]);
    if (expectedEnd !== undefined) attrs.set(EXPECTED_END, expectedEnd);
    return new Ask(demands, new Map(), 0, attrs, new Map(Object.entries(resources)));
  }

  /** How much of a demand, by its code. */
  demand(code) {
    return this.#demands.get(code) ?? 0;
  }

  /** How much of a countable resource, by its name. */
  resource(name) {
    return this.#resources.get(name) ?? 0;
  }

  /** An attribute of the request by its code; undefined if there is none, or it was not declared. */
  attr(code) {
    return this.#attrs.get(code);
  }

  /** The minute since 1970 in which this is decided; 0 if it was not declared. */
  get nowMinute() {
    return this.attr(NOW) ?? 0;
  }

  /** The minute since 1970 at which the machine is expected to end; undefined when nobody said, or it was not declared. */
  get expectedEnd() {
    return this.attr(EXPECTED_END);
  }

  /** vCPUs. */
  get vcpus() {
    return this.demand(VCPUS);
  }

  /** MiB of memory. */
  get memoryMib() {
    return this.demand(MEMORY_MIB);
  }

  /** GiB of storage. */
  get gib() {
    return this.demand(GIB);
  }
}
