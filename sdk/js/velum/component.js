/**
 * Makes a component of the author's policy: the only module that knows the contract. `velum plugin build` writes
 * `plugin-name.js` beside it.
 */
import Author from "../policy.js";

import { Ask } from "./ask.js";
import { Refused } from "./config.js";
import { Engine } from "./engine.js";
import { Policy } from "./index.js";
import { NAME } from "./plugin-name.js";

if (typeof Author !== "function" || !(Author.prototype instanceof Policy)) {
  throw new Error("policy.js must export, as its default, a class that extends Policy");
}
const engine = new Engine(Author);
// A mistake in the declaration is told when the component is built, not when it is installed.
engine.declaration();

/** The exported interface `velum:placement/policy`. */
export const policy = {
  describe() {
    const declaration = engine.declaration();
    return {
      name: NAME,
      rowKind: declaration.rowKind,
      columns: declaration.columns.map(({ id, name }) => ({ id, name: name ?? null, scale: 0 })),
      demands: declaration.demands,
      facts: declaration.facts,
      rowLocal: declaration.rowLocal,
      maxRows: declaration.maxRows,
      refusals: engine.refusals(),
      configSchema: "",
    };
  },

  configure(json) {
    try {
      engine.configure(json);
    } catch (error) {
      // What is thrown as a text is the contract's error; anything else ends the instance.
      throw error instanceof Refused ? error.message : error;
    }
  },

  load(epoch, rows, values) {
    return engine.load(epoch, rows, values);
  },

  apply(before, after, rows, values) {
    return engine.apply(before, after, rows, values);
  },

  score(epoch, ask, rows) {
    const { demands, resources } = engine.declaration().amounts(ask.demand);
    const facts = new Map(ask.facts.map((fact) => [fact.id, new Map(fact.rows.map((row, at) => [row, fact.values[at]]))]));
    return engine.score(epoch, new Ask(demands, facts, ask.seed, new Map(ask.attrs), resources), rows);
  },
};
