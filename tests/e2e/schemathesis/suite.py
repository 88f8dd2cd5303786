"""The suite: starts the processes, does its three parts, takes all away again, and prints one JSON object."""

import argparse
import json
import subprocess
import sys
import time

import audit
import bad_input
import fuzz
from contract import WITHOUT_2XX, Contract
from processes import Cloud
from walk import Walk
from world import World

REQUESTS_MIN = 5000


def main():
    """Runs it; answers whether all is well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=20261122, help="where chance begins")
    parser.add_argument("--examples", type=int, default=80, help="examples an operation in the fuzzing phase")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}, {arguments.examples} examples an operation", flush=True)
    began = time.monotonic()
    with Cloud() as cloud:
        contract = Contract(cloud.url, cloud.token, arguments.seed, arguments.examples)
        world = World(cloud.sim, cloud.node.address, arguments.seed)
        fuzz.Hooks(contract, world)
        walk = Walk(contract, world, cloud.port)
        parts = [
            ("walk", walk.run),
            ("fuzz", lambda: fuzz.fuzz(contract)),
            ("bad input", lambda: bad_input.run(contract, world, walk, cloud.port)),
            ("audit", lambda: audit.run(contract, world, walk, cloud)),
        ]
        for name, part in parts:
            contract.tally.part = name
            print(f"==> {name} ({time.monotonic() - began:.0f} s)", flush=True)
            part()
    return report(contract, arguments.seed, time.monotonic() - began)


def report(contract, seed, took):
    """Prints what was found, and the last line."""
    tally = contract.tally
    for name in contract.never_hit():
        tally.wrong(name, "was never answered 2xx", dict(tally.hits[name]))
    for (operation, what), (count, detail) in sorted(tally.violations.items(), key=str):
        print(f"--- {operation}: {what} ({count} times)\n{detail}\n")
    owed = [name for name in contract.operations if name not in WITHOUT_2XX]
    line = {
        "name": "schemathesis",
        "value": len(tally.violations),
        "unit": "violations",
        "at_most": 0,
        "aim": 0,
        "ok": not tally.violations and tally.requests >= REQUESTS_MIN,
        "requests": tally.requests,
        "requests_at_least": REQUESTS_MIN,
        "operations": len(contract.operations),
        "operations_hit": len(owed) - len(contract.never_hit()),
        "without_2xx": {name: "a WebSocket: 101, or 426 without an upgrade" for name in sorted(WITHOUT_2XX)},
        "by_status": dict(sorted(tally.by_status.items())),
        "by_part": dict(tally.by_part),
        "seed": seed,
        "seconds": round(took),
        "commit": commit(),
    }
    print(json.dumps(line))
    return line["ok"]


def commit():
    """What was tested."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
