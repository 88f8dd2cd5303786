"""Makes a component of the author's policy: the only module that knows the contract's bindings.

`velum plugin build` writes the module `plugin_name` beside it.
"""

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import policy as wit

import policy as author

from . import Policy as Base
from .ask import Ask
from .config import Refused
from .engine import Engine
from .plugin_name import NAME


def _only_policy():
    found = [
        value
        for value in vars(author).values()
        if isinstance(value, type) and issubclass(value, Base) and value is not Base and value.__module__ == author.__name__
    ]
    if len(found) != 1:
        names = ", ".join(sorted(value.__name__ for value in found)) or "none"
        raise SystemExit(f"policy.py must have one class that is a velum.Policy; it has {names}")
    return found[0]


ENGINE = Engine(_only_policy())
# A mistake in the declaration is told when the component is built, not when it is installed.
ENGINE.declaration()


class Policy(exports.Policy):
    """The exported interface `velum:placement/policy`."""

    def describe(self):
        declaration = ENGINE.declaration()
        return wit.Descriptor(
            name=NAME,
            row_kind=declaration.row_kind,
            columns=[wit.Column(id=code, name=name, scale=0) for code, name in declaration.columns],
            demands=declaration.demands,
            facts=declaration.facts,
            row_local=declaration.row_local,
            max_rows=declaration.max_rows,
            refusals=ENGINE.refusals(),
            config_schema="",
        )

    def configure(self, json):
        try:
            ENGINE.configure(json)
        except Refused as refused:
            raise Err(str(refused)) from None

    def load(self, epoch, rows, values):
        return ENGINE.load(epoch, rows, values)

    def apply(self, before, after, rows, values):
        return ENGINE.apply(before, after, rows, values)

    def score(self, epoch, ask, rows):
        declared = ENGINE.declaration()
        facts = {fact.id: dict(zip(fact.rows, fact.values)) for fact in ask.facts}
        demands, resources = declared.amounts(ask.demand)
        asked = Ask(demands, facts, ask.seed, dict(ask.attrs), resources)
        return ENGINE.score(epoch, asked, rows)
