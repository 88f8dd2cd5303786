"""What stands between the contract and a policy: holds the configured policy and the inventory.

Nothing here knows of WebAssembly, so that tests run it natively; `component.py` makes a component of it.
"""

from array import array

from .ask import Ask
from .config import Config, Refused
from .declaration import ATTRIBUTE, FREE_RESOURCE, TOTAL_RESOURCE, Declaration
from .host import Declared, Host, Undeclared
from .score import OWN_WORDS, REFUSE, UNDECLARED, travelling


class Engine:
    """A policy with what it was told."""

    def __init__(self, policy):
        """`policy` is a class with `configure`, `declare` and `score`."""
        self._make = policy
        self._policy = None
        self._declaration: Declaration | None = None
        self._drop()

    def _drop(self):
        self._epoch = None
        self._rows = 0
        self._columns: list[array] = []

    def declaration(self) -> Declaration:
        """What it wants to know; before `configure`, what it wants under an empty configuration."""
        if self._declaration is not None:
            return self._declaration
        try:
            return self._configured("{}")[1]
        except Refused:
            return Declaration(0)

    def refusals(self) -> list[tuple[int, str]]:
        """Refusal codes in words."""
        return [*self.declaration().refusals, *OWN_WORDS]

    def _configured(self, text: str):
        config = Config(text)
        policy = self._make()
        policy.configure(config)
        config.finish()
        return policy, policy.declare()

    def configure(self, text: str) -> None:
        """Takes a configuration and drops what was loaded. `Refused`: the old one stays."""
        self._policy, self._declaration = self._configured(text)
        self._drop()

    def load(self, epoch: int, rows: int, values: list[int]) -> bool:
        """Takes a whole inventory. False: it is not configured, or the lengths do not fit; it holds nothing then."""
        self._drop()
        if self._declaration is None:
            return False
        wanted = len(self._declaration.columns)
        if len(values) != rows * wanted:
            return False
        self._columns = [array("I", values[at * rows : (at + 1) * rows]) for at in range(wanted)]
        self._rows = rows
        self._epoch = epoch
        return True

    def apply(self, before: int, after: int, rows: list[int], values: list[int]) -> bool:
        """Changes rows. False: it does not hold `before`, or the lengths do not fit; nothing changed."""
        if self._epoch is None or self._epoch != before or len(values) != len(rows) * len(self._columns):
            return False
        if any(row >= self._rows for row in rows):
            return False
        at = 0
        for column in self._columns:
            for row in rows:
                column[row] = values[at]
                at += 1
        self._epoch = after
        return True

    def score(self, epoch: int, ask: Ask, rows: list[int]) -> list[int]:
        """One score a row asked, every row for none; empty if it does not hold this epoch or a row does not exist."""
        if self._epoch is None or self._epoch != epoch or any(row >= self._rows for row in rows):
            return []
        host = self._host(ask)
        score = self._policy.score
        answer = []
        for row in rows if rows else range(self._rows):
            host.row = row
            try:
                answer.append(travelling(score(ask, host)))
            except Undeclared:
                answer.append(REFUSE + UNDECLARED)
        return answer

    def _host(self, ask: Ask) -> Host:
        columns, attributes, resources = Declared(), Declared(), Declared()
        for (code, name), values in zip(self._declaration.columns, self._columns):
            if code == ATTRIBUTE:
                attributes[name] = values
            elif code in (FREE_RESOURCE, TOTAL_RESOURCE):
                resources[code, name] = values
            else:
                columns[code] = values
        facts = Declared({code: ask.facts.get(code, {}) for code in self._declaration.facts})
        return Host(columns, attributes, facts, resources)
