import { Ask } from "./ask.js";
import { Column } from "./declaration.js";
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
  "latestEnd",
];

/** What a column is called in a row of a test. */
function called({ id, name }) {
  if (id === Column.FREE_RESOURCE) return `free:${name}`;
  if (id === Column.TOTAL_RESOURCE) return `total:${name}`;
  return name ?? COLUMNS[id];
}

/**
 * For native tests of policies: what a policy answers for a few rows, through everything that a component has. A row is an
 * object: `{ freeVcpus: 8, power_w: 120, "free:gpu": 1, "total:gpu": 4 }`; what it lacks is 0.
 */
export function scores(policy, rows, { ask = Ask.of(), config = "{}" } = {}) {
  const engine = new Engine(policy);
  engine.configure(config);
  const names = engine.declaration().columns.map(called);
  for (const name of rows.flatMap(Object.keys)) {
    if (!names.includes(name)) throw new Error(`the policy declares nothing that is called '${name}'`);
  }
  const values = names.flatMap((name) => rows.map((row) => row[name] ?? 0));
  if (!engine.load(1, rows.length, values)) throw new Error("the rows do not fit the declaration");
  return engine.score(1, ask, []);
}
