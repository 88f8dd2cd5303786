const VCPUS = 1;
const MEMORY_MIB = 2;
const GIB = 3;

/** What is asked for. What was not declared, or is not asked for, is 0. */
export class Ask {
  #demands;

  /**
   * @param {Map<number, number>} demands amounts by code
   * @param {Map<number, Map<number, number>>} facts by code, each a map of rows and values
   * @param {number} seed
   */
  constructor(demands, facts = new Map(), seed = 0) {
    this.#demands = demands;
    this.facts = facts;
    /** The only chance there is; 0 for policies that do not compare rows. */
    this.seed = seed;
  }

  /** An ask as tests build it. */
  static of({ vcpus = 0, memoryMib = 0, gib = 0 } = {}) {
    return new Ask(
      new Map([
        [VCPUS, vcpus],
        [MEMORY_MIB, memoryMib],
        [GIB, gib],
      ]),
    );
  }

  /** How much of a demand, by its code. */
  demand(code) {
    return this.#demands.get(code) ?? 0;
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
