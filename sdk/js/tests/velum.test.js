// What the library between the contract and a policy promises. Run in sdk/js: `node --test`.
import assert from "node:assert/strict";
import test from "node:test";

import { Engine } from "../velum/engine.js";
import { Ask, BEST, Declaration, Fact, NO_END, Policy, Refused, refuse } from "../velum/index.js";
import { REFUSE, UNDECLARED } from "../velum/score.js";
import { scores } from "../velum/testing.js";

class Roomiest extends Policy {
  configure(config) {
    this.bonus = config.integer("bonus", 0, 10, 1);
  }

  declare() {
    return Declaration.hosts().fact(Fact.PREVIOUS_HOST).refusal(7, "full");
  }

  score(ask, host) {
    if (host.freeVcpus < ask.vcpus) return refuse(7);
    return host.freeVcpus + (host.isPrevious ? this.bonus : 0);
  }
}

function engine(config = "{}") {
  const made = new Engine(Roomiest);
  made.configure(config);
  return made;
}

// Five columns of three hosts: free vCPUs first.
const COLUMNS = [4, 16, 1, ...Array(12).fill(0)];
const nothing = new Ask(new Map());
const before = new Ask(new Map([[1, 2]]), new Map([[Fact.PREVIOUS_HOST, new Map([[0, 1]])]]));

class EndsWith extends Policy {
  declare() {
    return Declaration.hosts().lifetimes().sameProjectInPod();
  }

  score(ask, host) {
    if (host.latestEnd === NO_END) return 0;
    const left = (ask.expectedEnd ?? NO_END) - ask.nowMinute;
    return left - (host.latestEnd - ask.nowMinute) - host.sameProjectInPod;
  }
}

test("a policy is told of time what it declares", () => {
  const declared = new EndsWith().declare();
  assert.deepEqual([declared.demands, declared.facts], [[1, 2, 0x101, 0x102], [Fact.SAME_PROJECT_IN_POD]]);
  const ask = Ask.of({ nowMinute: 100, expectedEnd: 160 });
  assert.deepEqual(scores(EndsWith, [{ latestEnd: 110 }, { latestEnd: NO_END }], { ask }), [50, 0]);
  assert.deepEqual([Ask.of().expectedEnd, nothing.nowMinute], [undefined, 0]);
});

test("a resource is two columns and a demand that points to one", () => {
  class Tight extends Policy {
    declare() {
      return Declaration.hosts().attribute("gpu").resource("gpu").resource("gpu");
    }

    score(ask, host) {
      const left = host.freeResource("gpu") - ask.resource("gpu");
      return 100 * host.totalResource("gpu") - 10 * left + host.attribute("gpu");
    }
  }
  const declared = new Tight().declare();
  assert.deepEqual(declared.columns.slice(5).map(({ id, name }) => [id, name]), [[0, "gpu"], [11, "gpu"], [12, "gpu"]]);
  assert.deepEqual(declared.demands, [1, 2, 0x206]);
  const { demands, resources } = declared.amounts([4, 5, 2]);
  assert.deepEqual([[...demands], [...resources]], [[[1, 4], [2, 5]], [["gpu", 2]]]);
  const rows = [{ "free:gpu": 3, "total:gpu": 4, gpu: 7 }, { "free:gpu": 2, "total:gpu": 2 }];
  assert.deepEqual(scores(Tight, rows, { ask: Ask.of({ resources: { gpu: 2 } }) }), [397, 200]);
  class Careless extends Policy {
    score(ask, host) {
      return host.freeResource("gpu");
    }
  }
  assert.deepEqual(scores(Careless, [{}]), [REFUSE + UNDECLARED]);
});

test("scores come in the order of the rows asked", () => {
  const held = engine();
  assert.ok(held.load(5, 3, COLUMNS));
  assert.deepEqual(held.score(5, before, []), [5, 16, REFUSE + 7]);
  assert.deepEqual(held.score(5, before, [1, 0]), [16, 5]);
});

test("an epoch that is not held and a row that is not there are answered with nothing", () => {
  const held = engine();
  assert.deepEqual(held.score(5, nothing, []), []);
  held.load(5, 3, COLUMNS);
  assert.deepEqual(held.score(6, nothing, []), []);
  assert.deepEqual(held.score(5, nothing, [3]), []);
});

test("changes follow the epoch and a misfit changes nothing", () => {
  const held = engine();
  held.load(5, 3, COLUMNS);
  const nine = (count) => Array(count).fill(9);
  assert.equal(held.apply(4, 6, [0], nine(5)), false);
  assert.equal(held.apply(5, 6, [0], nine(4)), false);
  assert.equal(held.apply(5, 6, [3], nine(5)), false);
  assert.deepEqual(held.score(5, nothing, []), [4, 16, 1]);
  assert.ok(held.apply(5, 6, [0, 2], [8, 9, ...Array(8).fill(0)]));
  assert.deepEqual(held.score(6, nothing, []), [8, 16, 9]);
});

test("lengths that do not fit drop what was held", () => {
  const held = engine();
  held.load(5, 3, COLUMNS);
  assert.equal(held.load(6, 3, COLUMNS.slice(1)), false);
  assert.deepEqual(held.score(5, nothing, []), []);
});

test("a configuration that is refused leaves the old one", () => {
  const held = engine('{"bonus": 3}');
  held.load(5, 3, COLUMNS);
  for (const [text, words] of [
    ['{"bonus": 11}', /'bonus' must be a whole number from 0 to 10/],
    ['{"bonus": 0.5}', /'bonus' must be a whole number from 0 to 10/],
    ['{"colour": 1}', /'colour' is not known here/],
    ["[]", /not a JSON object/],
    ["{", /not a JSON object/],
  ]) {
    assert.throws(
      () => held.configure(text),
      (error) => error instanceof Refused && words.test(error.message),
      text,
    );
  }
  assert.deepEqual(held.score(5, before, [0]), [7]);
  held.configure("");
  assert.deepEqual(held.score(5, nothing, []), []);
});

test("scores stay within their range, and what is none refuses and says so", () => {
  const scored = (value) => {
    class Fixed extends Policy {
      score() {
        return value;
      }
    }
    return scores(Fixed, [{}])[0];
  };
  assert.deepEqual([-1, 7, REFUSE + 5, 2 ** 40].map(scored), [0, 7, REFUSE + 5, BEST]);
  assert.deepEqual([0.5, undefined, NaN, 1n].map(scored), Array(4).fill(REFUSE + 0xfffe));
});

test("what is not declared refuses and says so", () => {
  class Careless extends Policy {
    score(ask, host) {
      return host.attribute("power_w");
    }
  }
  assert.deepEqual(scores(Careless, [{}]), [REFUSE + UNDECLARED]);
  assert.ok(new Engine(Careless).refusals().some(([code]) => code === UNDECLARED));
});

test("codes of the library are not the policy's, and a row of a test that nobody would read is refused", () => {
  for (const code of [-1, 0xfffe, 0xffff, 0.5]) assert.throws(() => refuse(code), RangeError);
  assert.throws(() => scores(Roomiest, [{ power_w: 1 }]), /power_w/);
});
