import { Declaration, Policy } from "./velum/index.js";

/** Prefers the compute host that draws the least power, a number that operators set on their hosts. */
export default class Coolest extends Policy {
  declare() {
    return Declaration.hosts().attribute("power_w");
  }

  score(ask, host) {
    return 100_000 - Math.min(host.attribute("power_w"), 100_000);
  }
}
