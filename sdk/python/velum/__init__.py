"""What a Velum placement policy in Python stands on.

A policy is a class with one function, `score(ask, host)`:

    from velum import Declaration, Policy

    class Coolest(Policy):
        def declare(self):
            return Declaration.hosts().attribute("power_w")

        def score(self, ask, host):
            return 100_000 - min(host.attribute("power_w"), 100_000)

It must be a function of its configuration, the host and the ask, and of nothing else: decisions are replayed. So there is
no clock, no chance, no file and no memory of earlier calls. Numbers are whole.
"""

from .ask import Ask
from .config import Config, Refused
from .declaration import NO_END, Declaration
from .host import Host
from .score import BEST, refuse

__all__ = ["BEST", "NO_END", "Ask", "Config", "Declaration", "Host", "Policy", "Refused", "refuse"]


class Policy:
    """A policy that scores one row at a time: a compute host, or a storage pool."""

    def configure(self, config: Config) -> None:
        """Takes the operator's configuration. Raise `Refused` with words that say what to change.

        Fields that are not read here are refused by their name.
        """

    def declare(self) -> Declaration:
        """What it wants to know: by default the room and the runs of compute hosts, and the vCPUs and memory asked for."""
        return Declaration.hosts()

    def score(self, ask: Ask, host: Host) -> int:
        """How good this row is for this ask, as a whole number: higher is better. `refuse(code)` takes the row out."""
        raise NotImplementedError("a policy has a function score(self, ask, host)")
