"""A walk through the whole API: makes the ground that requests stand on, and has every operation answer 2xx."""

import base64
import socket
import time
import tomllib

import requests

from contract import header
from world import IMAGE


class Walk:
    """One person's way from an empty server to guests, and back for what is spare."""

    def __init__(self, contract, world, port):
        self.contract = contract
        self.world = world
        self.port = port

    def make(self, name, /, **more):
        """Makes something out of a good body and waits until it is there. Answers its view."""
        collection = collection_of(self.contract, name)
        response = self.contract.send(name, body={**self.world.good(name), **more})
        view = response.json()
        if "id" not in view:
            raise RuntimeError(f"{name} made nothing: {response.status_code} {response.text[:600]}")
        self.done(response)
        self.world.made(collection, view["id"])
        return view

    def ground(self, name, /, **more):
        """Makes something that stays until the end."""
        collection = collection_of(self.contract, name)
        view = self.make(name, **more)
        self.world.spare[collection].remove(view["id"])
        self.world.ground[collection] = view["id"]
        return view

    def done(self, response):
        """Waits for the operation that an answer leads to, if it does."""
        location = header(response, "Location")
        if response.status_code != 202 or not location.startswith("/v1/operations/"):
            return
        view, until = {}, time.monotonic() + 60
        while time.monotonic() < until:
            view = self.contract.send("operations_get", id=location.rsplit("/", 1)[1], query={"wait_ms": 2000}).json()
            if view.get("state") not in ("running", "undoing"):
                break
        if view.get("state") != "done":
            self.contract.tally.wrong("operations_get", "an operation of the walk did not end well", str(view))

    def act(self, name, id, **more):
        """Does something with what is there and waits until it is done."""
        response = self.contract.send(name, id=id, **more)
        self.done(response)
        return response

    def take(self, name, id):
        """Takes something away."""
        self.act(name, id)
        self.world.is_gone(collection_of(self.contract, name), id)

    def run(self):
        """The whole way."""
        for name in ("server_healthz", "server_readyz", "server_metrics"):
            self.contract.send(name)
        self.infrastructure()
        self.offerings()
        self.storage()
        self.plugins()
        self.guests()
        self.consoles()
        self.parked()
        self.nodes()
        self.looks()

    def infrastructure(self):
        """Zone, pod, cluster, compute hosts, networks, ranges."""
        self.ground("zones_create")
        self.edit("zones", access="public")
        self.ground("pods_create", cidr="172.31.0.0/16", gateway="172.31.0.1")
        self.edit("pods", name="pod-renamed")
        self.contract.send("ip_ranges_create", body={
            "pod_id": self.world.ground["pods"], "first": "172.31.1.0", "last": "172.31.9.255"})
        self.ground("clusters_create", cpu_overcommit_permille=4000)
        self.edit("clusters", cpu_overcommit_permille=2000)
        self.ground("compute_hosts_create", name="h1", config={"host": "z1-h0001"})
        self.contract.send("compute_hosts_create", body={
            **self.world.good("compute_hosts_create"), "name": "h2", "config": {"host": "z1-h0002"}})
        host = self.make("compute_hosts_create")["id"]
        self.act("compute_hosts_maintenance", host)
        self.act("compute_hosts_enable", host)
        self.edit("compute_hosts", host, tags=["ssd", "gpu"])
        self.ground("network_offerings_create")
        self.edit("network_offerings", name="network-offering-renamed")
        self.ground("networks_create", cidr="10.1.0.0/16", gateway="10.1.0.1")
        self.edit("networks", dns=["1.1.1.1"])
        self.ground("ip_ranges_create", first="10.1.0.10", last="10.1.60.250")
        self.edit("ip_ranges")
        self.ground("affinity_groups_create")
        self.edit("affinity_groups", description="nearer to one another")

    def edit(self, tag, spare=None, /, **patch):
        """Makes one more of a kind, shows, changes and deletes it."""
        collection = tag.replace("_", "-")
        id = spare or self.make(f"{tag}_create")["id"]
        response = self.contract.send(f"{tag}_get", id=id)
        if patch:
            headers = {"If-Match": header(response, "ETag")}
            self.contract.send(f"{tag}_update", id=id, body=patch, headers=headers)
        self.contract.send(f"{tag}_list", query={"limit": 2})
        if id in self.world.spare[collection]:
            self.take(f"{tag}_delete", id)

    def offerings(self):
        """Shapes of guests and disks."""
        self.ground("compute_offerings_create")
        self.edit("compute_offerings", host_tags=["ssd"])
        self.ground("disk_offerings_create")
        self.edit("disk_offerings", name="disk-offering-renamed")

    def storage(self):
        """Pool, image store, template."""
        self.ground("storage_pools_create", config={"pool": "z1-p1"})
        self.edit("storage_pools", tags=["fast"])
        self.ground("image_stores_create")
        self.edit("image_stores")
        for make in (self.ground, self.make):
            id = make("templates_create", image_store_id=self.world.ground["image-stores"])["id"]
            self.upload(id)
        self.edit("templates", id)

    def upload(self, id):
        """Sends an image in two pieces."""
        half = len(IMAGE) // 2
        for offset, piece in ((0, IMAGE[:half]), (half, IMAGE[half:])):
            self.act("templates_upload", id, query={"offset": offset}, body=piece, media_type="application/octet-stream")

    def plugins(self):
        """Components, both ways in, and policies over them."""
        id = self.make("plugins_create")["id"]
        self.edit("plugins", id)
        component, _ = self.world.component()
        response = self.contract.send("plugins_create", body=component, media_type="application/wasm")
        if response.status_code == 201:
            self.contract.send("plugins_delete", id=response.json()["id"])
        self.ground("policies_create")
        self.edit("policies", fallback="refuse")
        self.shadows()
        self.versions()
        self.publishers()
        self.contract.send("zones_update", id=self.world.ground["zones"], body={"policy_id": self.world.ground["policies"]})

    def shadows(self):
        """A policy with a shadow, which is promoted, and back again."""
        policy = self.world.ground["policies"]
        for end in ("policies_shadow_end", "policies_promote"):
            self.contract.send("policies_shadow_begin", id=policy, body={"plugin": "placement-spread"})
            self.contract.send("policies_shadow_get", id=policy)
            self.contract.send(end, id=policy)
        self.contract.send("policies_versions", id=policy)
        self.contract.send("policies_rollback", id=policy, body={"reason": "it was better before"})

    def versions(self):
        """Another build of a driver, at work and back again."""
        component, manifest = self.world.component("hypervisor-sim")
        body = {
            "component_base64": base64.b64encode(component).decode(),
            "manifest": manifest,
            "grant": tomllib.loads(manifest).get("capabilities", {}),
        }
        id = self.contract.send("plugins_create", body=body).json()["id"]
        zone = {"zone_id": self.world.ground["zones"]}
        self.contract.send("plugins_activate", id=id, body=zone)
        self.contract.send("plugins_stats", id=id)
        self.contract.send("plugins_rollback", id=id, body=zone)

    def publishers(self):
        """A publisher and its keys."""
        self.ground("publishers_create")
        self.edit("publishers", description="makes better arrays")
        id = self.world.ground["publishers"]
        key = self.contract.send("publishers_add_key", id=id, body={"public_key": self.world.public_key()}).json()
        self.contract.send("publishers_list_keys", id=id)
        self.contract.send("publishers_revoke_key", id=id, body={"key_id": key["key_id"], "reason": "it was lost"})

    def guests(self):
        """An instance through all of its life, with a volume."""
        self.contract.send("instances_create", query={"dry_run": "true"}, body=self.world.good("instances_create"), expect=[200])
        key = {"Idempotency-Key": "walk-1"}
        body = self.world.good("instances_create")
        first = self.contract.send("instances_create", body=body, headers=key)
        again = self.contract.send("instances_create", body=body, headers=key)
        if header(again, "Idempotency-Replayed") != "true" or first.json() != again.json():
            self.contract.tally.wrong("instances_create", "a repeated key was not answered the same", again.text)
        self.done(first)
        self.world.ground["instances"] = first.json()["id"]
        id = self.make("instances_create")["id"]
        volume = self.make("volumes_create")["id"]
        self.act("volumes_attach", volume, body={"instance_id": id})
        self.act("instances_reboot", id, body={"hard": True})
        self.act("instances_stop", id, body={"grace_ms": 0})
        self.act("instances_start", id)
        self.contract.send("instances_decision", id=id)
        self.act("volumes_detach", volume)
        self.edit("volumes", volume)
        self.edit("instances", id)
        self.world.ground["volumes"] = self.make("volumes_create")["id"]
        self.world.spare["volumes"].remove(self.world.ground["volumes"])

    def consoles(self):
        """The console log of a guest beside a node, and the console without and with a WebSocket."""
        cluster = self.make("clusters_create")["id"]
        host = self.make("compute_hosts_create", cluster_id=cluster, node=self.world.node, tags=["node"])["id"]
        offering = self.make("compute_offerings_create", host_tags=["node"])["id"]
        guest = self.make("instances_create", compute_offering_id=offering)["id"]
        log = self.contract.send("instances_console_log", id=guest)
        if log.text != "a simulated guest was here\n":
            self.contract.tally.wrong("instances_console_log", "is not what the guest wrote", log.text)
        self.contract.send("instances_console", id=guest, expect=[426])
        self.upgrade(guest)
        self.take("instances_delete", guest)
        self.take("compute_offerings_delete", offering)
        self.take("compute_hosts_delete", host)
        self.take("clusters_delete", cluster)

    def nodes(self):
        """A machine joins with a token, once; it stays who it is when it joins again."""
        joined = [self.contract.send("nodes_enroll", body=self.world.joining(self.token())).json() for _ in "12"]
        if joined[0]["id"] != joined[1]["id"]:
            self.contract.tally.wrong("nodes_enroll", "the same key came to be another node", str(joined))
        token = self.token()
        self.contract.send("nodes_enroll", body=self.world.joining(token))
        self.contract.send("nodes_enroll", body=self.world.joining(token), expect=[401])
        self.contract.send("nodes_enroll", body={**self.world.joining(self.token()), "request_pem": "x"}, expect=[422])
        self.contract.send("nodes_enroll", body={**self.world.joining(self.token()), "address": "x"}, expect=[422])

    def token(self):
        """A join token."""
        return self.contract.send("node_tokens_create", body={"valid_s": 600}).json()["token"]

    def parked(self):
        """What cannot go on waits for the operator: retry, undo, and say that it is gone. What is not gone is an orphan."""
        first, second = (self.park("instances_create", ["start"], body=self.world.good("instances_create")) for _ in "12")
        self.mend()
        self.act("operations_retry", first, body={"reason": "the far side is back"})
        self.contract.send("operations_undo", id=second, body={})
        self.ended(second, "undone")
        guest = self.contract.send("operations_get", id=first).json()["subject"]["id"]
        verbs = ["kill", "remove", "unpublish", "delete"]
        destroy = self.park("instances_delete", verbs, id=guest)
        for _ in verbs:
            self.contract.send("operations_assert_gone", id=destroy, body={"reason": "its machine burnt down"})
            if self.ended(destroy, "parked", "done") == "done":
                break
        orphans = self.until("orphans_list", lambda page: page["items"])["items"]
        self.contract.send("orphans_get", id=orphans[0]["id"])
        self.mend()
        self.until("orphans_list", lambda page: not page["items"])

    def park(self, name, verbs, **ask):
        """Asks for something that fails for good at the far side once it can no longer turn back. Answers its operation."""
        for verb in verbs:
            fault = {"kind": "fail", "verb": verb, "code": 8, "unchanged": False, "count": 1000}
            requests.post(f"{self.world.sim}/sim/faults", json=fault, timeout=20).raise_for_status()
        location = header(self.contract.send(name, **ask), "Location")
        operation = location.rsplit("/", 1)[1]
        self.ended(operation, "parked")
        return operation

    def mend(self):
        """Nothing fails at the far side any more."""
        requests.delete(f"{self.world.sim}/sim/faults", timeout=20).raise_for_status()

    def ended(self, operation, *states):
        """Waits until an operation is in one of these states; answers which."""
        view = {}
        for _ in range(30):
            view = self.contract.send("operations_get", id=operation, query={"wait_ms": 2000}).json()
            if view["state"] in states:
                return view["state"]
        self.contract.tally.wrong("operations_get", f"did not come to be {' or '.join(states)}", str(view))
        return view["state"]

    def until(self, name, holds):
        """Looks until something holds; answers what was seen then."""
        page = {}
        until = time.monotonic() + 60
        while time.monotonic() < until:
            page = self.contract.send(name).json()
            if holds(page):
                return page
            time.sleep(0.2)
        self.contract.tally.wrong(name, "did not come to be as it should", str(page))
        return page

    def upgrade(self, guest):
        """Asks for the console as a WebSocket does. A simulated guest has no serial line to open: 409 with a problem."""
        lines = [
            f"GET /v1/instances/{guest}/console HTTP/1.1",
            f"Host: 127.0.0.1:{self.port}",
            f"Authorization: {self.contract.headers['Authorization']}",
            "Connection: Upgrade, close",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            status = int(connection.recv(4096).split(b" ", 2)[1])
        self.contract.tally.saw("instances_console", status)
        if status not in (101, 409):
            self.contract.tally.wrong("instances_console", f"answered {status} to a WebSocket", "")

    def looks(self):
        """What is only looked at."""
        for tag in ("ip_addresses", "nics", "operations", "decisions", "policies", "plugins"):
            page = self.contract.send(f"{tag}_list", query={"limit": 2}).json()
            self.contract.send(f"{tag}_get", id=page["items"][0]["id"])
            self.world.ground.setdefault(tag.replace("_", "-"), page["items"][0]["id"])
            if page["next_cursor"]:
                self.contract.send(f"{tag}_list", query={"cursor": page["next_cursor"]})
        decision = self.world.ground["decisions"]
        self.contract.send("decisions_candidates", id=decision, query={"limit": 1})
        for body in ({}, self.world.good("decisions_replay")):
            self.contract.send("decisions_replay", id=decision, body=body)
        self.contract.send("policies_evaluate", body=self.world.good("policies_evaluate"))
        instance = self.world.ground["instances"]
        self.contract.send("instances_get", id=instance)
        self.contract.send("volumes_list", query={"instance_id": instance})
        self.contract.send("operations_list", query={"subject": "instances", "subject_id": instance})
        events = self.contract.send("events_list", query={"limit": 3}).json()
        self.contract.send("events_list", query={"cursor": events["next_cursor"]})
        self.stream(events["next_cursor"])

    def stream(self, cursor):
        """The events as they happen: the first piece is enough."""
        headers = {**self.contract.headers, "Accept": "text/event-stream"}
        url = f"{self.contract.url}/v1/events"
        with self.contract.session.get(url, params={"cursor": cursor}, headers=headers, stream=True, timeout=20) as response:
            self.contract.tally.saw("events_list", response.status_code)
            first = next(response.iter_lines(), b"")
            if response.headers["content-type"] != "text/event-stream" or not first:
                self.contract.tally.wrong("events_list", "is no stream of events", str(response.headers))


def collection_of(contract, name):
    """The collection that an operation belongs to."""
    return contract.operations[name].path.split("/")[2]
