import { Config, Refused } from "./config.js";
import { Column, Declaration } from "./declaration.js";
import { Host, Undeclared } from "./host.js";
import { OWN_WORDS, REFUSE, UNDECLARED, travelling } from "./score.js";

/**
 * What stands between the contract and a policy: holds the configured policy and the inventory. Nothing here knows of
 * WebAssembly, so that tests run it natively; `component.js` makes a component of it.
 */
export class Engine {
  #make;
  #policy;
  #declaration;
  #epoch;
  #rows = 0;
  #columns = [];

  /** `policy` is a class with `configure`, `declare` and `score`. */
  constructor(policy) {
    this.#make = policy;
  }

  #drop() {
    this.#epoch = undefined;
    this.#rows = 0;
    this.#columns = [];
  }

  /** What it wants to know; before `configure`, what it wants under an empty configuration. */
  declaration() {
    if (this.#declaration !== undefined) return this.#declaration;
    try {
      return this.#configured("{}").declaration;
    } catch (error) {
      if (error instanceof Refused) return new Declaration(0);
      throw error;
    }
  }

  /** Refusal codes in words. */
  refusals() {
    return [...this.declaration().refusals, ...OWN_WORDS];
  }

  #configured(text) {
    const config = new Config(text);
    const policy = new this.#make();
    policy.configure(config);
    config.finish();
    return { policy, declaration: policy.declare() };
  }

  /** Takes a configuration and drops what was loaded. Throws `Refused`: the old one stays. */
  configure(text) {
    const { policy, declaration } = this.#configured(text);
    this.#policy = policy;
    this.#declaration = declaration;
    this.#drop();
  }

  /** Takes a whole inventory. False: it is not configured, or the lengths do not fit; it holds nothing then. */
  load(epoch, rows, values) {
    this.#drop();
    const wanted = this.#declaration?.columns.length;
    if (wanted === undefined || values.length !== rows * wanted) return false;
    for (let at = 0; at < wanted; at += 1) {
      this.#columns.push(Uint32Array.from(values.slice(at * rows, (at + 1) * rows)));
    }
    this.#rows = rows;
    this.#epoch = epoch;
    return true;
  }

  /** Changes rows. False: it does not hold `before`, or the lengths do not fit; nothing changed. */
  apply(before, after, rows, values) {
    if (this.#epoch !== before || values.length !== rows.length * this.#columns.length) return false;
    for (const row of rows) {
      if (row >= this.#rows) return false;
    }
    let at = 0;
    for (const column of this.#columns) {
      for (const row of rows) {
        column[row] = values[at];
        at += 1;
      }
    }
    this.#epoch = after;
    return true;
  }

  /** One score a row asked, every row for none; empty if it does not hold this epoch or a row does not exist. */
  score(epoch, ask, rows) {
    if (this.#epoch === undefined || this.#epoch !== epoch) return [];
    const host = this.#host(ask);
    const asked = rows.length > 0 ? rows : Array.from({ length: this.#rows }, (_, row) => row);
    const answer = [];
    for (const row of asked) {
      if (row >= this.#rows) return [];
      host.row = row;
      answer.push(this.#one(ask, host));
    }
    return answer;
  }

  #one(ask, host) {
    try {
      return travelling(this.#policy.score(ask, host));
    } catch (error) {
      if (error instanceof Undeclared) return REFUSE + UNDECLARED;
      throw error;
    }
  }

  #host(ask) {
    const columns = [];
    const attributes = new Map();
    const resources = { free: new Map(), total: new Map() };
    this.#declaration.columns.forEach(({ id, name }, at) => {
      if (id === Column.ATTRIBUTE) attributes.set(name, this.#columns[at]);
      else if (id === Column.FREE_RESOURCE) resources.free.set(name, this.#columns[at]);
      else if (id === Column.TOTAL_RESOURCE) resources.total.set(name, this.#columns[at]);
      else columns[id] = this.#columns[at];
    });
    const facts = new Map(this.#declaration.facts.map((id) => [id, ask.facts.get(id) ?? new Map()]));
    return new Host(columns, attributes, facts, resources);
  }
}
