import assert from "node:assert/strict";
import test from "node:test";

import Coolest from "./policy.js";
import { scores } from "./velum/testing.js";

test("the host that draws less is better", () => {
  const [thirsty, frugal, unknown] = scores(Coolest, [{ power_w: 300 }, { power_w: 120 }, {}]);
  assert.ok(frugal > thirsty && thirsty > unknown);
});
