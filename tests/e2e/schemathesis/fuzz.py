"""The phases of schemathesis over the world that the walk made: hooks give real ids and references to what it generates."""

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import Status, events, from_schema

from contract import WITHOUT_2XX, words_of

# How often a reference stays what was generated, and how often it is one of another type or of what is gone.
AS_GENERATED = 0.1
WRONG = 0.1
# A query that waits for longer would only take the suite's time.
WAIT_MS = 50
# What a simulated compute host has. More is the operator's word, which the server takes; then guests fail at the far side.
CAPACITY = {"vcpus": 32, "memory_mib": 131_072}
REFERENCES = {
    "zone_id": "zones", "pod_id": "pods", "cluster_id": "clusters", "compute_host_id": "compute-hosts",
    "storage_pool_id": "storage-pools", "image_store_id": "image-stores", "ip_range_id": "ip-ranges",
    "network_id": "networks", "network_offering_id": "network-offerings", "nic_id": "nics",
    "compute_offering_id": "compute-offerings", "disk_offering_id": "disk-offerings", "template_id": "templates",
    "instance_id": "instances", "volume_id": "volumes", "policy_id": "policies", "pool_policy_id": "policies",
    "subject_id": "instances", "resource_id": "instances", "operation_id": "operations",
}


class Hooks:
    """What is done to a generated case before it is sent, and what is learnt from its answer."""

    def __init__(self, contract, world):
        self.contract = contract
        self.world = world

        @schemathesis.hook
        def before_call(context, case, kwargs):
            self._prepare(case)

        @schemathesis.hook
        def after_call(context, case, response):
            self._learn(case, response)

    def _prepare(self, case):
        name = self.contract.name(case)
        if case.meta is None or name is None:
            return
        collection = case.operation.path.split("/")[2] if case.operation.path.startswith("/v1/") else ""
        if case.path_parameters and not case.meta.is_negative_at(ParameterLocation.PATH):
            case.path_parameters = {"id": self._id(collection, case)}
        if case.query and not case.meta.is_negative_at(ParameterLocation.QUERY):
            case.query = self._query(name, dict(case.query))
        if "If-Match" in (case.headers or {}) and not case.meta.is_negative_at(ParameterLocation.HEADER):
            # Generated tags are of no generation that there is: all of them would end in 412.
            if self.world.chance.random() > AS_GENERATED:
                case.headers["If-Match"] = "*"
        if not case.meta.is_negative_at(ParameterLocation.BODY):
            self._body(name, case)

    def _id(self, collection, case):
        lot = self.world.chance.random()
        if lot < AS_GENERATED:
            return case.path_parameters.get("id")
        if lot < AS_GENERATED + WRONG:
            return self.world.wrong(collection)
        return self.world.some(collection, changes=case.method.upper() != "GET")

    def _query(self, name, query):
        for key in query:
            if key in REFERENCES and self.world.chance.random() > AS_GENERATED:
                query[key] = self.world.some(REFERENCES[key], changes=False)
        if str(query.get("wait_ms", "")).isdigit():
            query["wait_ms"] = min(int(query["wait_ms"]), WAIT_MS)
        # The piece that an upload waits for is mostly its first.
        if name == "templates_upload" and self.world.chance.random() < 0.5:
            query["offset"] = 0
        return query

    def _body(self, name, case):
        good = self.world.good(name)
        if isinstance(case.body, dict):
            body = dict(case.body)
            lot = self.world.chance.random()
            if good is not None and lot < 0.45:
                body = good
            elif good is not None and lot < 0.8:
                # One thing of what was generated in a body that is good otherwise.
                for key in self.world.chance.sample(sorted(body), min(1, len(body))):
                    good[key] = body[key]
                body = good
            for key in body:
                if key in REFERENCES and body[key] is not None and self.world.chance.random() < 0.5:
                    body[key] = self.world.some(REFERENCES[key], changes=False)
            if name.startswith("compute_hosts"):
                for key, most in CAPACITY.items():
                    if isinstance(body.get(key), int):
                        body[key] = min(body[key], most)
            case.body = body
        elif isinstance(case.body, bytes) and good is not None and self.world.chance.random() < 0.6:
            case.body = self.world.component()[0] if name == "plugins_create" else good

    def _learn(self, case, response):
        name = self.contract.name(case)
        if case.meta is None or name is None or not 200 <= response.status_code < 300:
            return
        collection = case.operation.path.split("/")[2:3]
        if not collection:
            return
        if name.endswith("_create") and response.status_code in (201, 202):
            self.world.made(collection[0], response.json()["id"])
        elif name.endswith("_delete"):
            self.world.is_gone(collection[0], case.path_parameters["id"])


def fuzz(contract):
    """Runs the phases and notes what they find."""
    for event in from_schema(contract.schema(WITHOUT_2XX)).execute():
        if isinstance(event, events.PhaseStarted):
            contract.tally.part = event.phase.name.value
        elif isinstance(event, events.ScenarioFinished):
            note(contract, event.recorder)
        elif isinstance(event, events.NonFatalError):
            contract.tally.wrong(event.label, f"could not be tested: {event.info.title}", str(event.value)[:2000])
        elif isinstance(event, events.FatalError):
            contract.tally.wrong("everything", "schemathesis broke off", repr(event.exception))


def note(contract, recorder):
    """Notes the failed checks of one scenario."""
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status != Status.FAILURE or check.failure_info is None:
                continue
            case = recorder.cases[case_id].value
            failure = check.failure_info.failure
            what = words_of(failure)
            operation = contract.name(case) or f"{case.method} {case.operation.path}"
            contract.tally.wrong(operation, what, f"{failure.message}\n{check.failure_info.code_sample[:3000]}")
