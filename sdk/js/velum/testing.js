import { Ask } from "./ask.js";
import { Engine } from "./engine.js";

const COLUMNS = [
  "",
  "freeVcpus",
  "freeMemoryMib",
  "totalVcpus",
  "totalMemoryMib",
  "runs",
  "freeGib",
  "totalGib",
  "pod",
  "cluster",
];

/**
 * For native tests of policies: what a policy answers for a few rows, through everything that a component has. A row is an
 * object: `{ freeVcpus: 8, power_w: 120 }`; what it lacks is 0.
 */
export function scores(policy, rows, { ask = Ask.of(), config = "{}" } = {}) {
  const engine = new Engine(policy);
  engine.configure(config);
  const values = engine.declaration().columns.flatMap(({ id, name }) => rows.map((row) => row[name ?? COLUMNS[id]] ?? 0));
  if (!engine.load(1, rows.length, values)) throw new Error("the rows do not fit the declaration");
  return engine.score(1, ask, []);
}
