/**
 * What a Velum placement policy in JavaScript stands on.
 *
 * A policy is a class with one function, `score(ask, host)`:
 *
 *     import { Declaration, Policy } from "./velum/index.js";
 *
 *     export default class Coolest extends Policy {
 *       declare() {
 *         return Declaration.hosts().attribute("power_w");
 *       }
 *       score(ask, host) {
 *         return 100_000 - Math.min(host.attribute("power_w"), 100_000);
 *       }
 *     }
 *
 * It must be a function of its configuration, the host and the ask, and of nothing else: decisions are replayed. So there
 * is no clock, no chance, no file and no memory of earlier calls. Numbers are whole.
 */

export { Ask } from "./ask.js";
export { Config, Refused } from "./config.js";
export { Column, Declaration, Fact, NO_END } from "./declaration.js";
export { Host } from "./host.js";
export { BEST, refuse } from "./score.js";

import { Declaration } from "./declaration.js";

/** A policy that scores one row at a time: a compute host, or a storage pool. */
export class Policy {
  /**
   * Takes the operator's configuration. Throw `Refused` with words that say what to change. Fields that are not read here
   * are refused by their name.
   * @param {import("./config.js").Config} config
   */
  configure(config) {}

  /** What it wants to know: by default the room and the runs of compute hosts, and the vCPUs and memory asked for. */
  declare() {
    return Declaration.hosts();
  }

  /**
   * How good this row is for this ask, as a whole number: higher is better. `refuse(code)` takes the row out.
   * @param {import("./ask.js").Ask} ask
   * @param {import("./host.js").Host} host
   * @returns {number}
   */
  score(ask, host) {
    throw new Error("a policy has a function score(ask, host)");
  }
}
