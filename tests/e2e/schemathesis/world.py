"""Everything a cloud is made of, by id: what must stay (the ground), and what requests may change and take away."""

import base64
import collections
import hashlib
import os
import pathlib
import re
import random

IMAGE = bytes(n % 251 for n in range(1 << 20))
NOWHERE = "018f3f3e-7a5b-7c3d-8e9f-0123456789ab"
# Of a key that nobody kept.
REQUEST = """-----BEGIN CERTIFICATE REQUEST-----
MIHQMHcCAQAwFTETMBEGA1UEAwwKdmVsdW0tbm9kZTBZMBMGByqGSM49AgEGCCqG
SM49AwEHA0IABIv6g0yTaR8VhCuUZDmoNy2GHf9Gkt8SCONan/nv2BL5x3Xb4IND
7OCYVzUXZxKqcbmN7YkXSX/MRgwuV//jKvagADAKBggqhkjOPQQDAgNJADBGAiEA
/W9XjvIsuacVdlP9W4Zw9GBu5ihcWhQI9XT5s8xTDYoCIQCLaorn3jWeuqyDy5zX
ktJQr78rAtTXKgF2Ixut9g1lyQ==
-----END CERTIFICATE REQUEST-----
"""


class World:
    """Ids of what there is, and good bodies that refer to it."""

    def __init__(self, sim, node, seed):
        self.sim = sim
        self.node = node
        self.chance = random.Random(seed)
        self.ground = {}
        self.spare = collections.defaultdict(list)
        self.gone = []
        self._number = 0

    def number(self):
        """Another number."""
        self._number += 1
        return self._number

    def name(self, what):
        """A name that nothing has."""
        return f"{what}-{self.number()}"

    def made(self, collection, id):
        """Notes what a request made."""
        self.spare[collection].append(id)

    def is_gone(self, collection, id):
        """Notes what a request took away."""
        if id in self.spare[collection]:
            self.spare[collection].remove(id)
            self.gone.append(id)

    def some(self, collection, changes):
        """An id of a collection; one that may be changed, if it is to be."""
        spare = self.spare[collection]
        # What was made last is there most likely.
        candidates = spare[-4:] or spare
        ground = self.ground.get(collection)
        if ground and not (changes and candidates):
            candidates = candidates + [ground]
        if changes and not spare:
            return NOWHERE
        return self.chance.choice(candidates) if candidates else NOWHERE

    def wrong(self, collection):
        """An id that is of another type, deleted, or was never given."""
        others = [id for name, id in self.ground.items() if name != collection]
        return self.chance.choice(others + self.gone[-8:] + [NOWHERE])

    # ---- good bodies ------------------------------------------------------------------------------------------------

    def good(self, name):
        """A body that an operation takes as it is."""
        make = getattr(self, f"_{name}", None)
        return make() if make else None

    def joining(self, token):
        """A machine that joins with a token."""
        return {"token": token, "request_pem": REQUEST, "address": "10.0.0.7:7443"}

    def _nodes_enroll(self):
        return self.joining(f"vjn_{'0' * 64}.{'0' * 64}")

    def _node_tokens_create(self):
        return {"valid_s": 600}

    def _operations_retry(self):
        return {"reason": "the far side is back"}

    def _operations_undo(self):
        return {"reason": "nobody wants it any more"}

    def _operations_assert_gone(self):
        return {"reason": "its machine burnt down"}

    def _plugins_activate(self):
        return {"zone_id": self.ground["zones"]}

    def _plugins_rollback(self):
        return {"zone_id": self.ground["zones"]}

    def _publishers_revoke_key(self):
        return {"key_id": "0" * 64, "reason": "it was lost"}

    def _zones_create(self):
        return {"name": self.name("zone")}

    def _pods_create(self):
        n = self.number()
        net = f"172.{16 + n // 250 % 16}.{n % 250}"
        return {"zone_id": self.ground["zones"], "name": f"pod-{n}", "cidr": f"{net}.0/24", "gateway": f"{net}.1"}

    def _clusters_create(self):
        return {"pod_id": self.ground["pods"], "name": self.name("cluster"), "driver": "hypervisor-sim"}

    def _compute_hosts_create(self):
        name = f"z1-h{self.number() % 590 + 10:04}"
        return {
            "cluster_id": self.ground["clusters"],
            "name": name,
            "config": {"host": name},
            "endpoint": self.sim,
            "tags": ["ssd"],
            "attributes": {"power_w": 300},
            "resources": {"gpu": 4},
        }

    def _storage_pools_create(self):
        return {
            "zone_id": self.ground["zones"],
            "name": self.name("pool"),
            "provider": "storage-sim",
            "config": {"pool": f"z1-p{self.number() % 60 + 3}"},
            "endpoint": self.sim,
        }

    def _image_stores_create(self):
        return {"zone_id": self.ground["zones"], "name": self.name("images"), "endpoint": self.sim}

    def _ip_ranges_create(self):
        n = self.number()
        return {
            "network_id": self.ground["networks"],
            "first": f"10.1.{100 + n // 60 % 150}.{n % 60 * 4}",
            "last": f"10.1.{100 + n // 60 % 150}.{n % 60 * 4 + 3}",
        }

    def _network_offerings_create(self):
        return {"name": self.name("network-offering")}

    def _networks_create(self):
        n = self.number()
        net = f"10.{2 + n // 250 % 200}.{n % 250}"
        return {
            "zone_id": self.ground["zones"],
            "network_offering_id": self.ground["network-offerings"],
            "name": f"net-{n}",
            "cidr": f"{net}.0/24",
            "gateway": f"{net}.1",
            "dns": ["9.9.9.9"],
            "link": {"kind": "simulated", "name": "sim0"},
        }

    def _compute_offerings_create(self):
        return {"name": self.name("compute-offering"), "vcpus": 1, "memory_mib": 64}

    def _disk_offerings_create(self):
        return {"name": self.name("disk-offering"), "size_bytes": 1 << 20}

    def _policies_create(self):
        return {"name": self.name("policy"), "plugin": "placement-first-fit", "fallback": "built-in"}

    def _policies_evaluate(self):
        return {"zone_id": self.ground["zones"], "plugin": "placement-first-fit", "last": 50}

    def _decisions_replay(self):
        return {"plugin": "placement-spread"}

    def _publishers_create(self):
        return {"name": self.name("publisher"), "description": "makes arrays"}

    def _publishers_add_key(self):
        return {"public_key": self.public_key()}

    def public_key(self):
        """The text of an ed25519 key that was not there before."""
        name = self.number().to_bytes(4, "big")
        raw = bytes.fromhex("302a300506032b6570032100") + hashlib.sha256(name).digest()
        return f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(raw).decode()}\n-----END PUBLIC KEY-----\n"

    def _plugins_create(self):
        component, manifest = self.component()
        return {"component_base64": base64.b64encode(component).decode(), "manifest": manifest}

    def component(self, name="placement-first-fit"):
        """A component that no other is the same as: a first-party one with a custom section behind it, and its manifest."""
        directory = pathlib.Path(os.environ["VELUM_PLUGINS"])
        n = self.number()
        text = f"velum-contract {n:06}".encode()
        section = bytes([len("note")]) + b"note" + text
        component = (directory / f"{name}.wasm").read_bytes() + bytes([0, len(section)]) + section
        manifest = (directory / f"{name}.toml").read_text()
        return component, re.sub(r'(?m)^version = ".*"$', f'version = "9.0.{n}"', manifest)

    def _templates_create(self):
        return {
            "zone_id": self.ground["zones"],
            "name": self.name("template"),
            "format": "raw",
            "upload_bytes": len(IMAGE),
            "sha256": hashlib.sha256(IMAGE).hexdigest(),
        }

    def _templates_upload(self):
        return IMAGE

    def _affinity_groups_create(self):
        return {
            "zone_id": self.ground["zones"],
            "name": self.name("group"),
            "description": "far from one another",
            "kind": self.chance.choice(["affinity", "anti-affinity"]),
            "strength": "preferred",
            "level": self.chance.choice(["compute-host", "pod"]),
        }

    def _instances_create(self):
        return {
            "zone_id": self.ground["zones"],
            "name": self.name("vm"),
            "compute_offering_id": self.ground["compute-offerings"],
            "template_id": self.ground["templates"],
            "networks": [{"network_id": self.ground["networks"]}],
        }

    def _instances_create_batch(self):
        one = self._instances_create()
        zone = one.pop("zone_id")
        return {"zone_id": zone, "instances": [one, {**one, "name": self.name("vm")}]}

    def _instances_stop(self):
        return {"grace_ms": 0}

    def _instances_reboot(self):
        return {"hard": True}

    def _volumes_create(self):
        return {
            "zone_id": self.ground["zones"],
            "name": self.name("volume"),
            "disk_offering_id": self.ground["disk-offerings"],
        }

    def _volumes_attach(self):
        return {"instance_id": self.some("instances", changes=True)}
