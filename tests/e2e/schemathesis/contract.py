"""The contract, requests that are checked against it, and the tally of both."""

import collections
import threading
import urllib.parse

import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core import NOT_SET
from schemathesis.core.failures import FailureGroup

# Answers 101 to a WebSocket and 426 to anything else: there is no 2xx for HTTP to hit. It is asked for both.
WITHOUT_2XX = {"instances_console"}
# A third of what HTTP takes of a request's head.
LONGEST_QUERY = 128_000
PROBLEM = "application/problem+json"
NEVER = {500, 502, 504}
# Above what schemathesis expects by itself: 412 for an If-Match that no resource ever had, 413 for a body that is too long,
# 422 for references that lead nowhere and for a body where none is taken.
REJECTIONS = ["400", "401", "404", "405", "409", "412", "413", "415", "422", "426", "429", "503"]
TAKEN = ["2xx", "401", "404", "409", "412", "422", "426", "429", "503"]


@schemathesis.serializer("application/wasm")
def wasm(context, value):
    """A component is sent as it is."""
    return value if isinstance(value, bytes) else str(value).encode()


class Tally:
    """What was asked and answered, and what was wrong with it."""

    def __init__(self):
        self.requests = 0
        self.by_status = collections.Counter()
        self.by_part = collections.Counter()
        self.hits = collections.defaultdict(collections.Counter)
        self.violations = {}
        self.part = "walk"
        self._lock = threading.Lock()

    def saw(self, operation, status):
        """Counts an answer; `operation` is none where the contract names none."""
        with self._lock:
            self.requests += 1
            self.by_status[str(status)] += 1
            self.by_part[self.part] += 1
            if operation:
                self.hits[operation][status] += 1
        if status in NEVER:
            self.wrong(operation or "no operation", f"answered {status}", "")

    def wrong(self, operation, what, detail):
        """Notes a violation: the same one of the same operation counts once."""
        with self._lock:
            count, first = self.violations.get((operation, what), (0, detail))
            self.violations[operation, what] = (count + 1, first)


class Contract:
    """The API as it describes itself."""

    def __init__(self, url, token, seed, examples):
        self.url = url
        self.tally = Tally()
        self.session = requests.Session()
        self.headers = {"Authorization": f"Bearer {token}"}
        self._settings = settings(self.headers, seed, examples)
        found = [result.ok() for result in self.schema().get_all_operations()]
        self.operations = {operation.definition.raw["operationId"]: operation for operation in found}
        self._names = {(o.method.upper(), o.path): name for name, o in self.operations.items()}
        schemathesis.check(answers_a_problem)

        @schemathesis.hook
        def after_call(context, case, response):
            self.tally.saw(self.name(case), response.status_code)

        @schemathesis.hook
        def filter_query(context, query):
            # HTTP itself refuses more (431): such a request never reaches the API. A cursor of 49,152 characters outside of
            # ASCII is that long.
            return query is None or len(urllib.parse.urlencode(query, doseq=True)) < LONGEST_QUERY

    def schema(self, without=()):
        """The contract as schemathesis takes it, without some operations."""
        left_out = [{"include-operation-id": name, "enabled": False} for name in without]
        config = SchemathesisConfig.from_dict({**self._settings, "operations": left_out})
        return schemathesis.openapi.from_url(f"{self.url}/openapi.json", config=config)

    def name(self, case):
        """The operation that a case asks for; none when its method is not the operation's."""
        return self._names.get((case.method.upper(), case.operation.path))

    def send(self, name, id=None, query=None, body=NOT_SET, headers=None, media_type=None, expect=range(200, 300)):
        """Asks for an operation and checks the answer against the contract. Answers the response."""
        operation = self.operations[name]
        if body is not NOT_SET and media_type is None:
            media_type = "application/json"
        case = operation.Case(
            path_parameters={"id": id} if id else None,
            query=query,
            body=body,
            headers=dict(headers or {}),
            media_type=media_type,
        )
        response = case.call(session=self.session, headers=self.headers, timeout=60)
        self.check(case, response)
        if expect is not None and response.status_code not in expect:
            self.tally.wrong(name, f"answered {response.status_code} to a good request", response.text[:600])
        return response

    def check(self, case, response):
        """Notes what the contract has against an answer."""
        try:
            case.validate_response(response, headers=self.headers)
        except FailureGroup as group:
            for failure in group.exceptions:
                self.tally.wrong(self.name(case) or case.operation.label, words_of(failure), detail_of(case, failure))

    def never_hit(self):
        """Operations that owe a 2xx and never gave one."""
        wanted = [name for name in self.operations if name not in WITHOUT_2XX]
        return [n for n in wanted if not any(200 <= s < 300 for s in self.tally.hits[n])]


def header(response, name):
    """A header of an answer; schemathesis keeps each as a list under its name in lower case."""
    return (response.headers.get(name.lower()) or [""])[0]


def words_of(failure):
    """A failure in few words, the same for the same failure."""
    first = failure.message.strip().splitlines()[0] if failure.message.strip() else ""
    return f"{failure.title}: {first}"[:300]


def detail_of(case, failure):
    """A failure with the request that brought it."""
    return f"{failure.message}\n{case.as_curl_command()[:3000]}"


def settings(headers, seed, examples):
    """How schemathesis works here."""
    return {
        "seed": seed,
        "headers": headers,
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": 60,
        "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
        "phases": {"stateful": {"enabled": False}},
        "checks": {
            "negative_data_rejection": {"expected-statuses": REJECTIONS},
            "positive_data_acceptance": {"expected-statuses": TAKEN},
        },
    }


def problem_with(status, content_type, body):
    """What is wrong with a refusal as a problem (RFC 9457); none when it says what it must."""
    if content_type.split(";")[0].strip() != PROBLEM:
        return f"a refusal of type {content_type!r}"
    if not isinstance(body, dict) or body.get("status") != status:
        return "a problem without its status"
    if not all(isinstance(body.get(field), str) and body[field] for field in ("type", "title", "detail")):
        return "a problem without type, title or detail"
    errors = body.get("errors", [])
    if status == 422 and body["type"] == "/problems/invalid" and not errors:
        return "an invalid request without the field that is wrong"
    if any(not error.get("problem") for error in errors):
        return "a wrong field without what is wrong"
    return None


def answers_a_problem(ctx, response, case):
    """Every refusal is a problem that names the field and says what to do."""
    if response.status_code < 400:
        return
    try:
        body = response.json()
    except ValueError:
        body = None
    wrong = problem_with(response.status_code, header(response, "Content-Type"), body)
    if wrong is not None and case.method.upper() != "HEAD":
        raise AssertionError(wrong)
