"""Bad input: what is wrong with it is answered as a problem that names the field, nothing changes, and it is never a 500."""

import json
import socket

import requests

from audit import idle, rows
from contract import PROBLEM, problem_with
from world import IMAGE, NOWHERE

NUL = "\u0000"
DEEP = 100_000
LARGE = 10 << 20
# Whose body may be left out.
MAY_BE_LEFT_OUT = ("instances_stop", "instances_reboot", "operations_retry", "operations_undo", "node_tokens_create", "policies_rollback")
# What no field of a type takes. A field that takes several types is given none of them.
WRONG_TYPES = {
    "null": [None], "boolean": [True], "integer": [7], "number": [1.5], "string": [f"x y{NUL}"],
    "array": [[[]]], "object": [{"a": {"b": []}}],
}
OUT_OF_RANGE = [-1, 1 << 63, 1 << 64, 10**40, 1.5]
NO_TEXT = [NUL, "", "x" * 100_000, "../../etc/passwd", "\u202e\ud7ff名", "' OR 1=1 --"]
NO_ID = ["x", "0", NOWHERE.replace("-", ""), "{" + NOWHERE + "}", "%00", "%FF%FE", "..%2f..%2fzones", "a" * 5000, "-1"]
# What HTTP itself refuses never reaches the API: such an answer has no body that could be a problem.
OF_HTTP = {400, 408, 413, 414, 431, 501, 505}
# What moves by itself.
MOVING = ("observed", "observed_at", "boot_id")
# Not decisions: an ask that found no place is kept with its reasons.
LOOKED_AT = [
    "zones", "pods", "clusters", "compute-hosts", "storage-pools", "image-stores", "ip-ranges", "ip-addresses", "networks",
    "nics", "compute-offerings", "disk-offerings", "network-offerings", "templates", "instances", "volumes", "operations",
    "plugins", "policies", "affinity-groups",
]


def run(contract, world, walk, port):
    """All of it, between two looks at everything there is."""
    idle(contract)
    before = {name: everything(contract, name) for name in LOOKED_AT}
    bad = BadInput(contract, world, port)
    bad.bodies()
    bad.bytes()
    bad.ids()
    bad.queries()
    bad.meanings()
    bad.headers()
    bad.sockets()
    idle(contract)
    for name in LOOKED_AT:
        after = everything(contract, name)
        if after != before[name]:
            changed = [row for row in after if row not in before[name]] + [row for row in before[name] if row not in after]
            contract.tally.wrong(name, "bad input changed something", str(changed)[:3000])


def everything(contract, collection):
    """All rows of a collection as they are."""
    return [{k: v for k, v in row.items() if k not in MOVING} for row in rows(contract, collection)]


class BadInput:
    """One kind after another."""

    def __init__(self, contract, world, port):
        self.contract = contract
        self.world = world
        self.port = port
        self.raw = contract.schema().raw_schema

    def refused(self, name, what, status, content_type, text, field=None, statuses=range(400, 500)):
        """Notes when an answer is no refusal as it must be."""
        if status not in statuses:
            self.contract.tally.wrong(name, f"bad input, {what}: answered {status}", text[:600])
            return
        try:
            body = json.loads(text)
        except ValueError:
            body = None
        wrong = problem_with(status, content_type, body)
        if wrong is None and field is not None and not any(e["pointer"].startswith(field) for e in body.get("errors", [])):
            wrong = f"does not name {field}"
        if wrong is not None:
            self.contract.tally.wrong(name, f"bad input, {what}: {wrong}", text[:600])

    def sent(self, name, what, field=None, statuses=range(400, 500), **request):
        """Sends what the contract has a place for."""
        response = self.contract.send(name, expect=None, **request)
        content_type = (response.headers.get("content-type") or [""])[0]
        self.refused(name, what, response.status_code, content_type, response.text, field, statuses)

    def asked(self, name, what, method, path, field=None, statuses=range(400, 500), headers=None, **request):
        """Sends what the contract has no place for."""
        headers = {**self.contract.headers, **(headers or {})}
        url = self.contract.url + path
        try:
            response = self.contract.session.request(method, url, headers=headers, timeout=60, **request)
        except requests.ConnectionError:
            # A connection whose last body was refused unread may be closed when the next request is on its way.
            response = requests.request(method, url, headers=headers, timeout=60, **request)
        self.contract.tally.saw(None, response.status_code)
        content_type = response.headers.get("content-type", "")
        self.refused(name, what, response.status_code, content_type, response.text, field, statuses)

    # ---- bodies -----------------------------------------------------------------------------------------------------

    def with_bodies(self):
        """Operations that take JSON, with the schema of it."""
        for name, operation in self.contract.operations.items():
            content = operation.definition.raw.get("requestBody", {}).get("content", {})
            if "application/json" in content:
                yield name, operation, self.resolved(content["application/json"]["schema"])

    def resolved(self, schema):
        """What a reference leads to; of several shapes the one that is no null."""
        while True:
            shapes = [s for s in schema.get("oneOf", schema.get("anyOf", [])) if s.get("type") != "null"]
            if "$ref" in schema:
                schema = self.raw["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            elif shapes:
                schema = {**shapes[0], "nullable": len(shapes) < len(schema.get("oneOf", schema.get("anyOf", [])))}
            else:
                return schema

    def target(self, operation):
        """An id for its path."""
        return self.world.ground[operation.path.split("/")[2]] if "{id}" in operation.path else None

    def bodies(self):
        """Unknown and missing fields, other types, numbers out of range, texts that are none."""
        for name, operation, schema in self.with_bodies():
            id = self.target(operation)
            good = self.world.good(name) or {}
            self.sent(name, "an unknown field", "/nonesuch", [422], id=id, body={**good, "nonesuch": 1})
            for field in schema.get("required", []):
                less = {k: v for k, v in good.items() if k != field}
                self.sent(name, "a field is missing", f"/{field}", [422], id=id, body=less)
            for field, of in schema["properties"].items():
                for value in wrong_values(self.resolved(of), of):
                    self.sent(name, f"{field} of another kind", f"/{field}", [422], id=id, body={**good, field: value})

    def bytes(self):
        """What is no JSON, or too much of it, for everything that takes a body; bodies where none is taken."""
        flawed = [
            ("no UTF-8", b'{"name": "\xff\xfe"}', [400]),
            ("half of it", b'{"name": "a"', [400, 422]),
            ("nothing", b"", [400]),
            ("two of them", b"{}{}", [400, 422]),
            ("deep", b"[" * DEEP, [400, 413, 422]),
            ("deep within", b'{"config": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}", [400, 422]),
            ("a list", b"[1]", [422]),
            ("a number", b"7", [422]),
            ("one key twice", b'{"name": "a", "name": "b"}', [422]),
            ("a huge number", b'{"name": 1e999999}', [400, 422]),
            ("a lone surrogate", b'{"name": "\\ud800"}', [400, 422]),
            ("10 MB", b'{"name": "' + b"x" * LARGE + b'"}', [413, 422]),
        ]
        for name, operation, _ in self.with_bodies():
            path = operation.path.replace("{id}", str(self.target(operation)))
            method = operation.method.upper()
            for what, body, statuses in flawed:
                # Bodies that may be left out are taken when they are.
                if what == "nothing" and name in MAY_BE_LEFT_OUT:
                    continue
                kind = {"Content-Type": "application/json"}
                self.asked(name, what, method, path, None, statuses, kind, data=body)
            for kind in ("text/plain", "application/x-www-form-urlencoded", "", "\u00fc", "application/json/x"):
                self.asked(name, f"a type {kind!r}", method, path, None, [400, 415], {"Content-Type": kind}, data=b"{}")
        for name, operation in self.contract.operations.items():
            if operation.method.upper() == "POST" and "requestBody" not in operation.definition.raw:
                path = operation.path.replace("{id}", str(self.target(operation)))
                self.asked(name, "a body where none is taken", "POST", path, "/nonesuch", [422], data=b'{"nonesuch": 1}')

    # ---- ids and queries --------------------------------------------------------------------------------------------

    def ids(self):
        """Ids of another type, deleted, foreign, and what is none."""
        body = {"templates_upload": (IMAGE[:512], "application/octet-stream")}
        for name, operation in self.contract.operations.items():
            if "{id}" not in operation.path:
                continue
            collection = operation.path.split("/")[2]
            others = [id for of, id in self.world.ground.items() if of != collection][:3]
            data, kind = body.get(name, (None, "application/json"))
            if data is None and "requestBody" in operation.definition.raw:
                data = json.dumps(self.world.good(name) or {})
            method = operation.method.upper()
            headers = {"Content-Type": kind} if data is not None else {}
            if name == "instances_console":
                headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                           "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
            query = "?offset=0" if name == "templates_upload" else ""
            for id in [NOWHERE, *others, *self.world.gone[-2:], *NO_ID]:
                path = operation.path.replace("{id}", id) + query
                self.asked(name, "an id that is none of its kind", method, path, None, [404], headers, data=data)

    def queries(self):
        """Queries that no list takes."""
        wrong = [
            ("limit=0", "?limit"), ("limit=501", "?limit"), ("limit=-1", "?limit"), ("limit=1.5", "?limit"),
            ("limit=99999999999999999999", "?limit"), ("limit=1&limit=2", "?limit"), ("limit=", "?limit"),
            ("cursor=x", "?cursor"), ("cursor=%00", "?cursor"), ("cursor=" + "9" * 40_000, "?cursor"),
            ("cursor=" + "0" * 32 + ":9223372036854775808.1", "?cursor"), ("colour=red", "?colour"), ("%ff=1", None),
        ]
        for name, operation in self.contract.operations.items():
            if not name.endswith("_list"):
                continue
            for query, field in wrong:
                self.asked(name, f"the query {query[:40]}", "GET", f"{operation.path}?{query}", field, [400])
        nothing = f"/v1/operations/{NOWHERE}"
        for wait in ("-1", "30001", "x", "1" * 400):
            self.asked("operations_get", f"a wait of {wait[:9]}", "GET", f"{nothing}?wait_ms={wait}", "?wait_ms", [400])
        for offset in ("-1", "x", str(1 << 63), str(1 << 64)):
            path = f"/v1/templates/{self.world.ground['templates']}/upload?offset={offset}"
            kind = {"Content-Type": "application/octet-stream"}
            self.asked("templates_upload", f"the offset {offset}", "PUT", path, None, [400, 409], kind, data=b"x")

    # ---- what reads well and cannot be -----------------------------------------------------------------------------

    def meanings(self):
        """Fields that are well in themselves and not with what there is."""
        ground, sim = self.world.ground, self.world.sim
        cases = [
            ("pods_create", {"cidr": "172.31.4.0/24", "gateway": "172.31.4.1"}, "/cidr"),
            ("pods_create", {"gateway": "9.9.9.9"}, "/gateway"),
            ("pods_create", {"cidr": "10.9.0.1/24", "gateway": "10.9.0.1"}, "/cidr"),
            ("pods_create", {"cidr": "10.9.0.0/33"}, "/cidr"),
            ("pods_create", {"cidr": "::1/64"}, "/cidr"),
            ("networks_create", {"gateway": "9.9.9.9"}, "/gateway"),
            ("networks_create", {"dns": ["1.2.3"]}, "/dns/0"),
            ("networks_create", {"dns": ["1.2.3.4"] * 9}, "/dns"),
            ("networks_create", {"link": {"kind": "simulated"}}, "/link"),
            ("networks_create", {"network_offering_id": ground["zones"]}, "/network_offering_id"),
            ("ip_ranges_create", {"first": "10.1.1.0", "last": "10.1.1.9"}, "/first"),
            ("ip_ranges_create", {"first": "10.1.255.9", "last": "10.1.255.1"}, "/"),
            ("ip_ranges_create", {"first": "10.77.0.1", "last": "10.77.0.9"}, "/first"),
            ("ip_ranges_create", {"pod_id": ground["pods"]}, "/"),
            ("ip_ranges_create", {"network_id": None}, "/"),
            ("clusters_create", {"driver": "storage-sim"}, "/driver"),
            ("clusters_create", {"pod_id": ground["zones"]}, "/pod_id"),
            ("compute_hosts_create", {"config": {"host": "nobody"}}, "/config"),
            ("compute_hosts_create", {"config": {"hots": "z1-h0003"}}, "/config"),
            ("compute_hosts_create", {"config": {"host": NUL}}, "/config"),
            ("compute_hosts_create", {"endpoint": "http://127.0.0.1:1"}, "/endpoint"),
            ("compute_hosts_create", {"endpoint": "file:///etc/passwd"}, "/endpoint"),
            ("compute_hosts_create", {"endpoint": None}, "/config"),
            ("compute_hosts_create", {"node": "unix:/nowhere"}, "/node"),
            ("compute_hosts_create", {"node": "tcp:nowhere"}, "/node"),
            ("compute_hosts_create", {"private_address": "9.9.9.9"}, "/private_address"),
            ("compute_hosts_create", {"tags": ["a", "a"]}, "/tags/1"),
            ("compute_hosts_create", {"tags": ["t"] * 65}, "/tags"),
            ("compute_hosts_create", {"attributes": {"a b": 1}}, "/attributes"),
            ("compute_hosts_create", {"attributes": {f"a{n}": n for n in range(65)}}, "/attributes"),
            ("storage_pools_create", {"provider": "hypervisor-sim"}, "/provider"),
            ("storage_pools_create", {"config": {"pool": "none"}}, "/config"),
            ("storage_pools_create", {"cluster_id": ground["zones"]}, "/cluster_id"),
            ("storage_pools_create", {"config": {"pool": "z1-p9", "deep": nested(100)}}, "/config"),
            ("image_stores_create", {"endpoint": None}, "/"),
            ("image_stores_create", {"endpoint": "http://127.0.0.1:1"}, "/endpoint"),
            ("image_stores_create", {"directory": "/x" + NUL}, "/directory"),
            ("policies_create", {"config": {"a": NUL}}, "/config"),
            ("policies_create", {"config": {"a": "x" * 70_000}}, "/config"),
            ("policies_create", {"plugin": "hypervisor-sim"}, "/plugin"),
            ("policies_create", {"plugin": None, "digest": "sha256:" + "0" * 64}, "/digest"),
            ("plugins_create", {"component_base64": "AGFzbQ=="}, None),
            ("plugins_create", {"component_base64": "???"}, "/component_base64"),
            ("plugins_create", {"manifest": "name = "}, None),
            ("plugins_create", {"manifest": "name = 'a'\nversion = '1'\nworld = 'placement-policy'\ndescription = \"\\u0000\""}, None),
            ("templates_create", {"image_store_id": ground["zones"]}, "/image_store_id"),
            ("instances_create", {"networks": []}, "/networks"),
            ("instances_create", {"networks": [{"network_id": ground["networks"]}] * 9}, "/networks"),
            ("instances_create", {"networks": [{"network_id": ground["zones"]}]}, "/networks/0"),
            ("instances_create", {"networks": [{"network_id": ground["networks"], "address": "9.9.9.9"}]}, "/networks/0"),
            ("instances_create", {"template_id": ground["zones"]}, "/template_id"),
            ("instances_create", {"compute_offering_id": NOWHERE}, "/compute_offering_id"),
            ("instances_create", {"zone_id": ground["pods"]}, "/zone_id"),
            ("instances_create", {"root_size_bytes": 1}, "/root_size_bytes"),
            ("instances_create", {"user_data": "x" * 65_537}, "/user_data"),
            ("instances_create", {"user_data": "a", "user_data_base64": "YQ=="}, "/user_data"),
            ("instances_create", {"user_data_base64": "?"}, "/user_data_base64"),
            ("volumes_create", {"disk_offering_id": ground["zones"]}, "/disk_offering_id"),
            ("volumes_create", {"size_bytes": 1 << 50}, "/size_bytes"),
        ]
        for name, flaw, field in cases:
            body = {**self.world.good(name), **flaw}
            what = json.dumps(flaw)[:60]
            self.sent(name, what, field, [422], body={k: v for k, v in body.items() if v is not None})
        self.sent("instances_create", "more than there is", None, [409], body={
            **self.world.good("instances_create"), "root_size_bytes": 1 << 50})
        self.sent("instances_stop", "a grace of a day", "/grace_ms", [422], id=ground["instances"], body={"grace_ms": 86_400_000})
        # Unless the fuzzing deleted it.
        if self.contract.send("volumes_get", id=ground["volumes"], expect=(200, 404)).status_code == 200:
            self.sent("volumes_attach", "to a zone", "/instance_id", [422], id=ground["volumes"], body={"instance_id": ground["zones"]})
        taken = {**self.world.good("zones_create"), "name": self.contract.send("zones_get", id=ground["zones"]).json()["name"]}
        self.sent("zones_create", "a name that is taken", None, [409], body=taken)
        for name in ("zones", "pods", "clusters", "networks", "image_stores", "storage_pools", "compute_offerings"):
            self.sent(f"{name}_delete", "what is in use", None, [409], id=ground[name.replace("_", "-")])
        self.asked("none", "a collection that is none", "GET", "/v1/teapots", None, [404])
        self.asked("none", "a path that is none", "GET", "/v1/zones/..%2f..%2fetc", None, [404])

    # ---- HTTP -------------------------------------------------------------------------------------------------------

    def headers(self):
        """Headers that mean nothing."""
        zone = f"/v1/zones/{self.world.ground['zones']}"
        body = json.dumps(self.world.good("zones_create"))
        kind = {"Content-Type": "application/json"}
        for key in ("", "x" * 256, "a b", "\u00e9"):
            what = f"the idempotency key {key[:9]!r}"
            self.asked("zones_create", what, "POST", "/v1/zones", ":idempotency-key", [400], {**kind, "Idempotency-Key": key}, data=body)
        for tag in ("", "x", '"x"', 'W/"1"', '"99999999999999999999999"', '"-1"', "\u00e9", '"1", "2"'):
            self.asked("zones_update", f"If-Match: {tag!r}", "PATCH", zone, None, [412], {**kind, "If-Match": tag}, data="{}")
        for token in ("", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer \u00e9", "Bearer " + "x" * 9000):
            self.asked("zones_get", f"the token {token[:12]!r}", "GET", zone, None, [401], {"Authorization": token})
        stream = {"Accept": "text/event-stream"}
        for last in ("x", "0" * 32 + ":1.99999999999999999999", "\u00e9"):
            self.asked("events_list", f"Last-Event-ID {last!r}", "GET", "/v1/events", ":last-event-id", [400], {**stream, "Last-Event-ID": last})
        for method in ("PUT", "FOO", "TRACE", "OPTIONS", "PROPFIND"):
            self.asked("zones", f"the method {method}", method, "/v1/zones", None, [405])

    def sockets(self):
        """What no client library sends."""
        token = f"Authorization: {self.contract.headers['Authorization']}"
        post = ["POST /v1/zones HTTP/1.1", "Host: x", token, "Content-Type: application/json"]
        get = ["GET /v1/zones HTTP/1.1", "Host: x", token]
        cases = [
            ("a header without a name", [*get, ": x"], b""),
            ("a header with a NUL", [*get, "X-A: a\0b"], b""),
            ("a header of a line that goes on", [*get, "X-A: a", " b"], b""),
            ("200 headers", [*get, *(f"X-{n}: {n}" for n in range(200))], b""),
            ("a header of 600 KB", [*get, "X-A: " + "x" * 600_000], b""),
            ("a path of 70 KB", [f"GET /v1/zones?name={'x' * 70_000} HTTP/1.1", "Host: x", token], b""),
            ("no version", ["GET /v1/zones"], b""),
            ("version 9", ["GET /v1/zones HTTP/9.9", "Host: x"], b""),
            ("a length that is none", [*post, "Content-Length: x"], b"{}"),
            ("a negative length", [*post, "Content-Length: -1"], b"{}"),
            ("two lengths", [*post, "Content-Length: 2", "Content-Length: 3"], b"{}x"),
            ("a length and chunks", [*post, "Content-Length: 2", "Transfer-Encoding: chunked"], b"2\r\n{}\r\n0\r\n\r\n"),
            ("chunks that are none", [*post, "Transfer-Encoding: chunked"], b"zz\r\n{}\r\n"),
            ("an unknown encoding", [*post, "Transfer-Encoding: rot13"], b"{}"),
            ("two keys", [*post, "Idempotency-Key: a", "Idempotency-Key: b", "Content-Length: 2"], b"{}"),
            ("no HTTP", ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"], b""),
        ]
        for what, lines, body in cases:
            request = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body
            status, head, text = self.exchange(request)
            # Whoever talks something else is hung up on.
            if status is None:
                continue
            self.contract.tally.saw(None, status)
            if status in OF_HTTP and not text:
                continue
            content_type = PROBLEM if f"content-type: {PROBLEM}" in head.lower() else ""
            self.refused("HTTP", what, status, content_type, text)

    def exchange(self, request):
        """Sends bytes; answers status, head and body, or none when the connection is closed without an answer."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            try:
                connection.sendall(request)
                while piece := connection.recv(65536):
                    answer += piece
            except (ConnectionError, TimeoutError):
                pass
        head, _, text = answer.partition(b"\r\n\r\n")
        words = head.split(b" ", 2)
        if len(words) < 2 or not words[1].isdigit():
            return None, "", ""
        return int(words[1]), head.decode("latin-1"), text.decode(errors="replace")


def nested(depth):
    """An object within an object."""
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def wrong_values(schema, outer):
    """Values that a field of this schema cannot take."""
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else set(types)
    if outer.get("type") == "null" or schema.get("nullable") or any(s.get("type") == "null" for s in outer.get("oneOf", [])):
        types.add("null")
    if "enum" in schema:
        types.add("string")
    # An empty object and none are the same to settings that may be left out.
    if types <= {"object"} or not types:
        types.add("null")
    if "number" in types:
        types.add("integer")
    found = [value for kind, values in WRONG_TYPES.items() if kind not in types for value in values]
    if "integer" in types:
        found += OUT_OF_RANGE
    if "string" in types and ({"pattern", "format", "enum"} & set(schema)):
        found += NO_TEXT
    return found
