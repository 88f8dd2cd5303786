"""What is asked for."""

VCPUS, MEMORY_MIB, GIB = 1, 2, 3


class Ask:
    """What is asked for. What was not declared, or is not asked for, is 0."""

    __slots__ = ("_demands", "facts", "seed")

    def __init__(self, demands: dict, facts: dict | None = None, seed: int = 0):
        """`demands` by code; `facts` by code, each a dictionary of rows and values."""
        self._demands = demands
        self.facts = facts or {}
        self.seed = seed
        """The only chance there is; 0 for policies that do not compare rows."""

    @classmethod
    def of(cls, vcpus: int = 0, memory_mib: int = 0, gib: int = 0) -> "Ask":
        """An ask as tests build it."""
        return cls({VCPUS: vcpus, MEMORY_MIB: memory_mib, GIB: gib})

    def demand(self, code: int) -> int:
        """How much of a demand, by its code."""
        return self._demands.get(code, 0)

    @property
    def vcpus(self) -> int:
        """vCPUs."""
        return self._demands.get(VCPUS, 0)

    @property
    def memory_mib(self) -> int:
        """MiB of memory."""
        return self._demands.get(MEMORY_MIB, 0)

    @property
    def gib(self) -> int:
        """GiB of storage."""
        return self._demands.get(GIB, 0)
