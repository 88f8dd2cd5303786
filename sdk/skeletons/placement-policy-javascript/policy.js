import { Declaration, Policy } from "./velum/index.js";

/** Prefers the compute host that draws the least power, a number that operators set on their hosts. */
export default class Coolest extends Policy {
  declare() {
    return Declaration.hosts().attribute("power_w");
  }

  score(ask, host) {
    const watts = host.attribute("power_w");
    if (watts === 0) return 0; // nobody wrote it down: last
    return 100_000 - Math.min(watts, 99_999);
  }
}
