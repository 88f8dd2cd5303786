"""The end: everything is taken away through the API, then both sides' books are empty and the server is ready."""

import time

# In the order in which nothing is in use any more. A volume and a template go with an operation, as an instance does.
ORDER = [
    "instances", "affinity-groups", "volumes", "templates", "storage-pools", "compute-hosts", "ip-ranges", "networks", "image-stores",
    "clusters", "pods", "zones", "policies", "compute-offerings", "disk-offerings", "network-offerings",
]
PATIENCE_S = 90


def run(contract, world, walk, cloud):
    """Takes all away and looks what is left."""
    wrong = contract.tally.wrong
    idle(contract)
    for policy in ("policy_id", "pool_policy_id"):
        for zone in rows(contract, "zones"):
            contract.send("zones_update", id=zone["id"], body={policy: None})
        for offering in rows(contract, "compute-offerings"):
            if policy in offering:
                contract.send("compute_offerings_update", id=offering["id"], body={policy: None})
    for collection in ORDER:
        tag = collection.replace("-", "_")
        for row in rows(contract, collection):
            # A volume that an instance still has goes with it.
            contract.send(f"{tag}_delete", id=row["id"])
        idle(contract)
        left = rows(contract, collection)
        if left:
            wrong(f"{tag}_delete", "something is left at the end", str(left)[:2000])
    for collection in ("nics", "ip-addresses"):
        left = rows(contract, collection)
        if left:
            wrong(f"{collection} at the end", "something is left at the end", str(left)[:2000])
    parked = contract.send("operations_list", query={"state": "parked"}).json()["items"]
    if parked:
        wrong("operations_list", "operations are parked at the end", str(parked)[:4000])
    if not cloud.is_ready():
        wrong("server_readyz", "the server is not ready at the end", "")
    far = cloud.audit()
    for what in ("runs", "publications", "violations", "volumes"):
        if far[what]:
            wrong("velum-sim", f"the far side has {what} left", str(far[what])[:4000])
    log = cloud.log("velumd") + cloud.restart_server()
    for line in log.splitlines():
        if "the books are wrong" in line or "panicked" in line or "a request failed" in line:
            wrong("velumd's log", line.split("Z", 1)[-1].strip()[:120], line[:2000])


def rows(contract, collection):
    """All rows of a collection."""
    found, cursor = [], None
    while True:
        query = {"limit": 500, **({"cursor": cursor} if cursor else {})}
        page = contract.send(f"{collection.replace('-', '_')}_list", query=query).json()
        found += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def idle(contract):
    """Waits until no operation is under way."""
    until = time.monotonic() + PATIENCE_S
    while True:
        busy = [
            operation
            for state in ("running", "undoing")
            for operation in contract.send("operations_list", query={"state": state, "limit": 1}).json()["items"]
        ]
        if not busy:
            return
        if time.monotonic() > until:
            contract.tally.wrong("operations_list", f"{busy[0]['kind']} does not end", str(busy[0])[:4000])
            return
        time.sleep(0.1)
