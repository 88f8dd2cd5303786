#!/usr/bin/env python3
"""Load for OpenStack Placement, with the standard library alone.

  placement_load.py URL populate N
  placement_load.py URL place --n N --conc CLIENTS --limit CANDIDATES

`populate` makes compute hosts, each with its inventories, an aggregate and a trait. `place` is one decision as Nova makes it:
GET /allocation_candidates (the query of OpenStack's own perfload job), take the first, PUT /allocations/{consumer}; after a
conflict the next candidate. One JSON line with rate, latencies and what came of the requests; a failure is counted, not hidden.
"""
import argparse
import http.client
import json
import threading
import time
import urllib.parse
import uuid
from collections import Counter

AGGREGATE = "14a5c8a3-5a99-4e8f-88be-00d85fcb1c17"
TRAIT = "HW_CPU_X86_AVX2"
CAPACITY = {"VCPU": 64, "MEMORY_MB": 262144, "DISK_GB": 2000}
DEMAND = "resources=VCPU:1,DISK_GB:10,MEMORY_MB:256"
HEADERS = {
    "x-auth-token": "admin",
    "openstack-api-version": "placement 1.39",
    "content-type": "application/json",
    "accept": "application/json",
}
# Candidates that one decision tries.
TRIES = 10


class Client:
    """One connection, kept open; a request is sent again once if the server had closed it."""

    def __init__(self, url):
        place = urllib.parse.urlparse(url)
        self.connection = http.client.HTTPConnection(place.hostname, place.port, timeout=300)

    def ask(self, method, path, body=None):
        payload = None if body is None else json.dumps(body)
        for is_last in (False, True):
            try:
                self.connection.request(method, path, payload, HEADERS)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                if is_last:
                    raise


def make_host(client):
    host = str(uuid.uuid4())

    def inventory(total):
        return {"total": total, "reserved": 0, "min_unit": 1, "max_unit": total, "step_size": 1, "allocation_ratio": 1.0}

    inventories = {name: inventory(total) for name, total in CAPACITY.items()}
    steps = [
        ("POST", "", {"name": f"host-{host}", "uuid": host}),
        ("PUT", f"/{host}/inventories", {"resource_provider_generation": 0, "inventories": inventories}),
        ("PUT", f"/{host}/aggregates", {"resource_provider_generation": 1, "aggregates": [AGGREGATE]}),
        ("PUT", f"/{host}/traits", {"resource_provider_generation": 2, "traits": [TRAIT]}),
    ]
    for method, path, body in steps:
        status, _ = client.ask(method, f"/resource_providers{path}", body)
        if status >= 300:
            return f"{method} {path}: {status}"
    return "ok"


def place(client, owner, limit):
    query = f"{DEMAND}&member_of={AGGREGATE}&required={TRAIT}&limit={limit}"
    status, body = client.ask("GET", f"/allocation_candidates?{query}")
    if status != 200:
        return f"candidates: {status}"
    consumer = str(uuid.uuid4())
    for number, candidate in enumerate(json.loads(body)["allocation_requests"][:TRIES]):
        claim = {"allocations": candidate["allocations"], "consumer_generation": None, "consumer_type": "INSTANCE", **owner}
        status, _ = client.ask("PUT", f"/allocations/{consumer}", claim)
        if status == 204:
            return "ok" if number == 0 else "ok after a conflict"
        if status != 409:
            return f"allocation: {status}"
    return "no candidate was left"


def run(url, clients, count, act):
    """Does `act` `count` times, by so many clients at a time."""
    numbers, lock = iter(range(count)), threading.Lock()
    took, outcomes = [], Counter()

    def work():
        client = Client(url)
        while True:
            with lock:
                if next(numbers, None) is None:
                    return
            began = time.perf_counter()
            try:
                outcome = act(client)
            except Exception as problem:
                outcome = type(problem).__name__
            seconds = time.perf_counter() - began
            with lock:
                took.append(seconds)
                outcomes[outcome] += 1

    began = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - began
    took.sort()

    def at(share):
        return round(took[min(len(took) - 1, int(len(took) * share))] * 1000, 2)

    return {
        "n": count,
        "clients": clients,
        "per_s": round(count / elapsed, 3),
        "p50_ms": at(0.5),
        "p99_ms": at(0.99),
        "outcome": dict(outcomes),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    what = parser.add_subparsers(dest="what", required=True)
    populate = what.add_parser("populate")
    populate.add_argument("n", type=int)
    placing = what.add_parser("place")
    placing.add_argument("--n", type=int, default=60)
    placing.add_argument("--conc", type=int, default=4)
    placing.add_argument("--limit", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.what == "populate":
        line = run(arguments.url, 1, arguments.n, make_host)
    else:
        owner = {"project_id": str(uuid.uuid4()), "user_id": str(uuid.uuid4())}
        limit = arguments.limit
        line = run(arguments.url, arguments.conc, arguments.n, lambda client: place(client, owner, limit))
    print(json.dumps({"what": arguments.what, **line}), flush=True)


main()
